"""What can be set of identities: where they are kept, how numbers are read, and what names nobody."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from phonenumbers import SUPPORTED_REGIONS

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.patterns import compiled
from config.section import Section
from config.shown import shown
from operators.rules import IdentifierLimit, IdentityRules

Region = Annotated[
    str,
    # NO without quotes is false to YAML.
    Meta(
        pattern=r"^([A-Z]{2})?\Z", description='two capital letters as in DE, US or "NO", which wants its quotes, or ""'
    ),
]
SourceName = Annotated[str, Meta(min_length=1, max_length=4_096)]
Value = Annotated[str, Meta(min_length=1, max_length=256)]
Given = Annotated[int, Meta(ge=1, le=1_000)]
Window = Annotated[int, Meta(ge=0, le=400 * DAY)]
Secret = Annotated[str, Meta(min_length=0, max_length=4_096)]
Pattern = Annotated[str, Meta(min_length=1, max_length=1_000)]


SECRET_CHARS_MIN: Final = 32
"""Half of what `openssl rand -hex 32` gives: 128 bits, which nobody tries out."""


class LimitSettings(Section, frozen=True, kw_only=True):
    """How much one lead may be given, and how fast: five of each is what the field lets through."""

    devices_max: Given = 5
    """Anonymous ids within `devices_window`. One more leaves its event the lead's, and is a visitor's by itself."""
    devices_window_ms: Window = 7 * DAY
    """A browser that clears its cookies is another device each time. 0: for ever."""
    emails_max: Given = 5
    """E-mail addresses within `emails_window`."""
    emails_window_ms: Window = 0
    """0: for ever."""
    phones_max: Given = 5
    """Telephone numbers within `phones_window`."""
    phones_window_ms: Window = 7 * DAY
    """0: for ever."""
    sharers_max: Annotated[int, Meta(ge=1, le=100)] = 10
    """Leads who may give one telephone number. With two of them it does not say any more who calls: they are named as
    candidates. Beyond this it is a switchboard's."""
    identifiers_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    """All that one lead may have; what another one has been given since counts no more."""
    merges_max: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """Leads that one ever becomes one with. Beyond it identifiers still say who it is, and nobody is joined."""


class IdentitySettings(Section, frozen=True, kw_only=True):
    """Where it is kept who is who, what counts as a name of somebody, and what keeps a lead one person."""

    redis_url: Annotated[str, Meta(min_length=0, max_length=2_048)] = ""
    """Empty: in this process, as part of the checkpoint. Else a Redis that several processes share: redis://, rediss://
    (TLS), unix://, redis+sentinel://HOST:PORT,HOST:PORT/MASTER or redis+cluster://HOST:PORT."""
    redis_prefix: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            pattern=r"^[^{}]*\{[^{}]+\}[^{}]*$",
            description="characters, some of them in one pair of braces",
        ),
    ] = "{nextmove}:"
    """What all keys begin with; one a deployment. What stands in braces puts them into one slot of a cluster."""
    ttl_ms: Annotated[int, Meta(ge=HOUR, le=3_650 * DAY)] = 430 * DAY
    """An identifier that nobody has asked for is forgotten after this: later than the profile it leads to."""
    timeout_ms: Annotated[int, Meta(ge=10, le=MINUTE)] = 2 * SECOND
    """For one answer of Redis."""
    phone_region: Region = ""
    """Where a telephone number without a country code is from; empty: nobody knows, and it stays as its digits."""
    phone_regions: dict[SourceName, Region] = msgspec.field(default_factory=dict)
    """The same for one source, a topic or an input file; outranks `phone_region`."""
    blocked: Annotated[tuple[Value, ...], Meta(min_length=0, max_length=10_000)] = ()
    """Values that name nobody, in any case, beside those that are known to (null, guest, -1 and their like)."""
    blocked_patterns: Annotated[tuple[Pattern, ...], Meta(min_length=0, max_length=100)] = ()
    """Regular expressions for such values, each of the whole value. Each is tried on each identifier."""
    untrusted: Annotated[tuple[SourceName, ...], Meta(min_length=0, max_length=1_000)] = ()
    """Sources, topics or input files, that anybody can write to: they may link a device to a lead, not join leads."""
    merging: Annotated[tuple[SourceName, ...], Meta(min_length=0, max_length=1_000)] = ()
    """Sources whose explicit requests (Segment's alias, `also`) may make two users one: those that only we write to."""
    pseudonymise: bool = False
    """Whether addresses and numbers are replaced as they come in, so that nothing is kept or published of them."""
    pseudonym_secret: Secret = ""
    """By which that is done: 32 characters at least, shown to nobody."""
    former_pseudonym_secrets: Secret = ""
    """By which it was done before, with commas, the newest first: who is known by an older pseudonym is found."""
    limits: LimitSettings = LimitSettings()

    def __post_init__(self) -> None:
        """Refuse what cannot work, with the reason."""
        regions = {"identity.phone_region": self.phone_region}
        regions |= {
            f"identity.phone_regions has {source} whose region": one for source, one in self.phone_regions.items()
        }
        for key, region in regions.items():
            if region and region not in SUPPORTED_REGIONS:
                raise ValueError(
                    f"{key} is {region} but must be the ISO 3166 code of a region with telephone numbers, as DE, US"
                    " or GB, or empty"
                )
        _ = self.patterns
        for source in self.merging:
            if source in self.untrusted:
                raise ValueError(f"identity.merging has {shown(source)} but so has identity.untrusted: keep it in one")

    @property
    def secrets(self) -> tuple[str, tuple[str, ...]] | None:
        """By which pseudonyms are made, and were before; None where none are made.

        Asked for when all is read: the switch may stand in a file, the secret in the environment.

        Raises:
            ValueError: There is none, or what is there hides nothing.
        """
        if not self.pseudonymise:
            return None
        secret, advice = self.pseudonym_secret, f"has {SECRET_CHARS_MIN} characters at least and no comma"
        former = tuple(one for part in self.former_pseudonym_secrets.split(",") if (one := part.strip()))
        if not secret:
            raise ValueError(
                "identity.pseudonymise is true but identity.pseudonym_secret is empty; put a secret into"
                " NEXTMOVE_IDENTITY_PSEUDONYM_SECRET: openssl rand -hex 32 makes one"
            )
        if len(secret) < SECRET_CHARS_MIN or "," in secret:
            raise ValueError(f"identity.pseudonym_secret is none: it {advice}; openssl rand -hex 32 makes one")
        if any(len(one) < SECRET_CHARS_MIN for one in former):
            raise ValueError(f"identity.former_pseudonym_secrets has what is none: each {advice} but between them")
        if secret in former:
            raise ValueError("identity.former_pseudonym_secrets has identity.pseudonym_secret, which is no former one")
        return secret, former

    def rules(self, source: str) -> IdentityRules:
        """Make the rules of who is who, for the events of one source."""
        told = self.limits
        limits = {
            "a": IdentifierLimit(count=told.devices_max, window_ms=told.devices_window_ms),
            "e": IdentifierLimit(count=told.emails_max, window_ms=told.emails_window_ms),
            "p": IdentifierLimit(count=told.phones_max, window_ms=told.phones_window_ms),
        }
        return IdentityRules(
            limits=limits,
            merges_max=told.merges_max,
            identifiers_max=told.identifiers_max,
            sharers_max=told.sharers_max,
            may_merge=source not in self.untrusted,
            may_ask=source in self.merging,
        )

    @property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """`blocked_patterns`, compiled."""
        return compiled("identity.blocked_patterns", self.blocked_patterns)
