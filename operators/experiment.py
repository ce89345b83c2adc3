"""Experiments: who is held out, and who gets which variant, by a hash of the assignment id.

The assignment id is a person's first anonymous id, kept through merges: so nobody changes sides by being recognised.
It is hashed under the experiment's name, so that who is in which arm of one experiment says nothing about another.

- Held out is whose bucket, 0 to 9999, lies below the share. A larger share holds out the same people and more.
- A variant is drawn apart from that. Each has a draw of its own for each person, the earlier the greater its weight,
  and the earliest wins (weighted rendezvous hashing). So with another weight, or one variant more or less, only those
  change who come to that variant or leave it.
"""

from __future__ import annotations

from hashlib import blake2b
from math import isfinite, log
from typing import Final

from mypy_extensions import mypyc_attr

BUCKETS: Final = 10_000
"""As Braze has them: shares go by hundredths of a percent."""

VARIANTS_MAX: Final = 20
"""Each costs a hash of who is assigned."""

_DRAWS: Final = 1 << 64


@mypyc_attr(acyclic=True)
class Experiment:
    """Who is held out of something, and which variant of it the others get."""

    def __init__(self, name: str, holdout_share: float, variants: dict[str, float]) -> None:
        """Name the experiment; changing the name draws everybody anew.

        Args:
            name: What no other experiment is called.
            holdout_share: 0 to 1, in steps of 0.0001.
            variants: The weight of each by its name, in proportion to the others'; none for no variants.

        Raises:
            ValueError: A name is empty, or a share or weight cannot be one.
        """
        if not name or not all(variants):
            raise ValueError("an experiment or a variant of it has no name but must have one")
        if not 0 <= holdout_share <= 1:
            raise ValueError(f"the holdout of {name} is {holdout_share} but must be 0 to 1")
        held_out = round(holdout_share * BUCKETS)
        if abs(held_out - holdout_share * BUCKETS) > 1e-6:
            raise ValueError(f"the holdout of {name} is {holdout_share} but must go by steps of 0.01 %")
        if len(variants) > VARIANTS_MAX:
            raise ValueError(f"{name} has {len(variants)} variants but may have {VARIANTS_MAX}")
        for variant, weight in variants.items():
            if not (isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of {variant} in {name} is {weight} but must be a number from 0 on")
        if variants and not any(variants.values()):
            raise ValueError(f"all variants of {name} have the weight 0 but one must have more")
        self.name = name
        self._held_out = held_out
        self._holdout_key = _key(name, "holdout")
        # By name, so that the order in a file does not matter, not even in a draw.
        self._variants = [
            (one, weight, _key(name, "variant", one)) for one, weight in sorted(variants.items()) if weight
        ]

    def bucket(self, assignment_id: str) -> int:
        """Return a number from 0 to 9999 that is this person's in this experiment."""
        return _draw(assignment_id, self._holdout_key) % BUCKETS

    def holds_out(self, assignment_id: str) -> bool:
        """Whether this person is in the control group."""
        return self._held_out > 0 and self.bucket(assignment_id) < self._held_out

    def variant(self, assignment_id: str) -> str:
        """Return this person's variant, whether held out or not; "" where there are none."""
        if len(self._variants) < 2:
            return self._variants[0][0] if self._variants else ""
        chosen, earliest = "", float("inf")
        for name, weight, key in self._variants:
            # From (0, 1], so its logarithm is finite; an exponential variable with the weight as its rate.
            waited = -log((_draw(assignment_id, key) + 1) / _DRAWS) / weight
            if waited < earliest:
                chosen, earliest = name, waited
        return chosen

    def arm(self, assignment_id: str) -> str | None:
        """Return this person's variant, "" where there are none, None for who is held out."""
        return None if self.holds_out(assignment_id) else self.variant(assignment_id)


def _key(*parts: str) -> bytes:
    """Return what sets the draws of one purpose apart; BLAKE2b takes 16 bytes for that."""
    return blake2b("\x1f".join(parts).encode(errors="surrogatepass"), digest_size=16).digest()


def _draw(assignment_id: str, key: bytes) -> int:
    hashed = blake2b(assignment_id.encode(errors="surrogatepass"), digest_size=8, person=key)
    return int.from_bytes(hashed.digest(), "big")
