"""Contact policy as journeys' files write it, into the parts of `operators/rule_book.py`."""

from __future__ import annotations

import re
from typing import Final

from config.durations import DAY, DURATION_MS_MAX, SECOND, format_duration
from config.marked import Marked
from config.shown import unknown
from config.zones import names, zones
from operators.attribution import WINDOWS, Attribution
from operators.caps import LIMIT_MAX, SCOPES, Cap
from operators.consent import ALL, PURPOSES, ConsentRules, meaning
from operators.contacts import TOUCHES
from operators.experiment import Experiment
from operators.local_time import Zones
from operators.refractory import NEGATIVES, NEGATIVES_MAX, Refractory
from operators.refractory import SCOPES as PAUSED
from operators.rule_book import CHANNELS, ON_QUIET, Policy, Quiet
from operators.trigger import FAMILIES

SPAN_MS_MAX: Final = 400 * DAY
"""A year and a month, as leads are kept by default."""

EXPERIMENT_OF_ALL: Final = "all"
"""The name of the control group of everything."""

DEFAULTS: Final = {"onsite": True, "chat": True, "agent": True, "crm": True}
"""Consents where nobody has said anything and the policy does not either: who is there may be talked to, our own people
may be told, and nobody is written to."""

EXEMPT: Final = ("transactional", "service")
"""Purposes that need no consent where the policy does not say which."""

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
NAME_WORDS: Final = "a name of a to z, 0 to 9 and _, 1 to 100 characters, a letter first"

_LOCAL: Final = ("local_day", "local_week")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
POLICY_KEYS: Final = ("consent", "time_zone", "time_zones", "caps", "pauses", "quiet", "holdout", "attribution")


class PolicyRead:
    """A policy as it was read: what it says itself, and what the rules need of it.

    `retention_ms` is how long a profile without events is kept: what is to be remembered for longer is an error.
    """

    def __init__(self, retention_ms: int) -> None:
        self.retention_ms = retention_ms
        self.exempt: tuple[str, ...] = EXEMPT
        self.attribution: Marked | None = None
        self.actions: list[Marked] = []
        """Actions that caps name; whether there are such is known when all rules are read."""
        self.policy = Policy(ConsentRules(DEFAULTS, frozenset(EXEMPT)), zones("UTC", {}), Attribution(dict(WINDOWS)))

    def read(self, raw: Marked) -> None:
        """Take in what a file says; what is wrong with it is noted, or raised."""
        table, policy = raw.table(POLICY_KEYS), self.policy
        note = raw.source.noting
        if "consent" in table:
            with note():
                self._consent(table["consent"])
        if "time_zone" in table or "time_zones" in table:
            with note():
                policy.zones = _zones(table.get("time_zone"), table.get("time_zones"))
        if "caps" in table:
            with note():
                policy.caps = caps_of(table["caps"], self)
        if "pauses" in table:
            with note():
                policy.pauses = [pause for one in table["pauses"].items() for pause in self._pause(one)]
        if "quiet" in table:
            with note():
                policy.quiet = quiet_of(table["quiet"])
        if "holdout" in table:
            with note():
                policy.experiment = experiment_of(table["holdout"], EXPERIMENT_OF_ALL, None)
        if "attribution" in table:
            with note():
                self.attribution = table["attribution"]
                policy.attribution = Attribution(_windows(self.attribution))

    def _consent(self, raw: Marked) -> None:
        table = raw.table(("defaults", "exempt", "valid"))
        defaults, valid_ms = dict(DEFAULTS), 0
        if "defaults" in table:
            defaults = {}
            for name, given in table["defaults"].table().items():
                with raw.source.noting():
                    channel, purpose = meaning(name)
                    if (channel and channel not in CHANNELS) or (purpose and purpose not in PURPOSES):
                        raise given.fault(unknown("channel or purpose", name, (*CHANNELS, *sorted(PURPOSES), ALL)))
                    defaults[name] = given.flag()
        if "exempt" in table:
            exempt = table["exempt"]
            self.exempt = exempt.words(sorted(PURPOSES), "purpose") if exempt.several() else ()
        if "valid" in table:
            valid_ms = table["valid"].duration_ms(0, DURATION_MS_MAX)
        self.policy.consent = ConsentRules(defaults, frozenset(self.exempt), valid_ms)

    def _pause(self, raw: Marked) -> list[Refractory]:
        """Make a pause; none of one with a fault, which is noted."""
        with raw.source.noting():
            table = raw.table(
                ("scope", "negatives", "within", "pause", "counts", "ignored_after"),
                ("scope", "negatives", "within", "pause"),
            )
            counts = table["counts"].words(NEGATIVES, "negative") if "counts" in table else ("declined",)
            ignored_ms = table["ignored_after"].duration_ms(0, SPAN_MS_MAX) if "ignored_after" in table else 0
            if ("ignored" in counts) != (ignored_ms > 0):
                raise table.get("ignored_after", raw).fault(
                    "a pause that counts what is ignored needs ignored_after above 0s: until when somebody can answer"
                    if "ignored" in counts
                    else "ignored_after is given but counts has no ignored"
                )
            pause = Refractory(
                table["scope"].word(PAUSED),
                table["negatives"].count(1, NEGATIVES_MAX),
                table["within"].duration_ms(SECOND, SPAN_MS_MAX),
                table["pause"].duration_ms(SECOND, SPAN_MS_MAX),
                counts,
                ignored_ms,
            )
            if pause.reach_ms > self.retention_ms:
                raise table["pause"].fault(beyond("the pause", pause.reach_ms, self.retention_ms))
            return [pause]
        return []


def caps_of(raw: Marked, policy: PolicyRead) -> list[Cap]:
    """Make caps of a list; faults of each are noted."""
    return [cap for one in raw.items() for cap in _cap(one, policy)]


def _cap(raw: Marked, policy: PolicyRead) -> list[Cap]:
    with raw.source.noting():
        table = raw.table(("scope", "name", "limit", "per"), ("scope", "limit", "per"))
        scope, name = table["scope"].word(SCOPES), ""
        if "name" in table:
            one = table["name"]
            if scope == "all":
                raise one.fault("a cap on all has no name")
            known = {"channel": CHANNELS, "family": FAMILIES}.get(scope)
            name = one.matching(NAME, NAME_WORDS) if known is None else one.word(known, scope)
            if scope == "action":
                policy.actions.append(one)
        per = table["per"]
        limit = table["limit"].count(1, LIMIT_MAX)
        if per.plain in _LOCAL:
            cap = Cap(scope, name, limit, per.text())
        else:
            cap = Cap(scope, name, limit, "rolling", per.duration_ms(SECOND, SPAN_MS_MAX, "local_day, local_week or "))
        if cap.reach_ms > policy.retention_ms:
            raise per.fault(beyond("the cap", cap.reach_ms, policy.retention_ms))
        return [cap]
    return []


def quiet_of(raw: Marked) -> Quiet | None:
    """Make quiet hours, None of `off`."""
    if raw.plain == "off" or raw.plain is False:
        return None
    table = raw.table(("from", "to", "channels", "on"), ("from", "to"))
    from_minute, to_minute = _minute(table["from"]), _minute(table["to"])
    if from_minute == to_minute:
        raise table["to"].fault("to is the same as from, so it would always be quiet; leave the channel out instead")
    on = table["on"].word(ON_QUIET) if "on" in table else ON_QUIET[0]
    channels = table["channels"].words(CHANNELS, "channel") if "channels" in table else ()
    return Quiet(from_minute, to_minute, on, frozenset(channels))


def experiment_of(holdout: Marked | None, name: str, variants: Marked | None) -> Experiment | None:
    """Make an experiment, None where nobody is held out and there are no variants."""
    share = 0.0 if holdout is None else holdout.number(0, 1)
    weights: dict[str, float] = {}
    if variants is not None:
        for variant, weight in variants.table().items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", variant):
                raise weight.fault(f"the variant {variant} must have a name of letters, digits, _, - and .")
            weights[variant] = weight.number(0)
    if not share and not weights:
        return None
    try:
        return Experiment(name, share, weights)
    except ValueError as error:
        about = holdout if str(error).startswith("the holdout") else variants
        assert about is not None, "what is wrong is given"
        raise about.fault(str(error)) from None


def beyond(what: str, reach_ms: int, retention_ms: int) -> str:
    """Say that something is to be remembered for longer than anybody is."""
    return (
        f"{what} reaches {format_duration(reach_ms)} back but profiles are kept for {format_duration(retention_ms)}:"
        " a profile forgotten sooner forgets that it was contacted"
    )


def _zones(default: Marked | None, by_prefix: Marked | None) -> Zones:
    name = "UTC" if default is None else default.word(names(), "time zone")
    prefixes: dict[str, str] = {}
    for prefix, zone in ({} if by_prefix is None else by_prefix.table()).items():
        prefixes[prefix] = zone.word(names(), "time zone")
        try:
            zones("UTC", {prefix: prefixes[prefix]})
        except ValueError as error:
            raise zone.fault(str(error)) from None
    return zones(name, prefixes)


def _windows(raw: Marked) -> dict[tuple[str, str], int]:
    windows: dict[tuple[str, str], int] = {}
    for channel, touches in raw.table(CHANNELS).items():
        for touch, window in touches.table(TOUCHES).items():
            windows[channel, touch] = window.duration_ms(SECOND, SPAN_MS_MAX)
    return windows


def _minute(raw: Marked) -> int:
    """Return a time of day in minutes; unquoted, YAML would take 21:00 for 1260."""
    found = _TIME.fullmatch(raw.written())
    if found is None:
        raise raw.fault(f"{raw.what} is {raw.written()} but must be a time of day from 00:00 to 23:59")
    return 60 * int(found[1]) + int(found[2])
