"""
`nextmove identity`: what is asked for by what is typed, and how answers are written.
"""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from connectors.formats.requests import decode_requests
from operators.answer import Answer
from pipeline.identity_command import identity, request_of, rows_of


@pytest.mark.parametrize(
    ("typed", "type_", "value"),
    [
        ("user:4711", "user_id", "4711"),
        ("4711", "user_id", "4711"),
        ("mara@example.org", "email", "mara@example.org"),
        ("email:mara@example.org", "email", "mara@example.org"),
        ("user:mara@example.org", "user_id", "mara@example.org"),
        ("+49 151 12345678", "phone", "+49 151 12345678"),
        ("phone:0151", "phone", "0151"),
        ("device:d-17", "anonymous_id", "d-17"),
        ("lead-0123", "profile_id", "lead-0123"),
        ("profile:d-17", "profile_id", "d-17"),
        ("urn:x:1", "user_id", "urn:x:1"),
    ],
)
def test_who_is_meant(typed: str, type_: str, value: str) -> None:
    """
    By the type that is typed, else by how it looks; a colon may be part of an id.
    """
    assert getattr(request_of("show", (typed,)).identifiers, type_) == [value]


@pytest.mark.parametrize("typed", ["", "user:", "email: ", "x" * 257])
def test_what_names_nobody_is_refused(typed: str) -> None:
    """
    Before anything is sent.
    """
    with pytest.raises(click.UsageError):
        request_of("erase", (typed,))


def test_a_file_of_requests_is_what_a_run_reads(tmp_path: Path) -> None:
    """
    Each request is added, and none is written over.
    """
    file = tmp_path / "requests.jsonl"
    for command in ("show", "erase"):
        result = CliRunner().invoke(identity, [command, "user:4711", "mara@example.org", "--to", str(file)])
        assert result.exit_code == 0, result.output
    lines = file.read_bytes().splitlines()
    requests, rejected = decode_requests(lines, partition="-", first_position=1, came_at=[1_700_000_000_000] * 2)
    assert rejected == []
    assert [(one.what, one.names) for one in requests] == [
        (what, ["u:4711", "e:mara@example.org"]) for what in ("show", "erase")
    ]
    assert len({json.loads(line)["id"] for line in lines}) == 2


def test_without_brokers_or_a_file_there_is_nobody_to_ask() -> None:
    """
    And what to do about that is said.
    """
    result = CliRunner().invoke(identity, ["show", "4711"], env={"NEXTMOVE_KAFKA_SERVERS": ""})
    assert result.exit_code == 2
    assert "set kafka.servers in the settings, or name a file with --to" in result.output


def test_an_answer_is_written_for_people() -> None:
    """
    What is there, line by line; what is not is left out.
    """
    answer = Answer(
        "r1", "show", "done", "2026-11-23T10:00:00.000Z", "lead-1", identity={"users": 1, "merged": ["a", "b"]}
    )
    assert rows_of(answer) == {"Outcome": "found", "Users": "1", "Merged": "a\nb"}
    split = Answer(
        "r2", "unmerge", "done", "2026-11-23T10:00:00.000Z", "lead-1", "lead-2", moved={"carts": 1}, stayed=["visits"]
    )
    assert rows_of(split) == {"Outcome": "done", "Split off as": "lead-2", "Moved": "1 carts", "Not split": "visits"}
    assert rows_of(Answer("r3", "erase", "several", "2026-11-23T10:00:00.000Z"))["Outcome"].startswith(
        "these are of several"
    )
