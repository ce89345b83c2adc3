"""
Golden savepoints: what an earlier version has saved is read by this one, and goes on as it did there.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors import changelog
from operators.profile_state import Profile, unpack
from operators.trigger import slot_key, trigger_id
from pipeline.manifest import IDENTITY, STEPS, changelog_name
from pipeline.savepoint import CONTENTS, Part, read_parts
from tests.golden.make import EXPECTED, GOLDEN, INPUT, SAVEPOINT, SETTINGS, written
from tests.pipeline.test_cli import nextmove

VERSIONS = sorted(path.parent.name for path in GOLDEN.glob(f"*/{SAVEPOINT}"))


def profiles(part: Part) -> list[Profile]:
    """All states of a part of a savepoint."""
    found = []
    for step in STEPS:
        for row in part.manifest.held(step):
            path = changelog.path_of(part.folder, changelog_name(step, row.group), row.generation)
            found += [unpack(key, raw) for key, (_, raw) in changelog.live(path, row.length).items()]
    return found


def is_taken_back(one: dict[str, Any]) -> bool:
    """Whether a record takes a trigger back, which no version before did."""
    return one["stream"] == "triggers" and str(one["id"]).endswith("/retracted")


def kept(told: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a record what the version that made the golden one did not know."""
    return told | {"data": {key: value for key, value in told["data"].items() if key in known["data"]}}


def as_then(one: dict[str, Any]) -> dict[str, Any]:
    """Say what is said of a decision in the words of 0.1, whose rules had no names and whose causes had others.

    Since then the ids of what is sent for a visit say since when the person was on the device, which two may share.
    What is in `detail` is for people.
    """
    data = {key: value for key, value in one["data"].items() if key != "detail"}
    words = {"visit.returned": "visit", "product_viewed": "product"}
    if "cause" in data:
        cause = data["cause"]
        data = data | {"cause": cause | {"type": words.get(cause["type"], cause["type"])}}
    rule = data.get("rule")  # of an identity record it is the one that forbade, by name
    id_ = one["id"].replace(f"/{rule['id']}/", "/") if isinstance(rule, dict) else one["id"]
    if data.get("cause", {}).get("type") == "visit":
        key = "|visit|".join(data["cause"]["id"].rsplit("/", 1))
        now, then = data["trigger_id"], trigger_id(data["action"], key)
        slots = {"slot_key": slot_key("journey", key)} if "slot_key" in data else {}
        id_, data = id_.replace(now, then), data | {"trigger_id": then} | slots
    return one | {"id": id_, "data": data}


def without_stitching(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what no version before said: whom profiles became part of, and the sessions that these brought."""
    records = [one["data"] for one in found if one["data"].get("what") == "stitched"]
    brought = {(session_id, data["profile_id"]) for data in records for session_id in data["sessions"]}
    return [
        one
        for one in found
        if one["data"] not in records
        and not (
            one["stream"] == "sessions"
            and one["data"]["revision"] > 1
            and (one["data"]["session_id"], one["data"]["profile_id"]) in brought
        )
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_savepoint_goes_on_as_it_did(version: str, tmp_path: Path) -> None:
    """
    From each golden savepoint this version goes on to the records, ids included, that the version that made it wrote;
    with those beside them by which what was a visitor's becomes a lead's.
    """
    shutil.copytree(GOLDEN / version, tmp_path / "golden")
    expected = [as_then(json.loads(line)) for line in (GOLDEN / version / EXPECTED).read_text().splitlines()]

    arguments = ("run", INPUT, "--config", SETTINGS, "--out", "out", "--recovery", "new", "--from-savepoint", SAVEPOINT)
    result = nextmove(*arguments, cwd=tmp_path / "golden")
    every = [one for one in written(tmp_path / "golden" / "out") if one["stream"] != "calls"]  # there was none
    beside = ("attribution", "answers")
    found = [as_then(one) for one in without_stitching(every) if one["stream"] not in beside and not is_taken_back(one)]
    found.sort(key=lambda one: (one["stream"], one["id"], json.dumps(one["data"], sort_keys=True)))

    assert result.returncode == 0, result.stderr
    assert [(one["stream"], one["id"]) for one in found] == [(one["stream"], one["id"]) for one in expected]
    assert [kept(one, known) for one, known in zip(found, expected, strict=True)] == expected
    assert len([one for one in every if one["data"].get("what") == "stitched"]) >= 2
    assert {one["stream"] for one in expected} >= {"carts", "sessions", "triggers", "suppressed", "identity"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_savepoint_has_some_of_everything(version: str) -> None:
    """
    Open sessions and carts, guests who wait for the watermark, events that wait, footprints, links, ids of events.
    """
    (part,) = read_parts(GOLDEN / version / SAVEPOINT)
    told = part.manifest.resolved()
    assert told is not None
    known = changelog.live(changelog.path_of(part.folder, IDENTITY, told.generation), told.length)
    held = profiles(part)

    assert len(held) >= 24
    for has in (
        [one for one in held if one.track.sessions],
        [one for one in held if one.track.carts.pack(0, {})],
        [one for one in held if one.track.memory.pack(0)],
        [one for one in held if one.track.pending],
        [one for one in held if one.guests],
        [one for one in held if one.footprint.pack(0)],
        [one for one in held if len(one.anonymous_ids) > 1],
        [name for name in known if name.startswith("a:")],
        [name for name in known if name.startswith("#")],
    ):
        assert has


@pytest.mark.parametrize(("version", "counts"), [("0.1.0", (16, 9, 36, 126)), ("0.1.0-leads", (16, 10, 41, 132))])
def test_a_golden_savepoint_can_be_looked_at(version: str, counts: tuple[int, ...]) -> None:
    """
    `state inspect` counts the visitors, leads, identifiers and ids of events in it.
    """
    result = nextmove("state", "inspect", SAVEPOINT, "--json", cwd=GOLDEN / version)
    (found,) = json.loads(result.stdout)

    held = (found["steps"]["visitors"]["profiles"], found["steps"]["profiles"]["profiles"])
    assert (*held, found["identifiers"], found["event_ids"]) == counts
    assert (found["kind"], found["nextmove"], found["format"]) == ("savepoint", version.partition("-")[0], 1)
    assert sorted(path.name for path in (GOLDEN / version / SAVEPOINT).rglob("*.json")) == [CONTENTS]


def test_a_golden_savepoint_has_a_guest_of_a_guest() -> None:
    """
    A visitor of the lead who has just become another one: none of the three has joined the next yet.
    """
    (part,) = read_parts(GOLDEN / "0.1.0-leads" / SAVEPOINT)
    assert [theirs for one in profiles(part) for guest in one.guests for theirs in guest.guests]


def test_what_the_guide_shows_is_what_is_printed() -> None:
    """
    The guide to savepoints shows what `state inspect` says of a golden one, but for where its outputs were.
    """
    guide = (GOLDEN.parents[1] / "docs" / "how-to" / "savepoints.md").read_text()
    shown = guide.split("```")[1].strip().splitlines()[1:]
    printed = nextmove("state", "inspect", SAVEPOINT, cwd=GOLDEN / "0.1.0").stdout.decode().splitlines()[1:]

    assert [line for line in printed if not line.startswith("Written to")] == [
        line for line in shown if not line.startswith("Written to")
    ]
