"""
Whoever edits rules in a chaos run, and who judges what was decided meanwhile.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from config.journeys import JourneyError, load_book
from tests.chaos.audit import Verdict
from tests.chaos.edits import Editor
from tests.chaos.evidence import By, Cause, Suppressed, Told, Trigger
from tests.chaos.rules import SHORT
from tests.journeys import RETENTION_MS

QUICK = SHORT._replace(reload=0.01)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    """Nine edits, two of them broken, as fast as can be."""
    one = Editor(tmp_path_factory.mktemp("edited") / "journeys", QUICK, 9, 0.0)
    with one.editing():
        while one.made < 9:
            time.sleep(0.01)
    return one


def said(editor: Editor) -> list[str]:
    """A process that tells of a fault."""
    return [f"nextmove: {editor.journeys}/0.yaml:3:1: unknown key famly; did you mean family?"]


def told(editor: Editor, *, half: bool = False, version: int = 0) -> Told:
    """A trigger under every book but the last, a decision not to act under that one."""
    *books, last = [By("r", number, id_) for id_, number in editor.books.items()]
    if half:
        books.append(By("r", 3, "half"))
    if version:
        books.append(By("r", version, last.book))
    why = Cause("cart.timer", "c", "2026-11-21T10:00:00.000Z", "")
    triggers = [Trigger(action="a", profile_id="p", cause=why, rule=rule) for rule in books]
    return Told(triggers=triggers, suppressed=[Suppressed(rule=last)])


def test_every_edit_is_a_book_of_one_version_or_broken(editor: Editor) -> None:
    """
    The first rules and seven edits could be used, two could not; the last is what stands in the files at the end.
    """
    assert sorted(editor.books.values()) == [1, 2, 3, 5, 6, 8, 9, 10]
    assert len(editor.broken) == 2
    book = load_book(Path(editor.journeys), lateness_ms=0, retention_ms=RETENTION_MS)
    assert (editor.books[book.id], {rule.version for rule in book.rules.values()}) == (10, {10})


def test_a_half_of_an_edit_could_be_used(tmp_path: Path) -> None:
    """
    What the editor leaves there in its pauses would be taken by whoever does not wait: rules of several versions, or
    fewer of them; and what is broken would be refused.
    """
    found, refused = set(), 0
    one = Editor(tmp_path / "journeys", QUICK, 8, 0.0)
    with one.editing():
        while one.made < 8:
            try:
                found.add(load_book(tmp_path / "journeys", lateness_ms=0, retention_ms=RETENTION_MS).id)
            except JourneyError:
                refused += 1
    assert found - one.books.keys()
    assert refused


def test_decisions_under_whole_rules_are_no_fault(editor: Editor) -> None:
    """
    Each under a book that was whole, by its version.
    """
    verdict = Verdict()
    editor.judge(verdict, told(editor), said(editor))
    assert verdict.faults == []
    assert dict(verdict.rows)["books decided by"] == "8 of 8 that were whole"


@pytest.mark.parametrize(
    ("wrong", "is_told", "complaint"),
    [
        ({"half": True}, True, "1 decisions under rules that were never whole: trigger  by r 3 of half"),
        ({"version": 9}, True, "1 decisions under rules that were never whole: trigger  by r 9 of "),
        ({}, False, "no process has told of any of 2 broken edits"),
    ],
)
def test_half_a_set_of_rules_is_found(editor: Editor, wrong: dict[str, Any], *, is_told: bool, complaint: str) -> None:
    """
    A book that nobody has written, a version that its book did not have, and broken rules that nobody has noticed.
    """
    verdict = Verdict()
    editor.judge(verdict, told(editor, **wrong), said(editor) if is_told else [])
    assert [fault.startswith(complaint) for fault in verdict.faults] == [True]


def test_edits_that_nobody_takes_are_found(editor: Editor) -> None:
    """
    All decisions under the first rules: then nothing was shown.
    """
    seen = told(editor)
    verdict = Verdict()
    editor.judge(verdict, Told(triggers=seen.triggers[:1]), said(editor))
    assert verdict.faults == ["only 1 books have decided anything, of 9 edits"]
