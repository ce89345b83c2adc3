"""What leads leave to each other, in Redis: a hash for each lead, by the tag of the hand-over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.redis_patience import PatientRedis

GIVEN: Final = "#given:"
# The longest that a deployment may be away and still find what one lead has handed to another (design section 5).
GIVEN_MS: Final = 7 * 86_400_000


class RedisHandOvers:
    """Keeps states for whoever takes them."""

    def __init__(self, patient: PatientRedis, prefix: str) -> None:
        """Ask that Redis, by keys with that prefix."""
        self._redis, self._prefix = patient, prefix

    def give(self, tag: str, state: bytes) -> None:
        """Keep a state for whoever takes it, as often as they do, for some days."""
        key = self._given(tag)

        def put() -> None:
            with self._redis.client.pipeline(transaction=False) as both:
                both.hset(key, tag, state)
                both.pexpire(key, GIVEN_MS)
                both.execute()

        self._redis.ask("hand_over", put)

    def take(self, tags: Sequence[str]) -> dict[str, bytes]:
        """Return which of the states are there."""

        def get() -> list[bytes | None]:
            with self._redis.client.pipeline(transaction=False) as all_:
                for tag in tags:
                    all_.hget(self._given(tag), tag)
                states: list[bytes | None] = all_.execute()
                return states

        states: list[bytes | None] = self._redis.ask("hand_over", get)
        return {tag: state for tag, state in zip(tags, states, strict=True) if state is not None}

    def forget(self, lead: str) -> None:
        """Let go of what a lead has left to others."""
        self._redis.ask("hand_over", lambda: self._redis.client.delete(self._given(lead)))

    def _given(self, tag: str) -> str:
        """Return the key of all that a lead leaves to others: a tag begins with the lead."""
        return f"{self._prefix}{GIVEN}{tag.partition('@')[0]}"
