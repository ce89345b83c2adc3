"""
Good records of every format, to be spoilt: the constants of their tests, samples, golden inputs, made-up traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from benchmarks.traffic import TrafficPlan, generate
from connectors.formats import decode_batch
from connectors.formats.others import TEXTS, Way, names_of, told_of
from tests.connectors import test_formats_asterisk as asterisk
from tests.connectors import test_formats_batches as batches
from tests.connectors import test_formats_braze as braze
from tests.connectors import test_formats_canonical as canonical
from tests.connectors import test_formats_connect as connect
from tests.connectors import test_formats_freeswitch as freeswitch
from tests.connectors import test_formats_ga4 as ga4
from tests.connectors import test_formats_genesys as genesys
from tests.connectors import test_formats_kamailio as kamailio
from tests.connectors import test_formats_mapping as mapping
from tests.connectors import test_formats_pbx_laws as pbx
from tests.connectors import test_formats_posthog as posthog
from tests.connectors import test_formats_rasa as rasa
from tests.connectors import test_formats_segment as segment
from tests.connectors import test_formats_snowplow as snowplow
from tests.connectors import test_formats_telephony as telephony
from tests.connectors import test_formats_twilio as twilio
from tests.connectors import test_formats_twilio_messages as messages
from tests.connectors.telephones import SAMPLES, TEN
from tests.golden.make import GOLDEN, INPUT
from tests.services.process import ROOT

MODULES: Final[tuple[ModuleType, ...]] = (
    *(asterisk, batches, braze, canonical, connect, freeswitch, ga4, genesys, kamailio),
    *(pbx, posthog, rasa, segment, snowplow, telephony, twilio, messages),
)
"""The tests whose constants are looked through for records."""

MAPPINGS: Final = ("Orders", "Customers", "Visits to a store", "Devices")
"""The mappings that the guide shows, each with its record."""

READ_AT: Final = TEN
TRAFFIC: Final = TrafficPlan(events=400, visitors=20, seed=6)
MAPPED: Final = "mapping"
"""Stands for the format of records that only a mapping reads."""


class Sample(NamedTuple):
    """A record that is accepted, and the first format that it is taken for."""

    format: str
    raw: bytes


class Corpus(NamedTuple):
    """Records by their format, and what they are made of, to make others of."""

    samples: dict[str, list[Sample]]
    ways: dict[str, Way]
    names: list[str]
    values: list[Any]

    @property
    def formats(self) -> list[str]:
        """The formats that a record can be of, and be read as."""
        return list(self.samples)


@cache
def corpus() -> Corpus:
    """Gather all; the same in every process of one version."""
    found: dict[str, list[Sample]] = {}
    for raw in dict.fromkeys(_raws()):
        if name := _format_of(raw):
            found.setdefault(name, []).append(Sample(name, raw))
    guide = {name: mapping.example(name) for name in MAPPINGS}
    found[MAPPED] = [Sample(MAPPED, msgspec.json.encode(record)) for _, record in guide.values()]
    names: dict[str, None] = {}
    values: dict[bytes, Any] = {}
    for sample in [one for some in found.values() for one in some]:
        for name, value in _members(told_of(sample.raw, "auto")):
            names[name] = None
            values[msgspec.json.encode(value)] = value
    ways = {name: mapping.mapped(table) for name, (table, _) in guide.items()}
    return Corpus(found, ways, list(names), list(values.values()))


def _format_of(raw: bytes) -> str:
    """Return the format that a record is taken for, "" where it is refused: of envelopes the outermost."""
    for format_ in ("auto", *TEXTS):
        decoded = decode_batch([raw], partition="p", first_position=0, read_at=READ_AT, format=format_)
        if decoded.events and not decoded.rejected:
            names = names_of(told_of(raw, format_), format_)
            return names[0] if names else format_
    return ""


def _raws() -> Iterator[bytes]:
    """Yield what may be records."""
    for path in sorted(SAMPLES.iterdir()):
        yield path.read_bytes()
    for path in sorted(GOLDEN.glob(f"*/{INPUT}")):
        yield from path.read_bytes().splitlines()
    yield from (line.rstrip() for line in generate(TRAFFIC))
    for line in (ROOT / "tests" / "sip" / "captured.txt").read_bytes().splitlines():
        yield line.partition(b" ")[2]
    for module in MODULES:
        for value in vars(module).values():
            yield from _within(value)
    yield from _made()


def _within(value: object) -> Iterator[bytes]:
    """Yield the objects and texts that a constant of a test holds."""
    if isinstance(value, bytes):
        yield value.strip(b"\n")
    elif isinstance(value, dict):
        if all(isinstance(name, str) for name in value):
            try:
                yield msgspec.json.encode(value)
            except TypeError:  # a table of strategies, or of what is expected
                return
        for one in value.values():
            yield from _within(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _within(one)


def _made() -> Iterator[bytes]:
    """Yield the records that tests make by functions, one for each thing that a format reads otherwise."""
    kettle, products = segment.KETTLE, [segment.KETTLE, {"sku": "m1", "quantity": "2", "price": "4.50"}]
    context = {"traits": {"email": "a@b.example", "phone": "+49 1512 3456789"}, "page": {"url": "https://s/"}}
    told: list[dict[str, Any]] = [
        segment.call("identify", userId="u1", traits={"email": "Ann@Example.org", "emailOptIn": True}),
        segment.call("alias", previousId="ann", userId="u1"),
        segment.call("group", groupId="g1", traits={"plan": "gold"}),
        segment.call("page", category="Docs", name="Home", context=context | {"sessionId": 17}),
        segment.call("screen", name="Basket", context={"device": {"id": "d"}, "app": {"name": "a"}}),
        segment.call(event="Order Completed", properties=segment.CART | {"products": products, "total": 42.5}),
        segment.call(event="Product Added", properties=kettle, originalTimestamp=segment.T.format("00")),
        segment.call(event="Email Opened", userId="u1", properties={"email": "a@b.example"}),
        segment.call(event="call_ended", properties={"phone": "+4915112345678", "callId": "c", "duration": 3}),
        {"batch": [batches.page(1), batches.page(2)], "sentAt": batches.T.format("09"), "writeKey": "w"},
        batches.merge(batches.EMAIL, batches.MOBILE, {"type": "user_id", "value": "u1"}),
        posthog.capture("Order Completed", {"products": [posthog.KETTLE], "order_id": "o"}),
        posthog.browser("$pageview", {"utm_campaign": "spring", "$set": {"email": "a@b.example"}}),
        posthog.browser("$identify", {"$anon_distinct_id": "ann"}, user="u1"),
        posthog.capture("$create_alias", {"alias": "ann"}),
        {"api_key": "k", "batch": [posthog.capture("$pageview"), posthog.browser("$pageleave")]},
        ga4.row("page_view", ga4.param("page_location", string_value="https://s/")),
        genesys.noted(3, genesys.ann("connected", held=True)),
        braze.record("users.messages.sms.Delivery", to_phone_number="+4915112345678"),
        snowplow.columns(),
        *[kamailio.phone(kind) for kind in ("CALL_INCOMING", "CALL_ESTABLISHED", "CALL_CLOSED")],
    ]
    yield from map(msgspec.json.encode, told)
    action, product = snowplow.action("add_to_cart"), (f"{snowplow.SHOP}/product", snowplow.KETTLE)
    cart = (f"{snowplow.SHOP}/cart", {"cart_id": "c1", "total_value": 42.5, "currency": "EUR"})
    yield snowplow.line(snowplow.columns())
    yield snowplow.line(snowplow.columns(event="unstruct", unstruct_event=action, contexts=snowplow.entities(product)))
    yield snowplow.line(snowplow.columns(contexts=snowplow.APP, user_id="u1", platform="mob"))
    body = snowplow.about(f"{snowplow.IGLU}/site_search", {"terms": ["red"], "totalResults": 7})
    contexts = snowplow.entities(product, cart)
    yield snowplow.posted({"e": "pv", "eid": "1", "url": "https://s/"}, {"e": "ue", "ue_pr": body, "co": contexts})
    yield from _enveloped(told)
    for form in (*twilio.ANN_CALLS, twilio.room("participant-hold", 5, 1, Hold="true"), messages.webhook()):
        yield urlencode(form).encode()


def _enveloped(told: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield CloudEvents and lists around records."""
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-11-21T10:00:00Z"}
    for number, record in enumerate(told[::3]):
        yield msgspec.json.encode(event | {"data": record if number % 2 else told[number : number + 3]})
    yield msgspec.json.encode(
        event | {"data_base64": "eyJraW5kIjoib3RoZXIiLCJ1c2VyX2lkIjoidSIsIm9jY3VycmVkX2F0IjoxNzcyMzY2NDAwMDAwfQ=="}
    )
    yield msgspec.json.encode(told[:4])


def _members(value: object) -> Iterator[tuple[str, Any]]:
    """Yield the names and values in a record, those of objects in it too."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield name, one
            yield from _members(one)
    elif isinstance(value, list):
        for one in value:
            yield from _members(one)
