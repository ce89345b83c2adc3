"""
Rules edited while the program runs: a new set holds as a whole, a bad one not at all, and nobody has to restart.
"""

import gc
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from config.journeys import JourneyError, load_book
from operators.rule_book import Book
from pipeline import rulebooks
from pipeline.rulebooks import RuleBooks, settle, watched
from pipeline.tally import Tally
from pipeline.telemetry import Telemetry
from tests.pipeline.test_cli import nextmove, running, until

AT: Final = 1_795_255_200_000
HOUR: Final = 3_600_000
CHANGES: Final[dict[str, Callable[[Path], object]]] = {
    "edited": lambda folder: rules(folder / "a.yaml", hello=2),
    "added": lambda folder: rules(folder / "c.yaml", again=1),
    "removed": lambda folder: (folder / "b.yaml").unlink(),
    "renamed over": lambda folder: rules(folder / "new", hello=2).replace(folder / "a.yaml"),
    "as old and as long as before": lambda folder: os.utime(rules(folder / "a.yaml", hello=2), ns=(0, 0)),
}


def rules(path: Path, **versions: int) -> Path:
    """Write rules that fire on each page, of these names and versions."""
    told = [
        f"- {{id: {name}, version: {version}, family: journey, on: page_viewed, channels: onsite}}\n"
        for name, version in versions.items()
    ]
    path.write_text("actions:\n" + "".join(told))
    return path


class Desk:
    """Rules in two files, those who look after them, and what they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name, rule in (("a", "hello"), ("b", "bye")):
            os.utime(rules(folder / f"{name}.yaml", **{rule: 1}), ns=(0, 0))
        self.said: list[str] = []
        self.tally = Tally()
        self.meanwhile: Callable[[], object] = lambda: None
        """Happens each time that the files have been read."""
        self.books = RuleBooks(folder, self.load, self.tally, self.said.append)

    def load(self) -> Book:
        try:
            return load_book(self.folder, lateness_ms=30_000, retention_ms=30 * 24 * HOUR)
        finally:
            self.meanwhile()

    @property
    def versions(self) -> dict[str, int]:
        """What decides now."""
        return {rule.id: rule.version for rule in self.books.decider.book.rules.values()}

    def looks(self, count: int = 2) -> list[dict[str, int]]:
        """What decides after each of so many looks."""
        found = []
        for _ in range(count):
            self.books.look()
            found.append(self.versions)
        return found

    def metric(self, name: str) -> dict[str, float]:
        """What Prometheus has of it, by the value of its label."""
        return {
            "".join(sample.labels.values()): sample.value
            for found in Telemetry(self.tally).registry.collect()
            for sample in found.samples
            if sample.name == f"nextmove_{name}"
        }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "journeys")


BEFORE: Final = {"hello": 1, "bye": 1}

# --- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ("edited", {"hello": 2, "bye": 1}),
        ("added", {"hello": 1, "bye": 1, "again": 1}),
        ("removed", {"hello": 1}),
        ("renamed over", {"hello": 2, "bye": 1}),
        ("as old and as long as before", {"hello": 2, "bye": 1}),
    ],
)
def test_what_has_changed_holds_at_the_second_look(desk: Desk, change: str, after: dict[str, int]) -> None:
    """
    A file edited, added, removed, renamed over another, or put in its place with its size and time: at the first look
    it may still be written, at the second it is in force, is said once, and counts.
    """
    old = desk.books.decider.book.id
    CHANGES[change](desk.folder)

    assert desk.looks(4) == [BEFORE, after, after, after]
    new = desk.books.decider.book.id
    assert desk.said == [f"rules {new} in force, of {len(after)}; before, {old}"]
    assert desk.metric("rules_info") == {new: 1}
    assert desk.metric("rule_reloads_total") == {"taken": 1, "refused": 0}


def test_files_renamed_and_touched_say_the_same(desk: Desk) -> None:
    """
    Which file a rule is in, and when it was saved, is nobody's business: the book stays, and nothing is said.
    """
    old = desk.books.decider.book.id
    (desk.folder / "b.yaml").rename(desk.folder / "c.yaml")
    (desk.folder / "a.yaml").touch()
    desk.looks(3)

    assert (desk.versions, desk.books.decider.book.id, desk.said) == (BEFORE, old, [])


def test_a_bad_file_changes_nothing_and_is_said_once(desk: Desk) -> None:
    """
    All faults are said, each line with its place; the old rules decide; Prometheus is told, until it is mended.
    """
    old = desk.books.decider.book.id
    assert desk.metric("config_last_reload_success") == {"": 1}
    path = rules(desk.folder / "b.yaml", hello=7, bye=7)
    path.write_text(path.read_text() + "- {id: x, on: page_viewed, channels: onsite}\n")

    assert desk.looks(5) == [BEFORE] * 5
    assert desk.said == [
        f"the rules stay as they are, {old}, for their files cannot be used:",
        f"{path}:2:8: id hello is taken in {desk.folder / 'a.yaml'}, line 2; each action has its own",
        f"{path}:4:3: an action lacks family",
    ]
    assert desk.metric("config_last_reload_success") == {"": 0}
    assert desk.metric("rule_reloads_total") == {"taken": 0, "refused": 1}

    del desk.said[:]
    rules(path, bye=2)
    assert desk.looks() == [BEFORE, {"hello": 1, "bye": 2}]
    assert desk.said == [f"rules {desk.books.decider.book.id} in force, of 2; before, {old}"]
    assert desk.metric("config_last_reload_success") == {"": 1}


def test_what_was_bad_and_is_as_before_is_said(desk: Desk) -> None:
    """
    Whoever takes a mistake back hears that all is well, though nothing has changed.
    """
    path = desk.folder / "b.yaml"
    text = path.read_text()
    path.write_text("actions: [")
    desk.looks()
    path.write_text(text)
    desk.looks()

    assert desk.said[-1] == f"the files of rules can be used again; rules {desk.books.decider.book.id} stay in force"
    assert desk.metric("config_last_reload_success") == {"": 1}


def test_of_many_faults_the_first_are_said(desk: Desk) -> None:
    """
    A file of nothing but mistakes does not fill the log: ten lines, and how many more there are.
    """
    (desk.folder / "b.yaml").write_text("actions:\n" + "- {id: 1}\n" * 40)
    desk.looks()

    assert len(desk.said) == 12
    with pytest.raises(JourneyError) as refused:
        desk.load()
    left = len(str(refused.value).splitlines()) - 10
    assert desk.said[-1] == f"and {left} lines more, which nextmove check says"


def test_half_a_file_is_no_file(desk: Desk) -> None:
    """
    Whoever writes one slowly, or one after the other, with a look in each pause, is not read before all is there:
    also where each half could be used by itself.
    """
    path = desk.folder / "b.yaml"
    text = path.read_text()
    seen = []
    for number in range(1, 4):
        path.write_text(text + "# more\n" * number)
        seen += desk.looks(1)
    rules(desk.folder / "a.yaml", hello=2)
    seen += desk.looks(1)
    rules(path, bye=2, again=2)
    seen += desk.looks(1)

    assert seen == [BEFORE] * 5
    assert desk.looks(1) == [{"hello": 2, "bye": 2, "again": 2}]
    assert desk.metric("rule_reloads_total") == {"taken": 1, "refused": 0}


@pytest.mark.parametrize(
    "between", ["actions: [", "actions:\n- {id: half, family: offer, on: page_viewed, channels: sms}"]
)
def test_what_changes_while_it_is_read_counts_for_nothing(desk: Desk, between: str) -> None:
    """
    Somebody saves again just as the files are read: what was read, good or bad, is forgotten and read anew.
    """
    path = desk.folder / "b.yaml"
    path.write_text(between)

    def save() -> None:
        desk.meanwhile = lambda: None
        rules(path, bye=3)

    desk.meanwhile = save
    assert desk.looks(4) == [BEFORE, BEFORE, BEFORE, {"hello": 1, "bye": 3}]
    assert desk.metric("rule_reloads_total") == {"taken": 1, "refused": 0}


@pytest.mark.parametrize("missing", ["the folder", "its files", "one that cannot be read"])
def test_files_that_are_gone_keep_the_rules(desk: Desk, missing: str) -> None:
    """
    A folder unmounted, emptied, or with a file in it that is none: the old rules decide until all is there again.
    """
    away = desk.folder.with_name("away")
    match missing:
        case "the folder":
            desk.folder.rename(away)
        case "its files":
            desk.folder.rename(away)
            desk.folder.mkdir()
        case _:
            (desk.folder / "c.yaml").mkdir()
    assert desk.looks(3) == [BEFORE] * 3
    assert len(desk.said) == 2
    assert desk.metric("config_last_reload_success") == {"": 0}

    if away.exists():
        with suppress(FileNotFoundError):
            desk.folder.rmdir()
        away.rename(desk.folder)
    else:
        (desk.folder / "c.yaml").rmdir()
    assert desk.looks(3) == [BEFORE] * 3
    assert desk.metric("config_last_reload_success") == {"": 1}


def test_what_editors_leave_there_is_not_read(desk: Desk) -> None:
    """
    A lock that is a link to nothing, a swap file, a copy of before: they neither hold a change up nor are one.
    """
    (desk.folder / ".#a.yaml").symlink_to("mara@desk.4711:1")
    (desk.folder / ".a.yaml.swp").write_bytes(b"\0")
    (desk.folder / "a.yaml~").write_text("actions: [")
    assert desk.looks(3) == [BEFORE] * 3
    assert desk.metric("rule_reloads_total") == {"taken": 0, "refused": 0}

    rules(desk.folder / "a.yaml", hello=2)
    assert desk.looks() == [BEFORE, {"hello": 2, "bye": 1}]


def test_one_file_can_be_all(tmp_path: Path) -> None:
    """
    Where a file is named in place of a folder, its change is seen too.
    """
    path = rules(tmp_path / "all", hello=1)
    books = RuleBooks(path, partial(load_book, path, lateness_ms=0, retention_ms=30 * 24 * HOUR), Tally(), print)
    rules(path, hello=2)
    books.look()
    books.look()
    assert books.decider.book.rules["hello"].version == 2


def test_reading_leaves_no_litter(desk: Desk) -> None:
    """
    A run has no collector of cycles, and the parser of YAML makes thousands of them: what a reload leaves is collected.
    """
    gc.collect()
    gc.disable()
    try:
        desk.load()
        litter = gc.collect()
        for _ in range(3):
            desk.books.look(is_asked=True)
        assert gc.collect() * 10 < litter
    finally:
        gc.unfreeze()
        gc.enable()


# --- asking -------------------------------------------------------------------------------------------------


def test_sighup_reads_at_once_and_zero_is_sighup_only(desk: Desk) -> None:
    """
    With `decision.reload` 0 nobody looks; SIGHUP reads, also what has just been saved, and what it was is put back.
    """
    before = signal.getsignal(signal.SIGHUP)
    with watched(desk.books, 0):
        rules(desk.folder / "a.yaml", hello=2)
        time.sleep(0.3)
        assert desk.versions == BEFORE
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: desk.versions["hello"] == 2)
    assert signal.getsignal(signal.SIGHUP) == before


def test_sighup_is_not_lost_on_files_that_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Who asks while somebody saves has what was saved, though nobody looks of themselves.
    """
    monkeypatch.setattr(rulebooks, "AGAIN_S", 0.01)
    left = iter(range(2, 5))

    def save() -> None:
        version = next(left, 0)
        if version:
            rules(desk.folder / "a.yaml", hello=version)

    with watched(desk.books, 0):
        desk.meanwhile = save
        os.kill(os.getpid(), signal.SIGHUP)
        until(lambda: desk.versions["hello"] != 1)
    assert desk.versions == {"hello": 4, "bye": 1}


def test_files_are_looked_at_all_the_time(desk: Desk) -> None:
    """
    Every `decision.reload`, without anybody asking.
    """
    with watched(desk.books, 20):
        for version in (2, 3):
            rules(desk.folder / "a.yaml", hello=version)
            until(partial(lambda wanted: desk.versions["hello"] == wanted, version))


def test_who_starts_while_somebody_saves_waits_for_the_rest(desk: Desk) -> None:
    """
    There are no old rules to go on with: a start waits until nobody has written for as long as between two looks, and
    not at all where nobody writes.
    """
    began_at = time.monotonic()
    settle(desk.folder, 10_000)
    assert time.monotonic() - began_at < 1

    path = desk.folder / "b.yaml"
    path.write_text("actions: []")
    rest = threading.Timer(0.15, lambda: rules(path, bye=2))
    rest.start()
    settle(desk.folder, 300)
    rest.join()
    assert desk.load().rules["bye"].version == 2


# --- the program --------------------------------------------------------------------------------------------


class Program:
    """A run under way: pages go in one by one, and what comes of each is read from the files."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process, self._folder = process, folder
        self._pages = 0
        self.said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.said += (line.decode().rstrip() for line in iter(self.process.stderr.readline, b""))

    def page(self, at: int = AT, **more: object) -> None:
        """Somebody looks at a page."""
        self._pages += 1
        names = {"event_id": f"e{self._pages}", "anonymous_id": f"v{self._pages}"}
        line = {"kind": "page_viewed", "occurred_at": at, "channel": "web"} | names | more
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def records(self, stream: str) -> list[dict[str, Any]]:
        """What is in a file by now, but for a line that is being written."""
        path = self._folder / f"{stream}.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line)["data"] for line in lines]

    def rule(self) -> tuple[str, int]:
        """The book and the version that the next page is decided by."""
        count = len(self.records("triggers"))
        self.page()
        until(lambda: len(self.records("triggers")) > count)
        rule = self.records("triggers")[count]["rule"]
        return rule["book"], rule["version"]

    def has_said(self, words: str) -> None:
        """Wait for a line on stderr."""
        until(lambda: any(re.search(words, line) for line in self.said))

    def end(self) -> int:
        """Let the input end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=20)


@contextmanager
def program(tmp_path: Path, reload: str, *options: str, out: str = "out", lateness: str = "30s") -> Iterator[Program]:
    decision = f"{{journeys: journeys, reload: {reload}}}"
    (tmp_path / "shop.yaml").write_text(f"decision: {decision}\nsource: {{lateness: {lateness}}}\n")
    arguments = "run", "-", "--out", out, "--config", "shop.yaml", *options
    with running(*arguments, cwd=tmp_path) as process:
        yield Program(process, tmp_path / out)


def test_a_new_version_is_in_the_next_trigger_of_every_process(desk: Desk) -> None:
    """
    Two processes with one folder: each sees the change by itself, neither starts again, both name the same book.
    """
    (desk.folder / "b.yaml").unlink()
    home = desk.folder.parent
    with program(home, "100ms") as one, program(home, "100ms", out="other") as other:
        first = one.rule(), other.rule()
        rules(desk.folder / "a.yaml", hello=2)
        for process in (one, other):
            process.has_said("nextmove: rules [0-9a-f]+ in force, of 1; before, [0-9a-f]+$")
        second = one.rule(), other.rule()
        assert (one.end(), other.end()) == (0, 0)

    (old, before), (new, after) = first[0], second[0]
    assert (first[0] == first[1], second[0] == second[1]) == (True, True)
    assert (before, after, old != new) == (1, 2, True)


@pytest.mark.parametrize("options", [(), ("--restart", "2")])
def test_sighup_does_not_end_a_run(desk: Desk, options: tuple[str, ...]) -> None:
    """
    It has the rules read, bad ones and good ones, also by way of a supervisor, and the run goes on to its end.
    """
    (desk.folder / "b.yaml").unlink()
    path = desk.folder / "a.yaml"
    with program(desk.folder.parent, "0s", *options) as run:
        book = run.rule()
        path.write_text("actions: [")
        run.process.send_signal(signal.SIGHUP)
        run.has_said(f"nextmove: the rules stay as they are, {book[0]}, for their files cannot be used:")
        run.has_said(f"nextmove: {re.escape(str(path))}:1:11: ")
        assert run.rule() == book
        rules(path, hello=5)
        run.process.send_signal(signal.SIGHUP)
        run.has_said("in force")
        assert run.rule()[1] == 5
        assert run.end() == 0


def test_what_a_rule_waits_for_is_given_up_with_the_rule(desk: Desk) -> None:
    """
    A rule that is gone when its time has come sends nothing, and it is told why; one that is still there sends.

    `soon` is said when time is complete up to the page, in whose turn the two others begin to wait.
    """
    for name, after in (("a", "10m"), ("b", "10m"), ("soon", "0s")):
        path = rules(desk.folder / f"{name}.yaml", **{{"a": "hello", "b": "bye"}.get(name, name): 1})
        path.write_text(
            path.read_text().replace(" on:", f" per: profile, after: {after}, without: [order_completed], on:")
        )
    with program(desk.folder.parent, "100ms", lateness="0s") as run:
        run.page(time.time_ns() // 1_000_000)
        until(lambda: run.records("triggers"))
        (desk.folder / "b.yaml").unlink()
        run.has_said("in force, of 2;")
        assert run.end() == 0
        sent = [record["rule"]["id"] for record in run.records("triggers")]
        kept = [(one["rule"]["id"], one["reason"], one["detail"]) for one in run.records("suppressed")]

    assert sent == ["soon", "hello"]
    assert kept == [("bye", "not_applicable", "there is no such rule any more")]


def test_nothing_starts_under_rules_that_cannot_be_used(desk: Desk) -> None:
    """
    Exit code 2, as with wrong settings, from `run` and `check` alike; each line names its place.
    """
    home, path = desk.folder.parent, desk.folder / "b.yaml"
    (home / "shop.yaml").write_text("decision: {journeys: journeys, reload: 100ms}\n")
    (home / "day.jsonl").write_bytes(b"")
    good = nextmove("check", "shop.yaml", cwd=home)
    named = nextmove("check", "--rules", "journeys", cwd=home)
    path.write_text(path.read_text().replace("on: page_viewed", "on: page_viewd, when: 'event.kin == \"x\"'"))
    bad = [
        nextmove(*arguments, cwd=home)
        for arguments in (
            ("check", "shop.yaml"),
            ("check", "--rules", "journeys"),
            ("run", "day.jsonl", "--out", "out", "--config", "shop.yaml"),
        )
    ]

    assert (good.returncode, good.stderr) == (0, b"")
    assert (named.returncode, named.stderr) == (0, b"")
    book = desk.books.decider.book.id
    assert named.stdout.decode() == f"book: {book}\nrules:\n  hello: 1\n  bye: 1\n"
    for result in bad:
        assert (result.returncode, result.stdout) == (2, b"")
        assert re.search(rb"^nextmove: \S*b\.yaml:2:\d+: .*page_viewd", result.stderr)
        assert all(line.startswith(b"nextmove: ") for line in result.stderr.splitlines())
