"""
Dead letters of runs on files: looked at, mended, fed back, and accepted once.
"""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.cloudevents import Encoder
from connectors.dead_letter import Letter, ReplayedLetter
from connectors.dead_letter_files import LetterFile
from operators.rejected import Rejected
from pipeline import replaying
from pipeline.replaying import DryWay, Replay, Wanted
from tests.pipeline.test_cli import nextmove, records

STRICT = "source: {format: canonical}\n"


def login(number: int) -> bytes:
    """Somebody of their own who signs in."""
    told = {
        "type": "identify",
        "messageId": f"m{number}",
        "userId": f"u{number}",
        "anonymousId": f"a{number}",
        "timestamp": f"2026-11-20T10:00:{number % 60:02}Z",
    }
    return json.dumps(told).encode()


def page(number: int) -> bytes:
    """Somebody who looks at a page, as we tell it ourselves."""
    at = f"2026-11-20T10:00:{number % 60:02}Z"
    told = {"kind": "page_viewed", "event_id": f"p{number}", "occurred_at": at, "anonymous_id": f"v{number}"}
    return json.dumps(told).encode()


def shown(cwd: Path, *more: str | Path) -> dict[str, Any]:
    result = nextmove("deadletters", "show", "--json", *more, cwd=cwd)
    assert (result.returncode, result.stderr) == (0, b"")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def replayed(cwd: Path, *more: str | Path) -> list[str]:
    result = nextmove("deadletters", "replay", *more, cwd=cwd)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout.decode().splitlines()


def users(out: Path) -> Counter[str]:
    """How often somebody was found to be somebody: once each."""
    return Counter(record["what"] for record in records(out / "identity.jsonl"))


# --- the way --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recovery", [[], ["--recovery", "state"]], ids=["anew", "going on"])
def test_what_was_rejected_is_accepted_once_after_the_fix(tmp_path: Path, recovery: list[str]) -> None:
    """
    A file with the records of two senders is read as one of them; with the setting mended its dead letters, written to
    a file, are one more input, of a run that starts anew or goes on. Nothing is there twice, and what is broken itself
    stays out.
    """
    lines = [login(n) if n % 3 else page(n) for n in range(30)] + [b"{broken"]
    (tmp_path / "day.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "shop.yaml").write_text(STRICT)
    run = ["run", "day.jsonl", "--out", "out", "--config", "shop.yaml", *recovery]
    assert nextmove(*run, cwd=tmp_path).returncode == 0
    assert users(tmp_path / "out")["created"] == 0

    found = shown(tmp_path, "--input", "out")
    counts = {(one["source"], one["stage"], one["reason"]): one["letters"] for one in found["counts"]}
    assert counts == {("day.jsonl", "decode", "missing_field"): 20, ("day.jsonl", "decode", "not_json"): 1}
    assert len(found["letters"]) == 10, "the latest"

    feed = ["--input", "out", "--to", "mended.jsonl", "--reason", "missing_field"]
    assert replayed(tmp_path, *feed, "--dry-run") == ["20 would be fed back: 20 to mended.jsonl"]
    assert not (tmp_path / "mended.jsonl").exists()
    assert replayed(tmp_path, *feed) == ["20 fed back: 20 to mended.jsonl"]
    assert (tmp_path / "mended.jsonl").read_bytes().splitlines() == [line for line in lines if b"identify" in line]

    (tmp_path / "shop.yaml").write_text("source: {formats: {mended.jsonl: segment}, format: canonical}\n")
    again = nextmove(run[0], "mended.jsonl", *run[1:], cwd=tmp_path)
    assert (again.returncode, again.stderr.replace(b"will replace", b"")) in (
        (0, b""),
        (0, b"nextmove:  the outputs of an earlier run in out\n"),
    )

    assert users(tmp_path / "out") == {"created": 20, "linked": 40}, "a user and a device each"
    assert len(records(tmp_path / "out" / "sessions.jsonl")) == 30
    letters = records(tmp_path / "out" / "dead_letters.jsonl")
    assert len({(letter["partition"], letter["position"]) for letter in letters}) == len(letters) == 21
    assert replayed(tmp_path, *feed, "--to", "second.jsonl") == [
        "0 fed back",
        "20 were fed back before; --again does so once more",
    ]
    (counted,) = [one for one in shown(tmp_path, "--input", "out")["counts"] if one["reason"] == "missing_field"]
    assert (counted["letters"], counted["fed_back"]) == (20, 20)
    assert replayed(tmp_path, *feed[:3], "more.jsonl", "--again", "--limit", "7") == [
        "7 fed back: 7 to more.jsonl; 7 of them not for the first time"
    ]


def test_a_run_that_was_stopped_goes_on_without_loss(tmp_path: Path) -> None:
    """
    A file turns bad after many good lines: the run stops with one line that says which, and why; mended and started
    again it goes on behind what it has taken in, and the rest of it is in the dead letters.
    """
    lines = [page(n) for n in range(3_000)] + [login(n) for n in range(3_000)] + [page(n) for n in range(3_000, 6_000)]
    (tmp_path / "day.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "shop.yaml").write_text("source: {format: canonical, batch_records: 200}\n")
    run = ["run", "day.jsonl", "--out", "out", "--config", "shop.yaml", "--recovery", "state"]

    stopped = nextmove(*run, cwd=tmp_path)

    assert (stopped.returncode, stopped.stdout) == (3, b"")
    assert stopped.stderr.decode().startswith(
        "nextmove: day.jsonl: 600 of its last 1,000 records were rejected, 600 as missing_field; that is 60%, and"
        " dead_letters.ratio_max is 0.5; `nextmove deadletters show` says more; "
    )
    assert stopped.stderr.count(b"\n") == 1
    rejected = len(records(tmp_path / "out" / "dead_letters.jsonl"))
    assert 600 <= rejected < 3_000

    (tmp_path / "shop.yaml").write_text("source: {batch_records: 200}\n")
    assert replayed(tmp_path, "--input", "out", "--to", "mended.jsonl")[0].startswith(f"{rejected} fed back")
    again = nextmove(run[0], "mended.jsonl", *run[1:], cwd=tmp_path)

    assert again.returncode == 0
    assert users(tmp_path / "out") == {"created": 3_000, "linked": 6_000}
    assert len(records(tmp_path / "out" / "sessions.jsonl")) == 9_000
    assert len(records(tmp_path / "out" / "dead_letters.jsonl")) == rejected


def test_a_record_over_the_limit_is_read_where_it_lies(tmp_path: Path) -> None:
    """
    Its letter has the head of it only: the line is read again, from a packed file too; from one that has changed, or
    has gone, it is not to be had.
    """
    large = login(1)[:-1] + b', "context": {"pad": "' + b"x" * 2_000 + b'"}}'
    for name in ("here", "packed", "changed", "gone", "pipe"):
        packed = name == "packed"
        path = tmp_path / f"{name}.jsonl{'.gz' if packed else ''}"
        data = page(1) + b"\n\n" + large + b"\n"
        path.write_bytes(gzip.compress(data) if packed else data)
    (tmp_path / "shop.yaml").write_text("source: {record_bytes_max: 1024}\n")
    inputs = ["here.jsonl", "packed.jsonl.gz", "changed.jsonl", "gone.jsonl"]
    run = ["run", *inputs, "-", "--out", "out", "--config", "shop.yaml"]
    assert nextmove(*run, cwd=tmp_path, stdin=large).returncode == 0
    (tmp_path / "gone.jsonl").unlink()
    (tmp_path / "changed.jsonl").write_bytes(page(1) + b"\n\n" + login(2) + b"\n")

    told = replayed(tmp_path, "--input", "out", "--to", "mended.jsonl")

    assert told == [
        "2 fed back: 2 to mended.jsonl",
        "3 cannot be fed back: too large to be kept whole, and no longer to be found where it came from",
    ]
    assert (tmp_path / "mended.jsonl").read_bytes() == (large + b"\n") * 2
    assert {one["is_cut"] for one in shown(tmp_path, "--input", "out")["letters"]} == {True}


def test_parts_go_back_as_records_of_their_own(tmp_path: Path) -> None:
    """
    Of a list whose other parts were accepted; the run's books balance with more than one event in a record.
    """
    told = [json.loads(login(n)) for n in range(5)]
    told[1]["timestamp"] = told[3]["timestamp"] = "2126-11-20T10:00:00Z"
    (tmp_path / "day.jsonl").write_bytes(json.dumps(told).encode() + b"\n" + login(9) + b"\n")
    first = nextmove("run", "day.jsonl", "--out", "out", cwd=tmp_path)
    assert (first.returncode, first.stderr) == (0, b"")
    assert b"2 read: 4 accepted, 0 duplicates, 2 dead letters" in first.stdout
    assert users(tmp_path / "out")["created"] == 4

    assert replayed(tmp_path, "--input", "out", "--to", "mended.jsonl") == ["2 fed back: 2 to mended.jsonl"]

    lines = (tmp_path / "mended.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["messageId"] for line in lines] == ["m1", "m3"]


# --- looking --------------------------------------------------------------------------------------------------


def written(folder: Path, letters: list[Rejected], ats: list[int] | None = None) -> Path:
    """A file of letters, as a run writes it, at those instants (ms)."""
    clock = iter(ats or range(1_790_000_000_000, 1_790_000_000_000 + len(letters)))
    path = folder / "dead_letters.jsonl"
    with path.open("wb") as file:
        for letter in letters:
            file.write(Encoder("/test", lambda: next(clock)).encode([(-1, [letter])])["dead_letters"])
    return path


def test_show_says_what_there_is_to_people(tmp_path: Path) -> None:
    """
    Counts first, then the latest letters; nothing that a record says reaches the terminal as a command to it.
    """
    headers = (("trace", b"\x1b[2J"), ("none", None))
    written(
        tmp_path,
        [
            Rejected("not_json", "broken", "shop/0", 1, b"\x1b]0;owned\x07{", key=b"\xff", headers=headers, replays=2),
            Rejected("too_late", "older", "shop/0", 2, b"[]", "profile", "e1"),
            Rejected("not_json", "broken", "calls/0", 1, b"x" * 1_000),
        ],
    )

    result = nextmove("deadletters", "show", "--input", str(tmp_path), cwd=tmp_path)

    out = result.stdout.decode()
    assert (result.returncode, result.stderr) == (0, b"")
    assert "\x1b" not in out
    assert "\x07" not in out
    head, *letters = out.split("\n\n")
    assert head == f"3 dead letters in {tmp_path}/dead_letters.jsonl"
    counts, first, first_rows, second, second_rows, third, third_rows = letters
    assert [line.split() for line in counts.splitlines()] == [
        ["shop", "decode", "not_json", "1,", "1", "rejected", "again"],
        ["shop", "profile", "too_late", "1"],
        ["calls", "decode", "not_json", "1"],
    ]
    assert (first, second, third.strip()) == ("shop/0:1", "shop/0:2", "calls/0:1")
    assert "Key       /w== (base64)" in first_rows
    assert "trace: \\x1b[2J" in first_rows
    assert "none\n" in first_rows
    assert "Record    \\x1b]0;owned\\x07{" in first_rows
    assert "fed back, 2 times" in first_rows
    assert "Stays" in second_rows
    assert "..." in third_rows


@pytest.mark.parametrize(
    ("options", "positions"),
    [
        ([], [1, 2, 3, 4]),
        (["--reason", "not_json"], [1, 3]),
        (["--source", "shop"], [1, 2]),
        (["--source", "day.jsonl"], [4]),
        (["--since", "2026-09-21T14:13:20.002Z"], [3, 4]),
        (["--since", "2026-09-21T16:13:20.003+02:00"], [4]),
        (["--since", "1s"], []),
        (["--since", "3650d", "--limit", "1"], [4]),
        (["--limit", "0"], []),
        (["--reason", "not_json", "--source", "calls"], [3]),
    ],
)
def test_filters(tmp_path: Path, options: list[str], positions: list[int]) -> None:
    """
    By reason, source and time; together they narrow.
    """
    letters = [
        Rejected("not_json", "", "shop/0", 1),
        Rejected("bad_time", "", "shop/1", 2),
        Rejected("not_json", "", "calls/0", 3),
        Rejected("wrong_type", "", "day.jsonl", 4),
    ]
    path = written(tmp_path, letters)
    found = shown(tmp_path, "--input", path, *options)["letters"]
    assert [letter["position"] for letter in found] == positions


def test_letters_that_come_twice_count_once(tmp_path: Path) -> None:
    """
    After a crash a run on Kafka publishes them again, with the same id.
    """
    letter = Rejected("not_json", "", "shop/0", 1, b"{")
    written(tmp_path, [letter, letter, Rejected("not_json", "", "shop/0", 2, b"{")])
    assert [one["letters"] for one in shown(tmp_path, "--input", tmp_path)["counts"]] == [2]
    assert replayed(tmp_path, "--input", tmp_path, "--to", "m.jsonl") == ["2 fed back: 2 to m.jsonl"]


def test_what_cannot_go_back_is_counted_by_why(tmp_path: Path) -> None:
    """
    What is no record, and what is no line; the rest goes.
    """
    written(
        tmp_path,
        [
            Rejected("not_json", "", "shop/0", 1, b"{\n}"),
            Rejected("not_json", "", "shop/0", 2, b" "),
            Rejected("too_late", "", "shop/0", 3, b"[]", "profile"),
            Rejected("too_large", "", "sessions", 0, b"{", "publish", is_cut=True),
            Rejected("not_json", "", "shop/0", 4, b"\xff{"),
        ],
    )
    assert replayed(tmp_path, "--input", tmp_path, "--to", "./m.jsonl") == [
        "1 fed back: 1 to ./m.jsonl",
        "2 cannot be fed back: blank or of several lines, which a line of a file cannot be",
        "1 cannot be fed back: an event that came too late, as it was understood, and not the record",
        "1 cannot be fed back: a record of ours that no topic takes",
    ]
    assert (tmp_path / "m.jsonl").read_bytes() == b"\xff{\n"


def test_other_lines_are_left_out_and_told(tmp_path: Path) -> None:
    """
    Of a later version, or of a run that is still writing.
    """
    path = written(tmp_path, [Rejected("not_json", "", "shop/0", 1, b"{")])
    with path.open("ab") as file:
        file.write(b'{"id":"1","type":"io.nextmove.x.v9","data":{}}\nnonsense\n{"id":"2","ty')
    result = nextmove("deadletters", "show", "--input", path, cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == (
        f"nextmove: {path}: 2 records are no dead letters, or of a later version; they are left out\n".encode()
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show"], 2, "name --input, or set kafka.servers in the settings"),
        (["show", "--input", "nowhere"], 1, "nowhere: No such file or directory; name the folder or file"),
        (["show", "--input", ".", "--since", "noon"], 2, "--since is noon but must be an instant with its offset"),
        (["show", "--input", ".", "--since", "2026-11-20T08:00:00"], 2, "but must be an instant with its offset"),
        (["show", "--input", ".", "--reason", "whim"], 2, "'whim' is not one of"),
        (["replay", "--input", "."], 2, "name a new file with --to, as mended.jsonl, or set kafka.servers"),
        (["replay", "--input", ".", "--to", "shop"], 2, "name a new file with --to, as mended.jsonl"),
        (["replay", "--input", ".", "--to", "./there.jsonl"], 1, "there.jsonl is there already; name a new file"),
        (["replay", "--input", ".", "--to", "none/m.jsonl"], 1, "none/m.jsonl.part: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    """
    And nothing is left of it.
    """
    written(tmp_path, [Rejected("not_json", "", "shop/0", 1, b"{")])
    (tmp_path / "there.jsonl").touch()
    before = sorted(tmp_path.iterdir())

    result = nextmove("deadletters", *arguments, cwd=tmp_path)

    assert (result.returncode, result.stdout) == (code, b"")
    assert said in result.stderr.decode()
    assert result.stderr.count(b"\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_to_feed_back_leaves_no_file(tmp_path: Path) -> None:
    """
    An empty input would be read for nothing.
    """
    written(tmp_path, [Rejected("not_json", "", "shop/0", 1, b"{")])
    told = replayed(tmp_path, "--input", tmp_path, "--to", "m.jsonl", "--reason", "too_late")
    assert told == ["0 fed back"]
    assert [path.name for path in tmp_path.iterdir()] == ["dead_letters.jsonl"]


# --- as parts -------------------------------------------------------------------------------------------------


def test_a_replay_sends_in_the_order_in_which_records_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Chunk by chunk; of the letters that come meanwhile none is taken up.
    """
    monkeypatch.setattr(replaying, "CHUNK_LETTERS", 3)
    letters = [Rejected("not_json", "", "shop/0", position, b"{") for position in (5, 3, 4, 2, 1)]
    store = LetterFile(written(tmp_path, letters), Encoder("/test", lambda: 0))
    written(tmp_path, [*letters, Rejected("not_json", "", "shop/0", 9, b"{")])
    chunks: list[list[int]] = []

    class Way(DryWay):
        def take(self, chunk: Any) -> dict[str, str]:  # noqa: ANN401 -- as a way has it
            chunks.append([letter.told.position for _, letter, _, _ in chunk])
            return {chunk[0][1].id: "no"}

    report = Replay(Way(lambda _: "there"), None, lambda: 0).run(store, Wanted())

    assert chunks == [[3, 4, 5], [1, 2]]
    assert (report.fed, report.left) == ({"there": 3}, {"no": 2})


def test_the_count_of_a_replay_goes_on(tmp_path: Path) -> None:
    """
    From what the record had behind it, and from what its letter has.
    """
    letter = Rejected("not_json", "", "shop/0", 1, b"{", replays=2)
    store = LetterFile(written(tmp_path, [letter]), Encoder("/test", lambda: 0))
    (one,) = (told for told in store.told() if isinstance(told, Letter))
    store.note([ReplayedLetter(one.id, "shop/0:1", "there", 3, "2026-11-23T10:00:00.000Z")])
    headers: list[Any] = []

    class Way(DryWay):
        def take(self, chunk: Any) -> dict[str, str]:  # noqa: ANN401 -- as a way has it
            headers.extend(msgspec.json.decode(dict(record.headers)["nextmove-replayed"]) for _, _, record, _ in chunk)
            return {}

    report = Replay(Way(lambda _: "there"), None, lambda: 0).run(store, Wanted(), is_again=True)

    assert headers == [{"id": one.id, "count": 4}]
    assert report.again == 1
