"""Refractory periods: how long an action rests after it was taken, and after somebody has said no.

Says no who declines, and who ignores: has had it delivered or shown, and has not opened, clicked or accepted it before
a span was over. What has that many negatives within `within_ms` rests for `pause_ms` from the last of them on. Spans
end as everywhere: two negatives exactly `within_ms` apart do not count together, after exactly `pause_ms` it is over.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators.contacts import Contacts, Key

SCOPES: Final = ("action", "family", "all")
NEGATIVES: Final = ("declined", "ignored")

NEGATIVES_MAX: Final = 20
"""Of outcomes of a kind fifty are remembered."""

_NO_NAMES: Final = ("", "", "", "")


@mypyc_attr(acyclic=True)
class Refractory:
    """What pauses actions: `negatives` within `within_ms` pause for `pause_ms`.

    `scope` tells what is counted and paused together: the action, its family, or all. `counts` are the kinds of
    negatives; ignored is what nobody has answered within `ignored_ms`.
    """

    def __init__(
        self,
        scope: str,
        negatives: int,
        within_ms: int,
        pause_ms: int,
        counts: tuple[str, ...] = ("declined",),
        ignored_ms: int = 0,
    ) -> None:
        """Make a rule.

        Raises:
            ValueError: It says nothing, or what cannot be.
        """
        if scope not in SCOPES:
            raise ValueError(f"a pause's scope is {scope!r} but must be one of {', '.join(SCOPES)}")
        if not 1 <= negatives <= NEGATIVES_MAX:
            raise ValueError(f"a pause is after {negatives} negatives but must be after 1 to {NEGATIVES_MAX}")
        if within_ms <= 0 or pause_ms <= 0:
            raise ValueError(f"a pause of {pause_ms} ms counts within {within_ms} ms but both must be above 0")
        if not counts or any(kind not in NEGATIVES for kind in counts):
            raise ValueError(f"a pause counts {', '.join(counts) or 'nothing'} but must count {' or '.join(NEGATIVES)}")
        if ("ignored" in counts) != (ignored_ms > 0):
            raise ValueError(f"something is ignored after {ignored_ms} ms: above 0 if that counts, else 0")
        self.scope = scope
        self.negatives = negatives
        self.within_ms = within_ms
        self.pause_ms = pause_ms
        self.counts = counts
        self.ignored_ms = ignored_ms

    @property
    def reach_ms(self) -> int:
        """How far before an instant lies what can still pause then; how close a single negative is does not matter."""
        counted_ms = self.within_ms if self.negatives > 1 else 0
        return self.ignored_ms + counted_ms + self.pause_ms


@mypyc_attr(acyclic=True)
class Pause:
    """Why an action rests: the rule, the instants of the negatives that did it, and until when."""

    def __init__(self, rule: Refractory, negatives: list[int], until: int) -> None:
        self.rule = rule
        self.negatives = negatives
        self.until = until


def paused(contacts: Contacts, rule: Refractory, action: str, family: str, at: int) -> Pause | None:
    """Return why `action` rests at the instant `at`, None where it does not."""
    instants = _negatives(contacts, rule, action, family, at)
    count = rule.negatives
    for i in range(len(instants) - 1, count - 2, -1):
        since = instants[i]
        if at - since < rule.pause_ms and since - instants[i - count + 1] < rule.within_ms:
            return Pause(rule, instants[i - count + 1 : i + 1], since + rule.pause_ms)
    return None


def cooling_until(contacts: Contacts, action: str, about: str, cooldown_ms: int, at: int) -> int | None:
    """Return until when `action` rests after it was taken `about` the same; None where it does not.

    As events come in any order, one up to the cooldown *before* the last time is as close to it. Where more was
    taken in that time than is remembered, it rests: better once too seldom.
    """
    line = contacts.lines.get(("fired", "", "", action))
    if line is None:
        return None
    for fired_at, told in reversed(line.entries):
        if told == about and abs(at - fired_at) < cooldown_ms:
            return fired_at + cooldown_ms
    if line.dropped_at >= 0 and at - line.dropped_at < cooldown_ms:
        return line.dropped_at + cooldown_ms
    return None


def _negatives(contacts: Contacts, rule: Refractory, action: str, family: str, at: int) -> list[int]:
    """Return the instants up to `at` at which somebody said no, in order, one a trigger."""
    names = contacts.names() if rule.scope != "all" else {}
    declined = {
        id_: declined_at
        for declined_at, id_ in contacts.of("declined")
        if declined_at <= at and _is_meant(names.get(id_, _NO_NAMES), rule, action, family)
    }
    found = dict(declined) if "declined" in rule.counts else {}
    if "ignored" in rule.counts:
        answered: dict[str, int] = {}
        for kind in ("opened", "clicked", "accepted"):
            for answered_at, id_ in contacts.of(kind):
                answered[id_] = min(answered_at, answered.get(id_, answered_at))
        for seen_at, id_ in contacts.of("delivered") + contacts.of("shown"):
            ignored_at = seen_at + rule.ignored_ms
            if ignored_at > at or id_ in declined or not _is_meant(names.get(id_, _NO_NAMES), rule, action, family):
                continue
            if answered.get(id_, ignored_at) >= ignored_at:
                found[id_] = min(ignored_at, found.get(id_, ignored_at))
    return sorted(found.values())


def _is_meant(names: Key, rule: Refractory, action: str, family: str) -> bool:
    """Whether a trigger of these names is counted together with the action."""
    if rule.scope == "action":
        return names[3] == action
    return rule.scope == "all" or names[2] == family
