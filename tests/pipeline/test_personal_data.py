"""With pseudonyms no address and no number is found in anything that a run writes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from redis import Redis

from config.identity import IdentitySettings
from config.settings import Settings
from connectors.formats import decode_batch
from connectors.formats.common import SourceRules
from connectors.formats.pseudonyms import Pseudonyms
from connectors.redis_names import digest as name_in_redis
from operators.ids import digest
from pipeline.run import run
from tests.services.redis import RedisServer

SECRET, FORMER = "1" * 32, "2" * 32


def hiding(**more: Any) -> Settings:  # noqa: ANN401 -- whatever can be set
    """Settings that hide addresses and numbers, with a former secret."""
    identity = IdentitySettings(
        pseudonymise=True, pseudonym_secret=SECRET, former_pseudonym_secrets=FORMER, phone_region="DE", **more
    )
    return Settings(identity=identity)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of a shop and its call centre; what cannot be read is left out, for dead letters hold it as it came."""
    folder = tmp_path_factory.mktemp("day")
    told = folder / "told.jsonl"
    command = ["-m", "pipeline.cli", "generate", "--out", str(told), "--events", "4000", "--seed", "11"]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    lines = [line for line in told.read_bytes().splitlines() if readable(line)]
    at = "2026-11-20T12:00:00Z"
    lines += [
        msgspec.json.encode({"kind": "identified", "occurred_at": at, "event_id": f"x{number}"} | fields)
        for number, fields in enumerate(
            [
                {"email": " Odd.One@Bücher.example "},
                {
                    "anonymous_id": "odd",
                    "user_id": "odd",
                    "email": "odd.one@xn--bcher-kva.example",
                    "phone": "0151/2345678",
                },
                {"kind": "call_ringing", "phone": "+49 151 2345678"},
                {"kind": "call_ringing", "phone": "(030) 99887766"},
            ]
        )
    ]
    path = folder / "day.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def readable(line: bytes) -> bool:
    return not decode_batch([line], partition="", first_position=0, read_at=None).rejected


def spellings(day: Path) -> set[bytes]:
    """Every address and number of a day, as it is told, as it is read, and the digits that all spellings end in.

    And what anybody can make of one without a secret, to try if it is the same.
    """
    hashes = set[bytes]()
    lines = day.read_bytes().splitlines()
    found = {text for line in lines for text in told_in(msgspec.json.decode(line))}
    rules = SourceRules(region="DE")
    for event in decode_batch(lines, partition="", first_position=0, read_at=None, rules=rules).events:
        found |= {event.email, event.phone, event.phone[-7:]}
        hashes |= {digest("email", event.email).encode(), digest("phone", event.phone).encode()}
        hashes |= {name_in_redis(f"e:{event.email}"), name_in_redis(f"p:{event.phone}")}
    found |= {re.sub(r"\D", "", text) for text in found if "@" not in text}
    names = {spelled.encode() for text in found if len(text) >= 5 for spelled in (text, text.lower(), text.strip())}
    return names | hashes


def told_in(value: object, key: str = "") -> Iterator[str]:
    """What stands under a key that is called so."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from told_in(one, name)
    elif isinstance(value, str) and key in {"email", "phone"}:
        yield value


def written(*folders: Path) -> dict[str, bytes]:
    """All files, by name."""
    return {path.name: path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def found_in(files: dict[str, bytes], names: set[bytes]) -> dict[str, list[bytes]]:
    """Which of the names stand in which files."""
    anything = re.compile(b"|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))
    return {file: hits for file, content in files.items() if (hits := anything.findall(content))}


def test_outputs_checkpoints_and_logs_have_none(tmp_path: Path, day: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """
    In no spelling. Without pseudonyms they are in the state, so they would be seen here.
    """
    names = spellings(day)
    assert len(names) > 300
    run(hiding(), [str(day)], tmp_path / "out", recovery=tmp_path / "state")
    files = written(tmp_path / "out", tmp_path / "state")
    said = capfd.readouterr()
    files |= {"stdout": said.out.encode(), "stderr": said.err.encode()}
    assert {"identity.jsonl", "triggers.jsonl", "identity.0.log"} <= set(files)
    assert found_in(files, names) == {}
    pseudonyms = {Pseudonyms(SECRET).of("odd.one@xn--bcher-kva.example")[0].encode()}
    assert "identity.0.log" in found_in(files, pseudonyms)

    plain = Settings(identity=IdentitySettings(phone_region="DE"))
    run(plain, [str(day)], tmp_path / "plain", recovery=tmp_path / "plain-state")
    seen = found_in(written(tmp_path / "plain", tmp_path / "plain-state"), names)
    assert {"identity.0.log", "identity.jsonl", "triggers.jsonl"} <= set(seen)
    assert any(name.startswith("profiles") for name in seen)


def test_redis_has_none(tmp_path: Path, day: Path, redis_server: RedisServer) -> None:
    """
    Neither in a key nor in a value.
    """
    prefix = f"{{test-{uuid4().hex[:12]}}}:"
    run(
        hiding(redis_url=redis_server.url, redis_prefix=prefix),
        [str(day)],
        tmp_path / "out",
        recovery=tmp_path / "state",
    )
    with Redis.from_url(redis_server.url) as client:
        files = {repr(key): key + b"\n" + value_of(client, key) for key in client.scan_iter(f"{prefix}*")}
    hidden = Pseudonyms(SECRET).of("odd.one@xn--bcher-kva.example")[0]
    assert found_in(files, {name_in_redis(f"e:{hidden}")})
    assert found_in(files | written(tmp_path / "out", tmp_path / "state"), spellings(day)) == {}


def value_of(client: Any, key: bytes) -> bytes:  # noqa: ANN401 -- its types are of text
    """All that Redis keeps under a key."""
    match client.type(key):
        case b"string":
            parts = [client.get(key)]
        case b"list":
            parts = client.lrange(key, 0, -1)
        case b"hash":
            parts = [part for pair in client.hgetall(key).items() for part in pair]
        case other:
            raise AssertionError(f"no reader of {other!r}")
    return b"\n".join(parts)


def test_the_same_people_are_one_with_pseudonyms_and_without(tmp_path: Path, day: Path) -> None:
    """
    Who is linked, merged, refused or ambiguous does not depend on it; nor what is triggered.
    """
    run(hiding(), [str(day)], tmp_path / "hidden")
    run(Settings(identity=IdentitySettings(phone_region="DE")), [str(day)], tmp_path / "plain")
    told = []
    for folder in ("hidden", "plain"):
        lines = [msgspec.json.decode(line) for line in (tmp_path / folder / "identity.jsonl").read_bytes().splitlines()]
        records = [line["data"] for line in lines]
        triggers = (tmp_path / folder / "triggers.jsonl").read_bytes().splitlines()
        told.append((sorted((one["what"], one["rule"], one["event_id"]) for one in records), len(triggers)))
    assert told[0] == told[1]
    assert len(told[0][0]) > 100
