"""Priority and arbitration: what is worth most goes first, at most one of what excludes each other, so many a slot.

Priority is P x C x V x L, as Pega has it (contracts section 4), with every factor kept, for whoever asks why.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

from mypy_extensions import mypyc_attr

FACTORS: Final = ("propensity", "context", "value", "levers")


@mypyc_attr(acyclic=True)
class Priority:
    """The factors and their product, `score`.

    `p` is the propensity, 0 to 1; `c` and `l` are weights, 1 without any; `v` is the value in the shop's currency.
    """

    def __init__(self, p: float, c: float, v: float, l: float) -> None:  # noqa: E741 -- the formula's own name
        """Multiply the factors.

        Raises:
            ValueError: One is no number, below 0, or so large that the product is none; or a propensity above 1.
        """
        for name, factor in zip(FACTORS, (p, c, v, l), strict=True):
            if not (isfinite(factor) and factor >= 0):
                raise ValueError(f"{name} is {factor} but must be a number from 0 on")
        if p > 1:
            raise ValueError(f"propensity is {p} but must be 0 to 1")
        score = p * c * v * l
        if not isfinite(score):
            raise ValueError(f"{p} x {c} x {v} x {l} is too large to compare")
        self.p = p
        self.c = c
        self.v = v
        self.l = l
        self.score = score

    def factors(self) -> dict[str, float]:
        """Return what a trigger says of its priority."""
        return {"p": self.p, "c": self.c, "v": self.v, "l": self.l, "score": self.score}


def context_factor(weights: Sequence[float]) -> float:
    """Return C: 1 and a hundredth of the weights of all conditions that hold, -100 and less together make it 0."""
    return max(0.0, 1.0 + sum(weights) / 100.0)


def lever_factor(issue: float, group: float, action: float) -> float:
    """Return L: 1 and a hundredth of the business's weights; 55 makes 1.55."""
    return context_factor((issue, group, action))


@mypyc_attr(acyclic=True)
class Candidate:
    """An action that could be taken; `group` is what it excludes and is excluded by, "" for nothing."""

    def __init__(self, trigger_id: str, action: str, group: str, slot: str, priority: Priority) -> None:
        self.trigger_id = trigger_id
        self.action = action
        self.group = group
        self.slot = slot
        self.priority = priority


@mypyc_attr(acyclic=True)
class Loss:
    """A candidate that was not taken: `excluded` or `outranked`, and by which winner."""

    def __init__(self, candidate: Candidate, reason: str, winner: Candidate) -> None:
        self.candidate = candidate
        self.reason = reason
        self.winner = winner

    @property
    def detail(self) -> str:
        """What is said of it, as `outranked by cart_abandoned_email (3.0 to 1.2)`."""
        mine, its = self.candidate.priority.score, self.winner.priority.score
        return f"{self.reason} by {self.winner.action} ({its:g} to {mine:g})"


def arbitrate(candidates: Sequence[Candidate], per_slot: int = 1) -> tuple[list[Candidate], list[Loss]]:
    """Return who wins, the most valuable first, and for each of the others its one reason.

    Candidates go by falling score, then by action and trigger id, so that no two are equal. One loses that is of the
    group of a winner, or whose slot is full; who has lost keeps nobody else out, so the reason always names a winner.
    """
    assert per_slot >= 1, "a slot takes at least one"
    assert len({one.trigger_id for one in candidates}) == len(candidates), "each candidate is one"
    by_group: dict[str, Candidate] = {}
    by_slot: dict[str, list[Candidate]] = {}
    winners: list[Candidate] = []
    losses: list[Loss] = []
    for one in sorted(candidates, key=_order):
        rival = by_group.get(one.group) if one.group else None
        if rival is not None:
            losses.append(Loss(one, "excluded", rival))
            continue
        taken = by_slot.setdefault(one.slot, [])
        if len(taken) >= per_slot:
            losses.append(Loss(one, "outranked", taken[-1]))
            continue
        taken.append(one)
        winners.append(one)
        if one.group:
            by_group[one.group] = one
    return winners, losses


def _order(candidate: Candidate) -> tuple[float, str, str]:
    return -candidate.priority.score, candidate.action, candidate.trigger_id
