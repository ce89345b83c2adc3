"""
Calls told leg by leg, and what the step `calls` makes of them.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from config.settings import Settings
from connectors.batches import RawBatch
from connectors.changelog import Changelog, Rewrites
from operators.call_record import CallRecord
from operators.event import FOREVER, Event
from operators.leg import Leg
from operators.rules import TimeRules
from pipeline.calls import Calls
from pipeline.messages import Decoded
from pipeline.tally import Tally

Told: TypeAlias = Any
BEGAN_AT: Final = 1_795_255_200_000
SECOND: Final = 1_000
HOUR: Final = 3_600_000
ANN: Final = "+4915112345678"
PBX: Final = "pbx/0"
TIME: Final = TimeRules(lateness_ms=30 * SECOND, live_within_ms=HOUR)


def leg(name: str, second: float, *states: str, call: str | Sequence[str] = "c-1", **told: Told) -> Event:
    """
    What a telephone system says of a leg, so many seconds after the beginning: that it is in these states.
    """
    at = BEGAN_AT + round(second * SECOND)
    calls = (call,) if isinstance(call, str) else tuple(call)
    said = Leg("pbx", name, calls, tuple((state, at) for state in states))
    for field, value in told.items():
        setattr(said, field, value)
    event_id = f"{name} {second} {' '.join(states)} {sorted(told.items())}"
    event = Event("call_leg", at, event_id, "phone", said.customer or name, phone=said.customer)
    event.leg, event.partition = said, PBX
    return event


def ann(second: float, *states: str, **told: Told) -> Event:
    """
    What is said of the customer's leg.
    """
    return leg("ann", second, *states, **({"party": "customer", "customer": ANN, "direction": "inbound"} | told))


def agent(name: str, second: float, *states: str, **told: Told) -> Event:
    """
    What is said of an agent's leg.
    """
    return leg(name, second, *states, party="agent", agent=name, **told)


class Exchange:
    """
    The step, with a changelog in `folder` if there is one.
    """

    def __init__(
        self, folder: Path | None = None, resume: bytes | None = None, partitions: Collection[str] = (PBX,)
    ) -> None:
        log = None if folder is None else Changelog(folder, "calls", Rewrites(), fsync=False)
        self.calls = Calls(Settings().call_rules(), TIME, log, resume, partitions, Tally())
        self.line = 0

    def hear(self, events: Iterable[Event], complete: int | None = None, partition: str = PBX) -> list[Event]:
        """
        Give it a batch; return what it told of calls.
        """
        batch = list(events)
        raw = RawBatch(partition, [b""] * len(batch), self.line, complete=complete)
        self.line += len(batch)
        taken = self.calls.take(Decoded(raw, batch, []))
        assert [event for event in taken.events if event.leg is not None] == batch, (
            "records of legs go on: time is theirs"
        )
        return [event for event in taken.events if event.leg is None]

    def end(self) -> list[Event]:
        """
        Let the input end.
        """
        return self.hear([], complete=FOREVER)


def told(events: Iterable[Event]) -> list[tuple[str, float]]:
    """
    What was told of calls and for when, in seconds after the beginning.
    """
    return [(event.kind, (event.at - BEGAN_AT) / SECOND) for event in events]


def records(events: Iterable[Event]) -> list[CallRecord]:
    """
    The records among what was told.
    """
    return [event.call for event in events if event.call is not None]


def record(*events: Event) -> CallRecord:
    """
    The one record of a call of which this is all that was heard.
    """
    exchange = Exchange()
    (found,) = records(exchange.hear(events) + exchange.end())
    return found
