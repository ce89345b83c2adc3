"""
Make the examples of config/schemas/examples anew, and what is made of them: `python -m tests.contracts.make`.

Some people's two days at a shop go through all steps of the pipeline, one line at a time, with a clock that stands at
the line's instant: the same records each time. The first of each type is its example. The rules are those that ship,
and beside them those of rules.yaml.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import msgspec

from config.durations import DAY, HOUR, MINUTE
from config.settings import CartSettings, DecisionSettings, Settings, SourceSettings
from connectors.asyncapi import EXAMPLES, write
from connectors.batches import RawBatch
from connectors.cloudevents import NAMESPACE, Encoder
from connectors.dead_letter_files import LetterFile
from connectors.schemas import encoded
from operators.event import FOREVER
from pipeline.replaying import DryWay, Replay, Wanted
from tests.journeys import write as write_rules
from tests.pipeline.helpers import Chain

BEGIN_AT: Final = 1_795_255_200_000  # 2026-11-21T10:00:00Z
SHOP: Final = "cx.events.v1/0"
CONTROL: Final = "cx.control.v1"
SETTINGS: Final = Settings(
    source=SourceSettings(record_bytes_max=2_048),
    cart=CartSettings(browse_views_min=2, age_ms_max=2 * HOUR),
)
"""Small limits, so that short days go beyond them."""
RULES: Final = Path(__file__).with_name("rules.yaml")

Line: TypeAlias = tuple[float, dict[str, Any] | bytes]
"""Minutes after the beginning, and what is told then; bytes are told as they are."""

KETTLE: Final = {"product_id": "kettle-1", "quantity": 1, "price": 39.9, "name": "Kettle", "category": "kitchen"}


def event(minute: float, kind: str, device: str = "", **told: object) -> tuple[float, dict[str, Any]]:
    """Something happens."""
    name = f"{kind}-{device or told.get('user_id', 'x')}-{minute:g}"
    line = {"event_id": name, "kind": kind, "occurred_at": BEGIN_AT + round(minute * MINUTE), "channel": "web", **told}
    if device:
        line |= {"anonymous_id": device, "url": told.get("url", f"https://shop.example/{kind}")}
    return minute, line


def adds(minute: float, device: str, kind: str = "product_added") -> Line:
    """Somebody puts a kettle into their cart, or goes on with it."""
    cart: dict[str, Any] = {"cart_id": f"cart-{device}", "items": [KETTLE], "currency": "EUR"}
    return event(minute, kind, device, cart_url=f"https://shop.example/cart/{device}", **cart)


def people() -> Iterator[Line]:
    """What people of the shop do."""
    # Mara comes twice, forgets her cart, is reminded by e-mail, opens that, buys, and thinks better of it.
    yield event(0, "page_viewed", "mara-1", referrer="https://search.example/", campaign="autumn")
    yield event(60, "product_viewed", "mara-1", items=[KETTLE])
    yield event(61, "identified", "mara-1", user_id="mara", email="mara@example.org")
    yield event(62, "identified", "mara-2", user_id="mara", phone="+4915112345670", channel="app")
    yield adds(63, "mara-1")
    yield event(110, "email_clicked", "mara-1", channel="email", properties={"trigger_id": "cart_abandoned"})
    yield event(120, "order_completed", "mara-1", order_id="order-1", cart_id="cart-mara-1", value=39.9)
    yield event(123, "order_cancelled", "mara-1", order_id="order-1")
    # Others look at a kettle twice, begin a checkout, empty a cart, buy at once, and never end to hesitate.
    yield event(5, "product_viewed", "anon-1", items=[KETTLE])
    yield event(6, "product_viewed", "anon-1", items=[KETTLE])
    yield event(7, "product_viewed", "tom-1", items=[KETTLE])
    yield event(8, "identified", "tom-1", email="tom@example.org")
    yield event(9, "product_viewed", "tom-1", items=[KETTLE])
    yield adds(10, "anon-2")
    yield adds(11, "anon-2", "checkout_started")
    yield event(12, "identified", "anon-2", email="ben@example.org")
    yield adds(20, "anon-3")
    yield event(21, "cart_updated", "anon-3", cart_id="cart-anon-3", items=[])
    yield adds(22, "anon-4")
    yield event(23, "order_completed", "anon-4", order_id="order-4", cart_id="cart-anon-4", value=39.9)
    yield adds(24, "anon-5")
    yield from (event(24 + 20 * turn, "page_viewed", "anon-5") for turn in range(1, 8))
    # What came in between makes one visit of two.
    yield event(30, "page_viewed", "anon-6")
    yield event(80, "page_viewed", "anon-6")
    yield 125, event(55, "page_viewed", "anon-6")[1]
    # Joe signs in where Mara did. Two leads turn out to be one. Two give one number. One gives another's address.
    yield event(130, "identified", "mara-1", user_id="joe")
    yield event(131, "identified", "pia-1", email="pia@example.org")
    yield event(132, "identified", "pia-2", user_id="pia")
    yield event(133, "identified", "pia-2", user_id="pia", email="pia@example.org")
    yield event(134, "identified", "ada-1", user_id="ada", phone="+4915112345671")
    yield event(135, "identified", "bea-1", user_id="bea", phone="+4915112345671")
    yield event(136, "identified", "eve-1", user_id="eve", email="mara@example.org")


def shoppers() -> Iterator[Line]:
    """What people look for, and what speaks against telling them more."""
    yield searches(30, "anon-10", "200 kettles")
    yield event(30, "identified", "una-1", email="una@example.org")
    for minute, query in enumerate(("lid", "present", "tea", "coffee", "tea", "cups"), start=31):
        yield searches(minute, "una-1", query)
    yield searches(40, "una-1", "sale")
    yield 125, searches(55, "una-1", "water")[1]
    yield event(126, "consent_withdrawn", "una-1", consents={"email": False})
    yield searches(128, "una-1", "milk")
    yield event(129, "identified", "ole-1", email="ole@example.org")
    yield event(129.5, "offer_declined", "ole-1")
    yield searches(131, "ole-1", "sugar")


def searches(minute: float, device: str, query: str, **told: object) -> Line:
    """Somebody looks for something."""
    return event(minute, "searched", device, query=query, **told)


def calls() -> Iterator[Line]:
    """Two calls that turn out to be one, whose customer then hangs up."""
    yield leg(140, "ringing", "leg-1", "call-1", "+4915112345678")
    yield leg(141, "ringing", "leg-2", "call-2", "+4915112345679")
    yield leg(142, "answered", "leg-1", "call-1", "+4915112345678")
    yield leg(143, "answered", "leg-2", "call-1", "+4915112345679", call_ids=["call-1", "call-2"])
    yield leg(146, "ended", "leg-1", "call-1", "+4915112345678", reason="completed")
    yield leg(146, "ended", "leg-2", "call-1", "+4915112345679", reason="completed")


def leg(minute: float, state: str, leg_id: str, call_id: str, phone: str, **more: object) -> Line:
    """A telephone system tells of a leg."""
    told = {"provider": "pbx", "call_id": call_id, "leg_id": leg_id, "party": "customer", "direction": "inbound"}
    line: dict[str, Any] = {"event_id": f"{leg_id}-{state}", "type": f"call_{state}", "state": state, **told, **more}
    at = BEGIN_AT + round(minute * MINUTE)
    return minute, line | {"occurred_at": at, "from_e164": phone, "to_e164": "+498005550100"}


def mistakes() -> Iterator[Line]:
    """What nobody can read, and what comes too late."""
    sound = event(150, "page_viewed", "anon-7")[1]
    yield 150, b'{"kind": "page_viewed", '
    yield 150, b"[1, 2, 3]"
    yield 150, {"colour": "red"}
    yield 150, sound | {"event_id": "e-wrong", "kind": "page_seen"}
    yield 150, {name: value for name, value in sound.items() if name != "occurred_at"}
    yield 150, {name: value for name, value in sound.items() if name != "anonymous_id"} | {"event_id": "e-nobody"}
    yield 150, sound | {"event_id": "e-1972", "occurred_at": "1972-01-01T00:00:00Z"}
    yield 150, sound | {"event_id": "e-large", "name": "x" * 2_048}
    yield event(151, "page_viewed", "anon-8")
    yield event(151 + 30 * 60, "page_viewed", "anon-8")
    yield 151 + 30 * 60, event(152, "page_viewed", "anon-8", name="late")[1]
    # Forty days later whoever has not been heard of since is forgotten, if nobody knows who they are.
    yield event(40 * 24 * 60, "page_viewed", "anon-9")


def requests() -> Iterator[tuple[float, dict[str, Any]]]:
    """What is asked by people who look after data."""
    late = 151 + 31 * 60
    yield late, {"request": "show", "id": "request-1", "identifiers": {"user_id": ["joe"]}}
    yield late, {"request": "export", "id": "request-2", "identifiers": {"email": ["mara@example.org"]}}
    yield late, {"request": "unmerge", "id": "request-3", "identifiers": {"user_id": ["pia"]}}
    yield late, {"request": "erase", "id": "request-4", "identifiers": {"email": ["mara@example.org"]}}


def told() -> list[dict[str, Any]]:
    """Return all CloudEvents of a run, in their order."""
    found = list[dict[str, Any]]()
    with TemporaryDirectory() as folder:
        write_rules(Path(folder), offer_views=2, extra=RULES.read_text())
        settings = msgspec.structs.replace(SETTINGS, decision=DecisionSettings(journeys=folder))
        chain = Chain(settings, [SHOP], control=CONTROL)

    def take(*raws: RawBatch) -> None:
        found.extend(event for _, event in chain.take(list(raws)))

    lines = sorted([*people(), *shoppers(), *calls(), *mistakes()], key=lambda line: line[0])
    waiting = [*enumerate(requests())]
    for position, (minute, line) in enumerate(lines):
        while waiting and waiting[0][1][0] < minute:
            number, (asked, request) = waiting.pop(0)
            take(of_control(number, BEGIN_AT + round(asked * MINUTE), request))
            take(RawBatch(SHOP, [], position, is_marked=True))
        chain.now_at = BEGIN_AT + round(minute * MINUTE) + 250
        raw = line if isinstance(line, bytes) else json.dumps(answering(line, found)).encode()
        take(RawBatch(SHOP, [raw], position, came_at=[chain.now_at - 50], is_marked=True))
    chain.now_at = BEGIN_AT + 400 * DAY
    assert not waiting
    take(RawBatch(SHOP, [], len(lines), complete=FOREVER, is_marked=True))
    found.extend(event for _, event in chain.end())
    return [*found, *fed_back(found)]


def answering(line: dict[str, Any], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the id of the last trigger of that action where a line names one that somebody answers."""
    action = line.get("properties", {}).get("trigger_id")
    if action is None:
        return line
    ids = [one["id"] for one in found if one["type"] == f"{NAMESPACE}nba.{action}.v1"]
    return line | {"properties": {"trigger_id": ids[-1]}}


def of_control(number: int, came_at: int, request: dict[str, Any]) -> RawBatch:
    """Return a request as it lies in its topic."""
    return RawBatch(f"{CONTROL}/0", [json.dumps(request).encode()], number, came_at=[came_at], is_sent=True)


def fed_back(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Feed a dead letter back, as `nextmove deadletters replay` does; return the note of it."""
    letters = [one for one in found if one["type"].startswith(f"{NAMESPACE}dead_letter.not_json.")]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dead_letters.jsonl"
        path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in letters))
        store = LetterFile(path, Encoder(SETTINGS.output.source, lambda: BEGIN_AT + DAY))

        class Way(DryWay):
            def take(self, chunk: Any) -> dict[str, str]:  # noqa: ANN401 -- as a way has it
                store.note([note for *_, note in chunk])
                return {}

        Replay(Way(lambda _: "cx.events.v1"), None, lambda: BEGIN_AT + DAY).run(store, Wanted())
        notes = path.with_name("dead_letters.replayed.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(note) for note in notes]


def examples() -> dict[str, dict[str, Any]]:
    """Return the first CloudEvent of each type, by the type without what all begin with."""
    found: dict[str, dict[str, Any]] = {}
    for one in told():
        found.setdefault(one["type"].removeprefix(NAMESPACE), one)
    return found


def main() -> None:
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    for path in EXAMPLES.glob("*.json"):
        path.unlink()
    for name, example in examples().items():
        (EXAMPLES / f"{name}.json").write_bytes(encoded(example))
    write()


if __name__ == "__main__":
    main()
