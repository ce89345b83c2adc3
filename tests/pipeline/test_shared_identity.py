"""
Who is who in Redis: the same records as with the embedded store, and no mixing of the two.
"""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from config.identity import IdentitySettings
from config.settings import Settings
from connectors.cloudevents import STREAMS
from pipeline.recovery import RunError
from pipeline.run import run
from tests.records import check_lines
from tests.services.redis import RedisServer


@pytest.fixture
def shared(redis_server: RedisServer) -> Settings:
    """Settings with a corner of the server."""
    identity = IdentitySettings(redis_url=redis_server.url, redis_prefix=f"{{test-{uuid4().hex[:12]}}}:")
    return Settings(identity=identity)


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A day of a shop: logins, callers and shared devices among it."""
    path = tmp_path / "day.jsonl"
    command = ["-m", "pipeline.cli", "generate", "--out", str(path), "--events", "5000", "--seed", "11"]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return path


def records_in(out: Path) -> dict[str, list[str]]:
    """The records of each stream, without the wall clock."""
    found = {}
    for stream in STREAMS:
        path = out / f"{stream}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        check_lines(lines)
        found[stream] = sorted(line.split('"emitted_at":')[0].split('"failed_at":')[0] for line in lines)
    return found


def test_the_records_are_those_of_the_embedded_store(tmp_path: Path, day: Path, shared: Settings) -> None:
    """
    Of a day with hundreds of logins; and again when the same day is run anew on what Redis knows by then.
    """
    run(Settings(), [str(day)], tmp_path / "embedded")
    run(shared, [str(day)], tmp_path / "shared")
    run(shared, [str(day)], tmp_path / "again")

    expected = records_in(tmp_path / "embedded")
    assert len(expected["identity"]) > 100
    assert records_in(tmp_path / "shared") == expected
    assert records_in(tmp_path / "again") == expected


def test_a_recovery_folder_belongs_to_one_store(tmp_path: Path, day: Path, shared: Settings) -> None:
    """
    A checkpoint without the links that it was made with would decide on people it does not know.
    """
    run(shared, [str(day)], tmp_path / "out", recovery=tmp_path / "state")
    with pytest.raises(RunError, match="made with the redis store of identities, not the embedded one"):
        run(Settings(), [str(day)], tmp_path / "out", recovery=tmp_path / "state")


def test_a_redis_that_is_not_there_is_said_at_the_start(tmp_path: Path, day: Path) -> None:
    """
    One line with the address, before anything is read.
    """
    identity = IdentitySettings(redis_url="redis://127.0.0.1:1/0", timeout_ms=100)
    with pytest.raises(RunError, match=r"redis://127\.0\.0\.1:1/0: .*check the address"):
        run(msgspec.structs.replace(Settings(), identity=identity), [str(day)], tmp_path / "out")
