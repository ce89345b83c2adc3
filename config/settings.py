"""What can be set: every setting with its type, bounds, default and the reason for it.

A duration is milliseconds here and `30m` in YAML, so its field carries the unit (`length_ms_max`) and its key
does not (`length_max`). `load` checks the bounds of what it reads; relations between settings
are checked however a `Settings` is made, so that no run begins with settings that contradict each other.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from config.durations import DAY, DURATION_MS_MAX, HOUR, MINUTE, SECOND, format_duration
from config.identity import IdentitySettings, SourceName
from config.kafka import KafkaSettings
from config.mapping import rules_of
from config.section import Delay, Instantly, Section, is_duration
from config.traffic import TrafficSettings
from config.visits import CallSettings, GapSettings, SessionSettings
from operators.mapping import MappingRules
from operators.rules import (
    CallRules,
    CartRules,
    FootprintRules,
    ProfileRules,
    SessionRules,
)

Retention = Annotated[int, Meta(ge=MINUTE, le=DURATION_MS_MAX)]
Count = Annotated[int, Meta(ge=1, le=1_000)]


class SourceSettings(Section, frozen=True, kw_only=True):
    """How records are read, and how far event time is complete."""

    batch_records: Annotated[int, Meta(ge=1, le=100_000)] = 5_000
    """Records read at once. Large enough that what a batch costs is spread thin, small enough (some 3 MB)
    that a trigger does not wait for the rest of its batch."""
    format: Annotated[str, Meta(min_length=1, max_length=256)] = "auto"
    """What the records are: a format's name, or a mapping's; `auto` tells by each record."""
    formats: dict[SourceName, Annotated[str, Meta(min_length=1, max_length=256)]] = msgspec.field(default_factory=dict)
    """The same for single topics or files, by their names."""
    mappings: dict[SourceName, str | dict[Any, Any] | list[Any]] = msgspec.field(default_factory=dict)
    """Formats of one's own, by their names: a mapping, a list of them that are tried in order, or the file that has
    either. `load` puts lists in place of all of them."""
    lateness_ms: Instantly = 30 * SECOND
    """How long the watermark waits for events that are on their way: 30 s, what a phone's or browser's queue
    holds back. Disorder within it changes no session, cart or timer."""
    file_watermark: Literal["exact", "lateness"] = "exact"
    """`exact`: a file that can be read twice is read once before, to find how far back later lines reach, so
    nothing in it is ever late. `lateness`: latest event time minus the lateness, as for a stream."""
    idle_after_ms: Annotated[int, Meta(ge=100, le=HOUR)] = SECOND
    """A silent stdin counts as read to its end after this, so that timers go on; 1 s keeps a due timer within
    the 1.5 s that are promised."""
    live_within_ms: Annotated[int, Meta(ge=SECOND, le=DAY)] = HOUR
    """The watermark of a silent pipe goes to the wall clock only if its latest event is at most this old: a
    paused replay of old data must not jump."""
    patience_ms: Annotated[int, Meta(ge=SECOND, le=DAY)] = 30 * SECOND
    """How long a visitor's timers wait for another shard that says nothing: longer than a restart takes. A lead's
    wait however long it takes, for a lead's events come from everywhere."""
    record_bytes_max: Annotated[int, Meta(ge=1_024, le=1_024 * 1_024)] = 1_024 * 1_024
    """A longer record is rejected. 1 MiB is the limit of a Kafka broker's default configuration."""

    def mapping_rules(self) -> dict[str, tuple[MappingRules, ...]]:
        """Make the rules of the mappings, as `load` leaves them.

        Raises:
            MappingError: one of them cannot be used, or is still the name of a file.
        """
        return {name: rules_of(mapping) for name, mapping in self.mappings.items()}


class CartSettings(Section, frozen=True, kw_only=True):
    """When a cart counts as abandoned."""

    browse_delay_ms: Delay = HOUR
    """Quiet time after products were viewed and none picked; longer than the cart's, as less was meant."""
    cart_delay_ms: Delay = 30 * MINUTE
    """Quiet time after the last change of a cart: the inactivity that ends a visit."""
    checkout_delay_ms: Delay = 30 * MINUTE
    """Quiet time after the last step of a checkout."""
    browse_views_min: Annotated[int, Meta(ge=0, le=1_000)] = 3
    """Products viewed before leaving counts as a browse intent: one or two are a glance. 0: it never does."""
    restart_on: Literal["activity", "cart_change"] = "activity"
    """What starts a delay again. `activity`: anything the person does on any channel, since who still browses
    has not left. `cart_change`: changes of the cart only."""
    age_ms_max: Annotated[int, Meta(ge=MINUTE, le=400 * DAY)] = 30 * DAY
    """A cart unchanged for longer expires instead of being abandoned, and a closed one is forgotten."""


class FootprintSettings(Section, frozen=True, kw_only=True):
    """How much is kept of what a profile has looked at; each entry costs state."""

    enabled: bool = True
    """Without footprints no view is counted and no offer made."""
    pages_max: Count = 10
    """Pages, the unseen for longest goes first; ten are what an agent's screen shows."""
    products_max: Count = 10
    """Products, as pages."""
    categories_max: Count = 5
    """Categories, the weakest interest goes first."""
    searches_max: Count = 5
    """Searches, the oldest goes first."""
    interest_half_life_ms: Annotated[int, Meta(ge=MINUTE, le=400 * DAY)] = 7 * DAY
    """Half of an interest is gone after this: a week spans the weekend between two visits."""


class DecisionSettings(Section, frozen=True, kw_only=True):
    """What is done next, which rules in files of their own say."""

    enabled: bool = True
    """Without decisions sessions and carts are still published, and no trigger."""
    journeys: Annotated[str, Meta(min_length=0, max_length=4_096)] = ""
    """A file of rules, or the folder whose *.yaml are; empty: the rules that come with the program. It is looked for
    beside the settings file that names it, of the environment in the folder that the process runs in."""
    reload_ms: Annotated[int, Meta(ge=0, le=HOUR)] = 2 * SECOND
    """How often it is looked whether these files have changed, and so how soon a new rule holds; 0: on SIGHUP only."""


class ProfileSettings(Section, frozen=True, kw_only=True):
    """How long a person is remembered."""

    anonymous_retention_ms: Retention = 30 * DAY
    """An anonymous profile without events is forgotten after this. Most never come back."""
    lead_retention_ms: Retention = 400 * DAY
    """As much for a known person: a year and a month, so that last year's Christmas is still known."""
    late_ms_max: Delay = DAY
    """An event further behind the watermark that belongs to no remembered session is rejected: a phone that
    was off overnight still counts."""


class DuplicatesSettings(Section, frozen=True, kw_only=True):
    """How long an event's id is remembered, to drop the event when it is sent again."""

    enabled: bool = True
    """Without it a repeat counts as an event of its own: for input that is known to have none."""
    across_sources: bool = False
    """Whether an id names one event whatever topic or file it comes from: where one stream lies in several files, as an
    archive's hours do, or two topics hold copies. Else each source has ids of its own, and two may use the same."""
    window_ms: Delay = DAY
    """Repeats within this are dropped; senders that retry give up within a day."""
    ids_max: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 2_000_000
    """Ids remembered at most, the oldest go first: a limit on memory, worth a day at 23 events a second."""


class CheckpointSettings(Section, frozen=True, kw_only=True):
    """How often state is saved, and where."""

    interval_ms: Annotated[int, Meta(ge=100, le=MINUTE)] = 2 * SECOND
    """Between two checkpoints: what a crash makes the next run do again."""
    folder: Annotated[str, Meta(min_length=0, max_length=4_096)] = ""
    """Folder in which state survives this process; empty: nothing does. `--recovery` outranks it."""
    fsync: bool = False
    """Wait for the disk at each checkpoint. A killed process loses nothing without; a power cut may."""


class DeadLettersSettings(Section, frozen=True, kw_only=True):
    """When so much is rejected that something else must be wrong."""

    ratio_max: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.5
    """Stop when more than this share of a source's last 1,000 records could not be read; 1 means never. Single
    broken senders stay below a half, a source in another format than is set does not."""


class OutputSettings(Section, frozen=True, kw_only=True):
    """What published records say of where they come from."""

    source: Annotated[str, Meta(min_length=1, max_length=1_024, pattern="^[!-~]+$")] = "/nextmove/local/main"
    """The `source` of each CloudEvent, a URI reference. With the id it must be unique: one a deployment."""


PORT_MAX: Final = 65_535


class TelemetrySettings(Section, frozen=True, kw_only=True):
    """Where Prometheus finds metrics."""

    port: Annotated[int, Meta(ge=0, le=PORT_MAX)] = 0
    """0: no metrics are served."""
    host: Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[!-~]+\Z")] = "0.0.0.0"  # noqa: S104 - no personal data in metrics, and Prometheus asks from another host
    """The address that is listened on; 0.0.0.0 are all of this machine's."""


Address = Annotated[
    str, Meta(min_length=3, max_length=260, pattern=r"^[!-~]+:[0-9]{1,5}\Z", description="of the form host:port")
]


class ClusterSettings(Section, frozen=True, kw_only=True):
    """Several processes that run one flow together, by the engine's own cluster mode."""

    process: Annotated[int, Meta(ge=0, le=9_999)] = 0
    """Which of `addresses` is this process's, from 0 on."""
    addresses: Annotated[tuple[Address, ...], Meta(min_length=0, max_length=1_000)] = ()
    """Where the members reach each other, the same list for each of them; empty: one process alone."""

    def __post_init__(self) -> None:
        """Refuse a process that has no address, and an address that two have."""
        if self.process >= max(1, len(self.addresses)):
            raise ValueError(
                f"cluster.process is {self.process} but cluster.addresses names {len(self.addresses)}: it must name"
                " all members, this one too"
            )
        if len(set(self.addresses)) < len(self.addresses):
            raise ValueError("cluster.addresses names an address twice; name each member once")
        for address in self.addresses:
            if not 1 <= int(address.rpartition(":")[2]) <= PORT_MAX:
                raise ValueError(f"cluster.addresses names {address}, whose port is not one of 1 to {PORT_MAX}")


class Settings(Section, frozen=True, kw_only=True):
    """All settings of one deployment."""

    key_groups: Annotated[int, Meta(ge=1, le=4_096)] = 128
    """Slices of all keys, in which state is held and saved; fixed for the life of the state. A multiple of
    each input topic's partitions. 128 is the least that Flink takes by default."""
    shard: Annotated[str, Meta(pattern=r"^([0-9]{1,4}|ordinal)/[0-9]{1,4}\Z", description="as in 0/2 or ordinal/2")] = (
        "0/1"
    )
    """Which of how many processes this is, from 0 on; ordinal: as the host's name ends, in a Kubernetes StatefulSet."""
    cluster: ClusterSettings = ClusterSettings()
    source: SourceSettings = SourceSettings()
    kafka: KafkaSettings = KafkaSettings()
    session: SessionSettings = SessionSettings()
    calls: CallSettings = CallSettings()
    cart: CartSettings = CartSettings()
    footprint: FootprintSettings = FootprintSettings()
    decision: DecisionSettings = DecisionSettings()
    profile: ProfileSettings = ProfileSettings()
    duplicates: DuplicatesSettings = DuplicatesSettings()
    traffic: TrafficSettings = TrafficSettings()
    identity: IdentitySettings = IdentitySettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    dead_letters: DeadLettersSettings = DeadLettersSettings()
    output: OutputSettings = OutputSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other, with the reason."""
        index, _, count = self.shard.partition("/")
        if not 1 <= int(count) <= self.key_groups or (index.isdecimal() and int(index) >= int(count)):
            raise ValueError(
                f"shard is {self.shard} but must be I/N with I from 0 to N - 1, and N at most key_groups,"
                f" {self.key_groups}: each shard needs one"
            )
        values_ms = durations(self)
        for key, word, others, reason in RELATIONS:
            value_ms, bound_ms = values_ms[key], sum(values_ms[other] for other in others)
            if value_ms < bound_ms or (word == "exceed" and value_ms == bound_ms):
                raise ValueError(
                    f"{key} is {format_duration(value_ms)} but must {word} {format_duration(bound_ms)}"
                    f" ({' + '.join(others)}): {reason}"
                )

    def call_rules(self) -> CallRules:
        """Make the rules of telephone calls."""
        return CallRules(**msgspec.structs.asdict(self.calls))

    def visitor_rules(self) -> ProfileRules:
        """Make the rules of anonymous profiles."""
        return self._rules(self.profile.anonymous_retention_ms, is_lead=False)

    def lead_rules(self) -> ProfileRules:
        """Make the rules of known ones, which differ in how long they are kept."""
        return self._rules(self.profile.lead_retention_ms, is_lead=True)

    def _rules(self, retention_ms: int, *, is_lead: bool) -> ProfileRules:
        gaps_ms = durations(self.session.gap)
        cart = self.cart
        return ProfileRules(
            sessions=SessionRules(
                gap_ms={channel: gap_ms for channel, gap_ms in gaps_ms.items() if gap_ms},
                length_ms_max=self.session.length_ms_max,
                memory_ms=self.session.memory_ms,
                stitch_ms=self.session.stitch_ms,
            ),
            carts=CartRules(
                browse_delay_ms=cart.browse_delay_ms,
                cart_delay_ms=cart.cart_delay_ms,
                checkout_delay_ms=cart.checkout_delay_ms,
                browse_views_min=cart.browse_views_min,
                restart_on_activity=cart.restart_on == "activity",
                age_ms_max=cart.age_ms_max,
            ),
            # The section is its rules, field by field; a field of only one side fails here.
            footprint=FootprintRules(**msgspec.structs.asdict(self.footprint)),
            retention_ms=retention_ms,
            lateness_ms=self.source.lateness_ms,
            is_lead=is_lead,
            rate_max=self.traffic.rate_max,
            rate_ban_ms=self.traffic.rate_ban_ms,
            late_ms_max=self.profile.late_ms_max,
        )


def durations(section: Section, prefix: str = "") -> dict[str, int]:
    """List the durations of a section and of those in it, in ms, by key: `session.gap.web`."""
    found: dict[str, int] = {}
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            found |= durations(value, f"{prefix}{field.encode_name}.")
        elif is_duration(field.name):
            found[prefix + field.encode_name] = value
    return found


Relation = tuple[str, Literal["exceed", "be at least"], tuple[str, ...], str]
"""A key, how it must compare, the keys whose sum it is compared with, and why."""

_GAPS: Final = tuple(f"session.gap.{field.encode_name}" for field in msgspec.structs.fields(GapSettings))
_DELAYS: Final = ("cart.browse_delay", "cart.cart_delay", "cart.checkout_delay")


def _retention(key: str) -> tuple[Relation, ...]:
    """List what a profile must outlive, whether visitor's or lead's."""
    late = "a late event must find its profile, not begin one that is already over"
    return (
        (key, "exceed", ("session.length_max",), "a profile must outlive its open session"),
        *((key, "exceed", (delay,), "a profile must outlive its open cart") for delay in _DELAYS),
        (key, "exceed", ("profile.late_max",), late),
    )


RELATIONS: Final[tuple[Relation, ...]] = (
    (
        "source.live_within",
        "exceed",
        ("source.idle_after", "source.lateness"),
        "when a live pipe falls silent, its latest event may already be this old",
    ),
    *(("session.length_max", "exceed", (gap,), "two events must fit into a session") for gap in _GAPS),
    # A session is remembered from its last event on, and closes only a gap after that.
    *(("session.memory", "exceed", (gap,), "a session would be forgotten as it closes") for gap in _GAPS),
    (
        "session.memory",
        "be at least",
        ("source.lateness",),
        "an event as late as is allowed must find the session that it belongs to",
    ),
    *(("cart.age_max", "exceed", (d,), "a cart would expire before it is abandoned") for d in _DELAYS),
    (
        "profile.late_max",
        "be at least",
        ("session.memory",),
        "an event that a remembered session would take must not be too late for its profile",
    ),
    (
        "identity.ttl",
        "exceed",
        ("profile.lead_retention",),
        "an identifier would be forgotten before the profile that it leads to",
    ),
    (
        "duplicates.window",
        "be at least",
        ("source.lateness",),
        "a repeat that is not late must be recognised",
    ),
    *_retention("profile.anonymous_retention"),
    *_retention("profile.lead_retention"),
)
