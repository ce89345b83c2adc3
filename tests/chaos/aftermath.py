"""What the faults did to the processes and to the pace of triggers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Protocol

from tests.chaos.audit import Verdict, instant
from tests.chaos.evidence import Trigger
from tests.chaos.faults import RECOVERY_S_MAX, Happened
from tests.chaos.supervisor import STOP_S_MAX, Exit

# A process that is started while a server is away waits half a minute for an answer, says so and ends.
START_S_MAX: Final = 40.0
WRONG_USAGE: Final = 2
"""The exit code of a start under rules that cannot be used."""


class Ended(Protocol):
    """What there is to know of processes that have ended (`Deployment` knows it)."""

    @property
    def exits(self) -> list[Exit]:
        """How each ended."""

    @property
    def stops_s(self) -> list[float]:
        """How long each stop by SIGTERM took."""

    def outputs(self) -> list[str]:
        """Return what each has printed on stdout."""


def processes(
    verdict: Verdict,
    deployments: Sequence[Ended],
    happened: Sequence[Happened],
    broken: Sequence[tuple[float, float]] = (),
) -> None:
    """A process ends when it is told to and not before, but for one that cannot start for want of a server or of rules.

    `broken` is from when to when (s since the epoch) the rules could not be used.
    """
    exits = [one for deployment in deployments for one in deployment.exits]
    stops_s = [seconds for deployment in deployments for seconds in deployment.stops_s]
    summaries = [text for deployment in deployments for text in deployment.outputs()]
    refused = [e for e in exits if not e.is_ours and e.code == 1 and _is_without_server(e, happened)]
    without_rules = [e for e in exits if not e.is_ours and _is_without_rules(e, broken)]
    others = [e for e in exits if not e.is_clean and e not in refused and e not in without_rules]
    verdict.count("processes of nextmove", f"{len(exits):,}")
    verdict.count("starts refused while a server was away", f"{len(refused):,}")
    if broken:
        verdict.count("starts refused while the rules were broken", f"{len(without_rules):,}")
    told = [f"code {e.code} after {e.ended_at - e.began_at:.1f} s, having said: {e.words}" for e in others]
    verdict.count("unexpected exits", str(verdict.none_of("unexpected exits", told)))
    verdict.none_of("stops that took too long", [f"{seconds:.1f} s" for seconds in stops_s if seconds > STOP_S_MAX])
    verdict.count("longest stop by SIGTERM", f"{max(stops_s, default=0):.1f} s")
    verdict.none_of("runs whose books do not balance", [text for text in summaries if not balances(text)])
    late = [done.kind for done in happened if not done.has_recovered]
    verdict.none_of(f"faults not recovered from in {RECOVERY_S_MAX:.0f} s", late)


def balances(summary: str) -> bool:
    """Whether the summary of a run, if there is one, accounts for each record read."""
    for line in summary.splitlines():
        if line.startswith("Records"):
            read, *others = [int(word.replace(",", "")) for word in line.split() if word[0].isdigit()]
            return read == sum(others)
    return True


def timing(verdict: Verdict, triggers: Sequence[Trigger], happened: Sequence[Happened]) -> dict[str, list[float]]:
    """Return by kind of fault the seconds from its end to the next trigger on something later."""
    told = sorted((trigger.seen_at, instant(trigger.cause.time) / 1000) for trigger in triggers)
    silences = [later - earlier for (earlier, _), (later, _) in pairwise(told)]
    verdict.count("longest silence of triggers", f"{max(silences, default=0):.1f} s")
    found: dict[str, list[float]] = {}
    for done in happened:
        later = [at - done.ended_at for at, cause_at in told if cause_at > done.ended_at]
        if later:
            found.setdefault(done.kind, []).append(max(0.0, min(later)))
    return found


def _is_without_server(exit_: Exit, happened: Sequence[Happened]) -> bool:
    """Whether a process was young and some fault under way, or over for less than a second, when it ended."""
    is_young = exit_.ended_at - exit_.began_at <= START_S_MAX
    return is_young and any(done.began_at <= exit_.ended_at <= done.ended_at + 1 for done in happened)


def _is_without_rules(exit_: Exit, broken: Sequence[tuple[float, float]]) -> bool:
    """Whether a process was young and the rules were broken when it read them."""
    is_young = exit_.ended_at - exit_.began_at <= START_S_MAX
    during = any(begin <= exit_.ended_at and exit_.began_at <= end for begin, end in broken)
    return exit_.code == WRONG_USAGE and is_young and during
