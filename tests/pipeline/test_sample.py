"""`nextmove check --sample`: what becomes of each field of a sample."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connectors.formats.common import DEFAULT_RULES
from pipeline.cli import command
from pipeline.sample import VALUES_MAX, Shown, look, records

NOW = 1_795_255_300_000
CALL: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m-1",
    "anonymousId": "ann",
    "userId": "guest",
    "timestamp": "2026-11-21T10:00:00Z",
    "channel": "web",
    "context": {"traits": {"email": "ann@shop.example"}, "library": {"name": "x"}},
    "traits": {"email": "ann@shop.example"},
    "properties": {"order_id": "o-1", "total": 9.5, "gift": True, "products": [{"product_id": "p1", "quantity": 2}]},
}
ORDERS = """\
source:
  formats: {shop.orders.v1: orders}
  mappings:
    orders: {kind: order_completed, at: when, user_id: customer, order_id: id, value: sum, event_id: id}
"""
ORDER = {
    "when": "2026-11-21T10:00:00Z",
    "customer": "u1",
    "id": "o-1",
    "sum": "9.50",
    "note": "ring twice",
    "vat": None,
}


def fates(record: object, format_: str = "auto") -> dict[str, tuple[tuple[str, ...], str]]:
    """
    What becomes of each value of a record, by its path.
    """
    shown = looked_at(record, format_)
    return {fate.path: (fate.becomes, fate.note) for fate in shown.fates}


def looked_at(record: object, format_: str = "auto") -> Shown:
    return look(json.dumps(record).encode(), 1, format_, DEFAULT_RULES, NOW)


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, ["check", *map(str, arguments)])


def test_each_value_of_a_call_is_told_its_field() -> None:
    """
    Fields of the event, its properties, or nothing with the reason.
    """
    assert fates(CALL) == {
        "type": ((), "needed: unknown_format without it"),
        "event": (("kind", "name"), ""),
        "messageId": (("event_id",), ""),
        "anonymousId": (("anonymous_id",), ""),
        "userId": ((), "user_id takes no such value"),
        "timestamp": (("at",), ""),
        "channel": (("channel",), "as it would be without it"),
        "context.traits.email": (("email",), ""),
        "context.library.name": ((), "nothing depends on it"),
        "traits.email": (("email",), "as it would be without it"),  # the same stands in the context, which counts
        "properties.order_id": (("commerce.order_id", "properties"), ""),
        "properties.total": (("commerce.value", "properties"), ""),
        "properties.gift": (("properties",), ""),
        "properties.products[0].product_id": (("items[0].product_id", "properties"), ""),
        "properties.products[0].quantity": (("items[0].quantity", "properties"), ""),
    }


def test_formats_are_named_with_the_envelopes_around_them() -> None:
    """
    As `auto` finds them.
    """
    envelope = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": CALL}
    assert looked_at(CALL).formats == ("segment",)
    assert looked_at(envelope).formats == ("cloudevents", "segment")
    request = {"client_id": "c", "timestamp_micros": NOW * 1000, "events": [{"name": "scroll"}]}
    assert looked_at(request).formats == ("ga4",)


def test_values_of_an_envelope_are_told_the_fields_of_its_events() -> None:
    """
    What it says of all of them, too.
    """
    at = NOW * 1000
    request = {
        "client_id": "c",
        "timestamp_micros": at,
        "events": [{"name": "search", "params": {"search_term": "sofa"}}],
    }
    assert fates(request) == {
        "client_id": (("anonymous_id",), ""),
        "timestamp_micros": (("at",), ""),
        "events[0].name": (("kind", "name"), ""),
        "events[0].params.search_term": (("query", "properties"), ""),
    }


def test_a_record_of_a_thousand_values_is_looked_at_in_part() -> None:
    """
    And it is said how much of it was not.
    """
    shown = looked_at(CALL | {"properties": {str(number): number for number in range(VALUES_MAX)}})
    assert (len(shown.fates), shown.left_out) == (VALUES_MAX, 10)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1}\n\n{"a": 2}\n',
        b'[{"a": 1},\n {"a": 2}]',
        b'{"a": 1}\r\n{"a": 2}',
    ],
)
def test_a_sample_is_lines_or_an_array(tmp_path: Path, content: bytes) -> None:
    """
    Packed or plain; blank lines are none.
    """
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(content))
    for name in ("a.json", "a.json.gz"):
        assert [json.loads(one) for one in records(tmp_path / name)] == [{"a": 1}, {"a": 2}]


def test_a_document_over_several_lines_is_one_record(tmp_path: Path) -> None:
    """
    As people keep examples.
    """
    (tmp_path / "a.json").write_text(json.dumps(CALL, indent=1))
    assert [json.loads(one) for one in records(tmp_path / "a.json")] == [CALL]


def test_a_sample_of_a_topic_is_shown_as_tables(tmp_path: Path) -> None:
    """
    One for each kind of record, by the mapping of the topic.
    """
    (tmp_path / "shop.yaml").write_text(ORDERS)
    (tmp_path / "orders.jsonl").write_text("\n".join(json.dumps(ORDER | {"id": f"o-{one}"}) for one in range(3)))
    shown = check(
        tmp_path / "shop.yaml", "--sample", tmp_path / "orders.jsonl", "--topic", "shop.orders.v1", "--limit", "2"
    )
    assert shown.exit_code == 0
    lines = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
    assert shown.stdout.splitlines()[0] == f"{tmp_path / 'orders.jsonl'}: the first 2 records, 2 events, 0 dead letters"
    assert ["mapping:", "order_completed (2 records)"] in lines
    assert {line[0]: line[1].rsplit("  ", 2)[0].split("  ")[0] for line in lines if line and line[0] in ORDER} == {
        "when": "at",
        "customer": "user_id",
        "id": "event_id, commerce.order_id",
        "sum": "commerce.value",
        "note": "properties",
        "vat": "properties",
    }


def test_what_would_be_a_dead_letter_is_told_and_is_a_failure(tmp_path: Path) -> None:
    """
    With reason and detail, and exit code 1.
    """
    sample = tmp_path / "sample.jsonl"
    sample.write_text("\n".join([json.dumps(CALL), "{", '{"a": 1}']))
    shown = check("--sample", sample)
    assert shown.exit_code == 1
    assert "3 records, 1 events, 2 dead letters" in shown.stdout
    assert [line.split()[:2] for line in shown.stdout.splitlines()[-2:]] == [["2", "not_json"], ["3", "unknown_format"]]


def test_programs_are_told_as_json(tmp_path: Path) -> None:
    """
    Each record with its events, its fields and what was rejected of it.
    """
    (tmp_path / "shop.yaml").write_text(ORDERS)
    (tmp_path / "order.json").write_text(json.dumps([ORDER, {}]))
    shown = check(
        "--config", tmp_path / "shop.yaml", "--sample", tmp_path / "order.json", "--format", "orders", "--json"
    )
    good, bad = json.loads(shown.stdout)
    assert shown.exit_code == 1
    assert good["events"] == [
        {
            "kind": "order_completed",
            "at": "2026-11-21T10:00:00.000Z",
            "event_id": "o-1",
            "channel": "server",
            "user_id": "u1",
            "commerce.order_id": "o-1",
            "commerce.value": 9.5,
            "properties": {"note": "ring twice", "vat": None},
        }
    ]
    assert good["fields"][0] == {"path": "when", "value": ORDER["when"], "becomes": ["at"], "note": ""}
    assert bad["rejected"] == [{"reason": "missing_field", "detail": "there is nothing at the path of `at`"}]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name settings to check, rules with --rules, or records with --sample"),
        (["--rules", "r.yaml", "--sample", "a.json"], "--rules and --sample are checked one by one"),
        (["a.yaml", "--config", "b.yaml"], "name the settings once: CONFIG, or --config"),
        (["a.yaml", "--topic", "t"], "--topic, --format and --json are for --sample; name it, or leave them out"),
        (["--sample", "a.json", "--format", "segmnt"], "--format: unknown format segmnt; did you mean segment?"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], complaint: str) -> None:
    """
    Before anything is read.
    """
    shown = check(*arguments)
    assert shown.exit_code == 2
    assert complaint in shown.stderr


def test_an_event_in_a_sample_is_read_as_its_source_is(tmp_path: Path) -> None:
    """
    By the region of its numbers, and what names nobody there.
    """
    (tmp_path / "shop.yaml").write_text("identity: {phone_regions: {calls: DE}, blocked: [ann]}")
    (tmp_path / "call.json").write_text(json.dumps(CALL | {"context": {"traits": {"phone": "0151 23456789"}}}))
    shown = check(tmp_path / "shop.yaml", "--sample", tmp_path / "call.json", "--topic", "calls", "--json")
    (event,) = json.loads(shown.stdout)[0]["events"]
    assert (event["phone"], event.get("anonymous_id")) == ("+4915123456789", None)
