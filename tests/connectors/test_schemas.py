"""
The schemas that subscribers are given.
"""

import json
from typing import get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from connectors.schemas import FOLDER, schemas
from operators.identity_record import What


def test_what_is_given_is_what_is_meant() -> None:
    """
    The files are those that `python -m connectors.schemas` writes, no more and no fewer, and sound.
    """
    given = {path.name.removesuffix(".json"): json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert given == schemas()
    for schema in given.values():
        Draft202012Validator.check_schema(schema)


def test_each_identity_record_has_one() -> None:
    """
    One for each thing that is said on the identity topic.
    """
    assert {f"identity.{what}.v1" for what in get_args(What)} <= schemas().keys()


@pytest.mark.parametrize(
    "changed",
    [{"rule": ""}, {"rule": "a whim"}, {"what": "linked"}, {"identifier": ""}, {"profile_id": 7}, {"event_id": None}],
)
def test_what_is_not_so_is_refused(changed: dict[str, object]) -> None:
    """
    A refusal without a rule, or with one that nobody knows; of another kind; of nothing.
    """
    record = {
        "what": "refused",
        "profile_id": "lead-1",
        "identifier_type": "email",
        "identifier": "0f",
        "rule": "merge_limit",
        "other_profile_id": "",
        "event_id": "e1",
        "at": "2026-11-21T10:00:00.000Z",
    }
    validator = Draft202012Validator(schemas()["identity.refused.v1"])
    validator.validate(record)
    with pytest.raises(ValidationError):
        validator.validate(record | changed)
