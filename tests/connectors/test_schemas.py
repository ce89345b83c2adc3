"""
The schemas that subscribers are given, and that the tests hold every record to.
"""

from collections.abc import Callable
from typing import Any, ClassVar, get_args

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator, ValidationError, meta

from connectors.asyncapi import FOLDER, files
from connectors.cloudevents import Encoder, MessageEncoder, Record, dataschema
from connectors.contracts import CONTRACTS, Contract
from connectors.schemas import descriptions, schemas
from operators.identity_record import IdentityRecord, What
from operators.profile_record import Tombstone
from operators.trigger import Cause, Factors, RuleRef, Trigger
from tests.records import RecordError, check_lines, check_message

AT = "2026-11-21T10:00:00.000Z"
REFUSED: dict[str, Any] = {
    "what": "refused",
    "profile_id": "lead-1",
    "identifier_type": "email",
    "identifier": "0f",
    "rule": "merge_limit",
    "other_profile_id": "",
    "event_id": "e1",
    "at": AT,
    "leads": [],
}


def nudge(**changed: Any) -> Trigger:  # noqa: ANN401 -- what should not be there
    told: dict[str, Any] = {
        "address_ref": "profile:p1",
        "cause": Cause("visit", "v1", AT),
        "context": {},
        "priority": Factors(1.0, 1.0, 1.0, 1.0, 1.0),
        "rule": RuleRef("welcome", 1, "0f"),
        "channels": {"onsite": ""},
        "not_before": AT,
        "expires_at": AT,
    }
    told |= {"assignment": "d1", "variant": ""}
    told |= {"action": "returning_visitor", "family": "journey", "channel": "onsite", "anonymous_ids": []}
    told |= {"trigger_id": "t1", "slot_key": "s1", "profile_id": "p1"}
    return Trigger(**told | changed)


def test_what_is_given_is_what_is_meant() -> None:
    """
    The files are those that `python -m connectors.asyncapi` writes, no more and no fewer, and sound.
    """
    meant = files()
    assert {path: path.read_bytes() for path in meant} == meant
    assert {*FOLDER.glob("*.*")} <= meant.keys()
    for schema in schemas().values():
        meta.validate(schema)


def test_everything_that_can_be_published_has_one() -> None:
    """
    Each struct that an encoder takes, and of each its kinds; a name is given once.
    """
    published = {record for record in get_args(Record) if hasattr(record, "stream")}
    assert published <= {contract.record for contract in CONTRACTS}
    assert {f"identity.{what}.v1" for what in get_args(What)} <= schemas().keys()
    assert len(schemas()) == len(CONTRACTS)


def test_every_field_says_what_it_means() -> None:
    """
    In all schemas, of things within things too; once written, where the field is declared.
    """
    for name, schema in schemas().items():
        for part in (schema, *schema.get("$defs", {}).values()):
            assert part["description"]
            assert [field for field, told in part["properties"].items() if not told.get("description")] == [], name


def test_a_field_that_says_nothing_is_refused() -> None:
    """
    Whoever adds one is told where to describe it.
    """

    class Silent(msgspec.Struct):
        stream: ClassVar[str] = "silent"

        told: str
        """Is told."""
        silent: str

    assert descriptions(Silent) == {"told": "Is told."}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.schemas.CONTRACTS", (Contract("silent.v1", Silent),))
        with pytest.raises(LookupError, match=r"Silent\.silent is published but not described"):
            schemas()


def test_an_inherited_field_says_it_too() -> None:
    """
    What a stitched record has in common with the others is described there.
    """
    assert schemas()["identity.stitched.v1"]["properties"]["at"] == schemas()["identity.moved.v1"]["properties"]["at"]


@pytest.mark.parametrize(
    ("type_", "schema"),
    [
        ("io.nextmove.nba.cart_abandoned.v1", "urn:nextmove:trigger.v1"),
        ("io.nextmove.nba.an_action_of_yours.v2", "urn:nextmove:trigger.v2"),
        ("io.nextmove.trigger.retracted.v1", "urn:nextmove:trigger.retracted.v1"),
        ("io.nextmove.suppressed.offer_prompt.v1", "urn:nextmove:suppressed.v1"),
        ("io.nextmove.cart.abandoned.v1", "urn:nextmove:cart.abandoned.v1"),
        ("io.nextmove.dead_letter_replayed.v1", "urn:nextmove:dead_letter_replayed.v1"),
    ],
)
def test_a_type_names_its_schema(type_: str, schema: str) -> None:
    """
    Actions are configured: all triggers have one schema, and each other kind of record its own.
    """
    assert dataschema(type_) == schema


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_a_contract_leads_to_its_schema_by_its_type(contract: Contract) -> None:
    """
    What a record's envelope names is the `$id` of the schema that is given for it.
    """
    assert dataschema(contract.type.replace("{action}", "any")) == schemas()[contract.name]["$id"]


@pytest.mark.parametrize(
    "changed",
    [
        {"rule": ""},
        {"rule": "a whim"},
        {"what": "linked"},
        {"identifier": ""},
        {"profile_id": 7},
        {"event_id": None},
        {"at": "yesterday"},
    ],
)
def test_what_is_not_so_is_refused(changed: dict[str, object]) -> None:
    """
    A refusal without a rule, or with one that nobody knows; of another kind; of nothing; at no time.
    """
    validator = Draft202012Validator(schemas()["identity.refused.v1"], validate_formats=True)
    validator.validate(REFUSED)
    with pytest.raises(ValidationError):
        validator.validate(REFUSED | changed)


@pytest.mark.parametrize("field", sorted(REFUSED))
def test_what_is_always_there_is_required(field: str) -> None:
    """
    Every field, for empty ones are written.
    """
    record = {name: value for name, value in REFUSED.items() if name != field}
    assert not Draft202012Validator(schemas()["identity.refused.v1"]).is_valid(record)


def test_more_fields_are_no_fault() -> None:
    """
    A subscriber that holds records to the schemas of today takes those of a later version, in what is within too.
    """
    record = msgspec.to_builtins(nudge(emitted_at=AT))
    record |= {"mood": {"score": 3}, "cause": record["cause"] | {"score": 1}}
    Draft202012Validator(schemas()["trigger.v1"], validate_formats=True).validate(record)


# --- the plugin that holds every record of every test to them -------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"profile_id": ""},
        {"context": None},
        {"cause": Cause("visit", "", AT)},
        {"channel": ""},
        {"rule": RuleRef("welcome", 0, "0f")},
        {"priority": None},
        {"not_before": ""},
        {"expires_at": "soon"},
        {"anonymous_ids": [7]},
    ],
)
@pytest.mark.parametrize(
    "encode",
    [Encoder("/test", lambda: 0).encode, MessageEncoder("/test", lambda: 0, {"journey": 1}).encode],
    ids=["lines", "messages"],
)
def test_a_record_that_is_not_so_fails_its_test(encode: Callable[[Any], Any], fault: dict[str, object]) -> None:
    """
    Whoever encodes it, in whatever test, as lines or as messages.
    """
    encode([(0, [nudge()])])
    with pytest.raises(RecordError, match=r"io\.nextmove\.nba\.returning_visitor\.v1: "):
        encode([(0, [nudge(**fault)])])


def test_a_record_of_no_contract_fails_its_test() -> None:
    """
    Nothing is published that subscribers have not been told of.
    """

    class Whim(msgspec.Struct):
        stream: ClassVar[str] = "sessions"

        cloud_event: ClassVar[tuple[str, ...]] = ("1", "io.nextmove.session.whim.v1", "p", AT)

    with pytest.raises(RecordError, match=r"session\.whim\.v1 has no schema"):
        Encoder("/test", lambda: 0).encode([(-1, [Whim()])])  # type: ignore[list-item]


def test_records_that_others_have_written_are_looked_at() -> None:
    """
    A line or message with another schema than its type's, and one that says what is not so.
    """
    record = IdentityRecord("refused", "lead-1", "email", "0f", "merge_limit", "", "e1", AT)
    lines = Encoder("/test", lambda: 0).encode([(-1, [record])])["identity"]
    (message,) = MessageEncoder("/test", lambda: 0, {}).encode([(-1, [record])])["identity"]
    headers = {name: raw for name, raw in message.headers if isinstance(raw, bytes)}
    check_lines(lines.splitlines())
    check_message(message.key, message.value, headers)
    with pytest.raises(RecordError, match=r"names the schema urn:nextmove:identity\.moved\.v1"):
        check_lines([lines.replace(b"urn:nextmove:identity.refused.v1", b"urn:nextmove:identity.moved.v1")])
    with pytest.raises(RecordError, match=r"rule: "):
        check_lines([lines.replace(b"merge_limit", b"")])
    with pytest.raises(RecordError, match=r"rule: "):
        check_message(message.key, message.value.replace(b"merge_limit", b""), headers)
    with pytest.raises(RecordError, match=r"headers: .*noon"):
        check_message(message.key, message.value, headers | {"ce_time": b"noon"})
    with pytest.raises(RecordError, match=r"headers: .*ce_id"):
        check_message(message.key, message.value, {name: raw for name, raw in headers.items() if name != "ce_id"})
    with pytest.raises(RecordError, match="a tombstone of something else"):
        check_message(message.key, None, headers)


def test_a_tombstone_says_all_in_its_envelope() -> None:
    """
    An erased profile is an empty value under its key.
    """
    (message,) = MessageEncoder("/test", lambda: 0, {}).encode([(-1, [Tombstone("p1", "r1", AT)])])["profiles"]
    assert (message.key, message.value) == (b"p1", b"")
    assert ("ce_dataschema", b"urn:nextmove:profile.erased.v1") in message.headers
