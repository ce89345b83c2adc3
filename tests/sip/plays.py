"""
The calls that are placed, what must be found out of each, and the stage they are played on.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.services.process import free_ports
from tests.sip.records import CUSTOMER, Record
from tests.sip.servers import AGENTS, Kamailio, Listener, Phone

SETTLE_S: Final = 1.0  # accounting is fetched ten times a second
READY_S: Final = 0.3  # until a SIPp that waits for calls does


class Span(NamedTuple):
    """Milliseconds, both ends included: phones wait as long as they are told, and a busy machine longer."""

    least: int
    most: int


class Play(NamedTuple):
    """A call: who plays what, and what its record must say. The customer calls the agent `number` of 2000."""

    name: str
    customer: str
    agents: Sequence[str]
    number: int
    reason: str
    answered_by: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()
    holds: int = 0
    wait_ms: Span = Span(0, 1_500)
    talk_ms: Span = Span(0, 0)
    hold_ms: Span = Span(0, 0)

    @property
    def called(self) -> str:
        """The number that the customer dials."""
        return f"+1800555010{self.number}"


PLAYS: Final = (
    Play(
        "answered",
        "customer_talks",
        ["agent_answers"],
        1,
        "completed",
        ("2001",),
        wait_ms=Span(450, 2_000),
        talk_ms=Span(950, 2_500),
    ),
    Play("busy", "customer_is_refused", ["agent_is_busy"], 2, "busy"),
    Play("no answer", "customer_waits_in_vain", ["agent_does_not_answer"], 3, "no_answer", wait_ms=Span(2_000, 5_000)),
    Play("given up", "customer_gives_up", ["agent_does_not_answer"], 3, "abandoned", wait_ms=Span(900, 2_500)),
    Play(
        "held",
        "customer_is_held",
        ["agent_holds"],
        4,
        "completed",
        ("2004",),
        holds=1,
        wait_ms=Span(450, 2_000),
        talk_ms=Span(900, 2_500),
        hold_ms=Span(950, 2_500),
    ),
    Play(
        "transferred",
        "customer_is_transferred",
        ["agent_transfers", "agent_answers"],
        5,
        "completed",
        ("2005", "2006"),
        ("blind:2006",),
        wait_ms=Span(450, 2_000),
        talk_ms=Span(1_700, 5_000),
    ),
)


def perform(folder: Path, plays: Sequence[Play] = PLAYS) -> tuple[list[tuple[int, bytes]], list[str]]:
    """
    Place the calls one after the other; return what the proxy said, with the instant of its coming, and what failed.

    Raises UnavailableError where a program is not there.
    """
    ports = free_ports(AGENTS + 1)
    faults: list[str] = []
    with Listener() as listener:
        proxy = Kamailio(folder / "kamailio", listener.port, ports[:AGENTS])
        proxy.start()
        try:
            for play in plays:
                faults += _placed(play, folder / play.name.replace(" ", "_"), proxy.port, ports)
            time.sleep(SETTLE_S)
        finally:
            proxy.stop()
    return listener.lines, faults


def _placed(play: Play, folder: Path, proxy_port: int, ports: Sequence[int]) -> list[str]:
    folder.mkdir()
    phones: list[Phone] = []
    try:
        for offset, scenario in enumerate(play.agents):
            phones.append(Phone(scenario, folder, ports[play.number - 1 + offset]))
        time.sleep(READY_S)
        phones.append(Phone(play.customer, folder, ports[AGENTS], (proxy_port, play.called)))
        return [f"{play.name}: {fault}" for fault in [phone.finish() for phone in reversed(phones)] if fault]
    finally:
        for phone in phones:
            phone.kill()


def complaints(play: Play, record: Record) -> list[str]:
    """Say what a record tells otherwise than the call went."""
    wanted = {
        "customer": CUSTOMER,
        "direction": "inbound",
        "called": play.called,
        "reason": play.reason,
        "agents": play.answered_by,
        "transfers": play.transfers,
        "holds": play.holds,
    }
    told = [
        f"{play.name}: {name} is {getattr(record, name)!r}, not {value!r}"
        for name, value in wanted.items()
        if getattr(record, name) != value
    ]
    for name, span in (("wait_ms", play.wait_ms), ("talk_ms", play.talk_ms), ("hold_ms", play.hold_ms)):
        if not span.least <= getattr(record, name) <= span.most:
            told.append(f"{play.name}: {name} is {getattr(record, name)}, not within {span.least} to {span.most}")
    return told
