"""How soon a trigger is with its reader, at a steady load of so many events a second.

Three processes: nextmove; this one, that sends; and a plain consumer that notes when each trigger came. All three,
the broker and Redis share the machine.

The load are the shared generator's events at the instant of their sending, of so many visitors that each does
something every 20 s. Among them probes: visitors who were there
two hours ago and looked at a product twice. Each comes back once and looks again, which causes a welcome and an
offer at once; the time is from `produce()` of that event until the consumer has it, the sender's own
batching included. Timers are carts left half an hour before: the time is from the instant at which one may be told of
(due, and the allowed lateness past) until the consumer has it.

Checked are that every probe got its two triggers and every cart its one, that nothing was told twice, and that
each trigger's cause was sent.
"""

from __future__ import annotations

import re
import select
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec
from confluent_kafka import Consumer, Producer

from benchmarks.brokers import PREFIX, WAIT_S_MAX, Lent, configured, ends, fill, headers, topics_of
from benchmarks.measure import CACHE, BenchmarkError, cpu_seconds, environment, events_file
from config.settings import Settings
from connectors.kafka_client import assigned

FOLDER: Final = CACHE / "latency"
TOPIC: Final = f"{PREFIX}live"
PARTITIONS: Final = 4
PROBES_A_SECOND: Final = 100
CARTS_A_SECOND: Final = 20
WARM_S: Final = 25.0
# How long the last triggers may take.
AFTER_S: Final = 5.0
# Carts due in the last moments would show how time goes on in a silent topic: after a second.
LAST_S: Final = 1.0
TICK_S: Final = 0.005
# How long a visitor takes from one page to the next, about: what the generator's own visits take is 28 s.
PAGE_S: Final = 20.0
HOUR_MS: Final = 3_600_000
# How long what is asked before the load may take; instants are planned from its end.
AHEAD_MS: Final = 8_000
PROFILES_A_MS: Final = 20
_TIMES: Final = re.compile(rb'^\{"messageId":"[^"]*"(.*?)"timestamp":"[^"]*","receivedAt":"[^"]*"(.*)$', re.DOTALL)
_WHO: Final = re.compile(rb'"anonymousId":"([^"]*)"')
_ON_EVENT: Final = frozenset({"returning_visitor", "offer_prompt"})


Cut = tuple[bytes, bytes, str]
"""What stands before and after the times of an event, and its key."""


class Latency(msgspec.Struct, kw_only=True):
    """What one run found; times in ms."""

    name: str
    rate: float
    """Events a second."""
    seconds: float
    on_event: list[float]
    """p50, p95, p99 and the longest, from an event to its trigger."""
    on_event_count: int
    on_timer: list[float]
    """The same, from the instant at which a trigger may be told."""
    on_timer_count: int
    cpu: float
    """Share of a core that nextmove took."""
    faults: list[str]
    """What was wrong with the output."""
    slow: list[tuple[float, float]]
    """Of the slowest event triggers: when in the load, in seconds, and how long, in ms."""
    bytes_a_record: float = 0.0
    """On the broker's disk, of what was published."""
    recovery_s: float = 0.0
    """From a kill until the next trigger was with its reader; 0 where it was not tried."""


class Plan(NamedTuple):
    """What is tried: the settings, the load, how many profiles there are before, and whether to kill."""

    name: str
    settings: Settings
    rate: float
    seconds: float
    profiles: int = 0
    is_killed: bool = False

    @property
    def warm_s(self) -> float:
        """Before this nothing is timed: every visitor is to be there once, where there is time for it."""
        return min(WARM_S, self.seconds / 3)


class Heard(msgspec.Struct, array_like=True):
    """A trigger as the consumer got it."""

    id: str
    action: str
    cause_id: str
    event_id: str
    cause_time: datetime
    at_ns: int


class _Cause(msgspec.Struct):
    id: str
    time: datetime
    event_id: str = ""


class _Trigger(msgspec.Struct):
    action: str
    cause: _Cause


def run(servers: Lent, plan: Plan, tell: Callable[[str], None]) -> Latency:
    """Try one plan."""
    topic, folder = f"{TOPIC}.{plan.name}", FOLDER / plan.name
    kafka = msgspec.structs.replace(plan.settings.kafka, topics=(topic,))
    command = configured(servers, plan.name, folder, msgspec.structs.replace(plan.settings, kafka=kafka), PARTITIONS)
    visitors, events = round(plan.rate * PAGE_S), round(plan.rate * plan.seconds)
    with events_file(max(events, 2 * visitors), visitors).open("rb") as lines:
        load = _spread([cut for line in lines if (cut := _cut(line)) is not None])
    traffic = Traffic(plan, time.time_ns() // 1_000_000 + AHEAD_MS + plan.profiles // PROFILES_A_MS, load)
    fill(servers, topic, traffic.before(), PARTITIONS)
    topics = [name for stream, name in topics_of(plan.name).items() if stream.startswith("triggers.")]
    report = folder / "heard.json"
    ear: list[str | Path] = [sys.executable, "-m", "benchmarks.bench_latency", servers.kafka, report, *topics]
    with subprocess.Popen(ear, env=environment(), stdin=subprocess.PIPE), Runs(command) as ours:
        time.sleep(max(0.0, traffic.begins_at / 1000 - time.time()))
        before_s = cpu_seconds(ours.process.pid)
        killed_ns = traffic.send(servers, topic, ours)
        cpu_s = cpu_seconds(ours.process.pid) - before_s
        time.sleep(AFTER_S)
    heard = msgspec.json.decode(report.read_bytes(), type=list[Heard])
    found = reckoned(plan, traffic, heard)
    found.cpu = 0.0 if killed_ns else cpu_s / plan.seconds
    found.recovery_s = _recovery_s(traffic, heard, killed_ns)
    found.bytes_a_record = _bytes_a_record(servers, plan.name)
    tell(f"{plan.name}: on events {_told(found.on_event)} ms, on timers {_told(found.on_timer)} ms")
    return found


class Runs:
    """A run of nextmove, ended with its block."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._command = command
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=environment(), stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill it and start it again."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        if self.process.wait(WAIT_S_MAX):
            raise BenchmarkError(f"nextmove ended with {self.process.returncode}")


class Traffic:
    """What is sent: before the load, and as the load. Each event of the load has its number as id."""

    def __init__(self, plan: Plan, begins_at: int, load: list[Cut]) -> None:
        """Begin the load at the instant `begins_at` (ms); it is `load` over and over."""
        self.plan, self.begins_at = plan, begins_at
        self.carts = int((plan.seconds - LAST_S) * CARTS_A_SECOND)
        self.sent_ns = array("q")
        """When each event of the load was handed to the producer, by its number."""
        self.probes: dict[int, int] = {}
        """Which event was the return of which probe."""
        self._load = load

    def before(self) -> Iterator[tuple[bytes, str]]:
        """Yield what lies before the load: profiles, what probes looked at, and carts, in the order of their times."""
        early, plan = self.begins_at - 2 * HOUR_MS, self.plan
        for number in range(plan.profiles):
            yield _event(f"p{number}", f"profile-{number}", "page", early, '"properties":{}'), f"profile-{number}"
        for number in range(int(plan.seconds * PROBES_A_SECOND)):
            for view in range(2):
                yield self._view(f"v{number}-{view}", number, early + view * 1_000), f"probe-{number}"
        settings = plan.settings
        ago_ms = settings.cart.cart_delay_ms + settings.source.lateness_ms
        for number in range(self.carts):
            at, who = self.begins_at - ago_ms + int(number / CARTS_A_SECOND * 1000), f"cart-{number}"
            user = f'"userId":"user-{number}","traits":{{"email":"{who}@example.com"}}'
            yield _event(f"i{number}", who, "identify", at, user), who
            what = '"product_id":"sku-1","price":10,"quantity":1,"currency":"EUR"'
            body = f'"userId":"user-{number}","event":"Product Added","properties":{{{what}}}'
            yield _event(f"a{number}", who, "track", at, body), who

    def send(self, servers: Lent, topic: str, ours: Runs) -> int:
        """Send the load; return when the run was killed, by the clock in ns, 0 for not at all."""
        producer = Producer({"bootstrap.servers": servers.kafka, "linger.ms": 1})
        plan, began_s, killed_ns, probes = self.plan, time.monotonic(), 0, 0
        while (passed_s := time.monotonic() - began_s) < plan.seconds:
            if plan.is_killed and not killed_ns and passed_s > plan.seconds / 2:
                killed_ns = time.time_ns()
                ours.kill()
            stamp = _stamp(time.time_ns() // 1_000_000).encode()
            while len(self.sent_ns) < plan.rate * passed_s:
                number = len(self.sent_ns)
                if probes < passed_s * PROBES_A_SECOND:
                    value = self._view(f"l{number}", probes, time.time_ns() // 1_000_000)
                    key = f"probe-{probes}"
                    self.probes[number] = probes
                    probes += 1
                else:
                    head, tail, key = self._load[number % len(self._load)]
                    times = b'"timestamp":"%b","receivedAt":"%b"' % (stamp, stamp)
                    value = b'{"messageId":"l%d"%b%b%b' % (number, head, times, tail)
                self.sent_ns.append(time.time_ns())
                producer.produce(topic, value, key)
            producer.poll(0)
            time.sleep(TICK_S)
        producer.flush(WAIT_S_MAX)
        return killed_ns

    @staticmethod
    def _view(id_: str, probe: int, at: int) -> bytes:
        what = '"event":"Product Viewed","properties":{"product_id":"sku-9","name":"Shoe","price":9,"currency":"EUR"}'
        return _event(id_, f"probe-{probe}", "track", at, what)


def _event(id_: str, who: str, type_: str, at: int, body: str) -> bytes:
    stamp = _stamp(at)
    times = f'"timestamp":"{stamp}","receivedAt":"{stamp}"'
    return f'{{"messageId":"{id_}","type":"{type_}","anonymousId":"{who}","channel":"web",{times},{body}}}'.encode()


def _stamp(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"


def _cut(line: bytes) -> Cut | None:
    """Cut id and times out of an event; None for one without."""
    found, key = _TIMES.match(line), _WHO.search(line)
    return (found[1], found[2], key[1].decode()) if found and key else None


def _spread(load: list[Cut]) -> list[Cut]:
    """Let every visitor do the first thing, then every one the second.

    In a day's order at a multiple of its pace all of a visit would fall into one moment.
    """
    seen: Counter[str] = Counter()
    turns = []
    for cut in load:
        seen[cut[2]] += 1
        turns.append(seen[cut[2]])
    return [cut for _, cut in sorted(zip(turns, load, strict=True), key=lambda pair: pair[0])]


def reckoned(plan: Plan, traffic: Traffic, heard: list[Heard]) -> Latency:
    """Reckon how long triggers took, and check them."""
    sent_ns, lateness_ms, ids = traffic.sent_ns, plan.settings.source.lateness_ms, Counter(one.id for one in heard)
    from_ns = traffic.begins_at * 1_000_000 + int(plan.warm_s * 1e9)
    faults = [f"{id_} was told {count} times" for id_, count in ids.items() if count > 1]
    wanted = {(number, action) for number in traffic.probes for action in _ON_EVENT}
    on_event, on_timer, carts = [], [], 0
    for one in heard:
        if one.action in _ON_EVENT:
            number = int(one.event_id[1:]) if one.event_id.startswith("l") else -1
            if not 0 <= number < len(sent_ns):
                faults.append(f"{one.action} {one.id}: its cause {one.event_id} is no event of the load")
                continue
            wanted.discard((number, one.action))
            if sent_ns[number] >= from_ns:
                on_event.append(((sent_ns[number] - from_ns) / 1e9, (one.at_ns - sent_ns[number]) / 1e6))
        elif one.action == "cart_abandoned":
            carts += 1
            due_ns = int(one.cause_time.timestamp() * 1e9) + lateness_ms * 1_000_000
            if due_ns >= from_ns:
                on_timer.append((one.at_ns - due_ns) / 1e6)
    faults += [f"{action} of event {number} was not told" for number, action in sorted(wanted)]
    if carts != traffic.carts:
        faults.append(f"{carts} carts were told, of {traffic.carts}")
    return Latency(
        name=plan.name,
        rate=len(sent_ns) / plan.seconds,
        seconds=plan.seconds,
        on_event=_percentiles([ms for _, ms in on_event]),
        on_event_count=len(on_event),
        on_timer=_percentiles(on_timer),
        on_timer_count=len(on_timer),
        cpu=0.0,
        faults=faults,
        slow=sorted(on_event, key=lambda one: -one[1])[: len(on_event) // 50],
    )


def _percentiles(values: list[float]) -> list[float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return [ordered[round(last * share)] for share in (0.5, 0.95, 0.99, 1.0)] if ordered else []


def _recovery_s(traffic: Traffic, heard: list[Heard], killed_ns: int) -> float:
    """Return how long after the kill the first trigger was there whose cause was sent after it."""
    if not killed_ns:
        return 0.0
    numbers = {f"l{number}" for number in traffic.probes if traffic.sent_ns[number] > killed_ns}
    return (min(one.at_ns for one in heard if one.event_id in numbers) - killed_ns) / 1e9


def _bytes_a_record(servers: Lent, name: str) -> float:
    """Return what a record takes on the broker's disk; 0 where that is not ours to see."""
    topics = set(topics_of(name).values())
    logs = [log for topic in topics for log in Path(servers.data).glob(f"{topic}-*/*.log")] if servers.data else []
    return sum(log.stat().st_size for log in logs) / max(1, ends(servers.brokers, topics))


def _told(values: list[float]) -> str:
    return " / ".join(f"{value:,.0f}" for value in values) or "none"


def row(found: Latency) -> list[str]:
    """Return what a run found as cells of a table; `HEADINGS` are above them."""
    counts = f"{found.on_event_count:,} and {found.on_timer_count:,}"
    return [found.name, f"{found.rate:,.0f}", f"{found.cpu:.0%}", counts, _told(found.on_event), _told(found.on_timer)]


def listen(servers: str, report: Path, topics: Sequence[str]) -> None:
    """Note when each trigger comes, until standard input closes; then write it down."""
    options: dict[str, Any] = {"bootstrap.servers": servers, "group.id": f"{PREFIX}ear", "fetch.wait.max.ms": 5}
    consumer = Consumer(options | {"enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.assign([assigned(f"{topic}/{number}", 0) for topic in topics for number in range(PARTITIONS)])
    decode = msgspec.json.Decoder(_Trigger).decode
    heard: list[Heard] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        message = consumer.poll(0.1)
        if message is None or message.error() is not None:
            continue
        at_ns, told = time.time_ns(), headers(message)
        if told["ce_type"] == b"io.nextmove.trigger.retracted.v1":
            continue
        id_, trigger = told["ce_id"].decode(), decode(message.value() or b"")
        cause = trigger.cause
        heard.append(Heard(id_, trigger.action, cause.id, cause.event_id, cause.time, at_ns))
    report.write_bytes(msgspec.json.encode(heard))
    consumer.close()


HEADINGS: Final = [
    "run",
    "events a second",
    "CPU of a core",
    "triggers on events and on timers",
    "on an event: p50 / p95 / p99 / longest, ms",
    "on a timer, after its due time and the lateness",
]


if __name__ == "__main__":
    listen(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
