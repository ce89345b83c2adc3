"""Journeys: rules of what to do next, in files of YAML, into a book of them.

All files of a folder make one book. What is wrong with any of them is told at once, each fault by file, line and
column; a book is whole or is none. docs/reference/journeys.md has every key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from config.document import DocumentError, text_of
from config.journey_policy import EXPERIMENT_OF_ALL, PolicyRead, beyond
from config.journey_rules import rule_of
from config.marked import Marked, MarkedError, Source
from config.settings import Settings
from operators.ids import digest
from operators.rule_book import Book, Rule

SHIPPED: Final = Path(__file__).parent / "journeys"
"""The rules that hold where none are named."""

FILES_MAX: Final = 100
RULES_MAX: Final = 1_000
"""Each rule that an event's kind leads to is asked: a shop with more has meant another thing."""

_KEYS: Final = ("policy", "actions")


class JourneyError(ValueError):
    """Journeys that cannot be used: all that is wrong with them, a line each, of conditions with the place shown."""

    def __init__(self, faults: Iterable[object]) -> None:
        self.faults = [str(fault) for fault in faults]
        super().__init__("\n".join(self.faults))


def book_of(settings: Settings) -> Book:
    """Make the book that settings name; of the two retentions the shorter counts.

    Raises:
        JourneyError: it cannot be used.
    """
    profile, lateness_ms = settings.profile, settings.source.lateness_ms
    retention_ms = min(profile.anonymous_retention_ms, profile.lead_retention_ms)
    book = load_book(journeys_of(settings), lateness_ms=lateness_ms, retention_ms=retention_ms)
    # What people say is learnt all the same: consents are not to be missing on the day that decisions are taken again.
    return book if settings.decision.enabled else Book(book.id, [], book.policy, lateness_ms)


def journeys_of(settings: Settings) -> Path:
    """Return the folder or file of the journeys that settings name."""
    named = settings.decision.journeys
    return Path(named) if named else SHIPPED


def load_book(path: Path, *, lateness_ms: int, retention_ms: int) -> Book:
    """Make a book of a file, or of all *.yaml of a folder in the order of their names.

    Raises:
        JourneyError: there is no such thing, or something is wrong in it.
    """
    return read_book(texts_of(path), lateness_ms=lateness_ms, retention_ms=retention_ms)


def texts_of(path: Path) -> dict[str, str]:
    """Read a file, or all *.yaml of a folder, by their names; what begins with a dot is an editor's or a mount's.

    Raises:
        JourneyError: there is none, or one cannot be read.
    """
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise JourneyError([f"{path}: cannot be read: {error.strerror}"]) from None
    if path.is_dir():
        files = [file for file in files if not file.name.startswith(".")]
        if misnamed := [file for file in files if file.suffix == ".yml"]:
            raise JourneyError([f"{file}: is not read; name it {file.stem}.yaml" for file in misnamed])
        files = [file for file in files if file.suffix == ".yaml"]
        if not 0 < len(files) <= FILES_MAX:
            raise JourneyError([f"{path}: a folder of {len(files)} files *.yaml; 1 to {FILES_MAX} are possible"])
    texts, faults = {}, []
    for file in files:
        try:
            texts[str(file)] = text_of(file)
        except FileNotFoundError:
            faults.append(f"{file}: no such file or folder")
        except DocumentError as error:
            faults.append(f"{file}: {error}")
    if faults:
        raise JourneyError(faults)
    return texts


def read_book(texts: Mapping[str, str], *, lateness_ms: int, retention_ms: int) -> Book:
    """Make a book of the texts of files, by their names.

    Args:
        texts: What stands in each file.
        lateness_ms: By how much events may come out of order.
        retention_ms: How long a profile without events is kept: nothing may have to be remembered for longer.

    Raises:
        JourneyError: something is wrong in them.
    """
    sources = [Source(name, texts[name]) for name in sorted(texts)]
    documents = [table for source in sources for table in _document(source)]
    policy = _policy(sources, documents, retention_ms)
    actions = [action for table in documents for action in _actions(table)]
    read = [made for action in actions for made in _rule(action, policy)]
    _unlike(read)
    _same_experiments(read, policy)
    if not any(source.faults for source in sources):
        _whole(sources[0], actions, [rule.action for rule, _ in read], policy)
    faults = [fault for source in sources for fault in sorted(source.faults, key=lambda one: (one.line, one.column))]
    if faults:
        raise JourneyError(faults)
    return Book(_identity(documents), [rule for rule, _ in read], policy.policy, lateness_ms)


def _document(source: Source) -> list[dict[str, Marked]]:
    """Read a file into its parts; none of one with a fault, which is noted, or of one of comments."""
    with source.noting():
        found = source.read()
        return [] if found is None else [found.table(_KEYS)]
    return []


def _policy(sources: list[Source], documents: list[dict[str, Marked]], retention_ms: int) -> PolicyRead:
    """Read the policy of the one file that has one."""
    policy = PolicyRead(retention_ms)
    first: Marked | None = None
    for raw in [table["policy"] for table in documents if "policy" in table]:
        with raw.source.noting():
            if first is not None:
                raise raw.fault(f"policy is given in {first.source.name} too; keep one")
            first = raw
            policy.read(raw)
    reach_ms = policy.policy.attribution.reach_ms
    if reach_ms > retention_ms:
        at = 0 if policy.attribution is None else policy.attribution.node.start_mark.index
        source = sources[0] if policy.attribution is None else policy.attribution.source
        what = "attribution" if policy.attribution is not None else "attribution, which is not given,"
        source.faults.append(MarkedError(source, beyond(what, reach_ms, retention_ms), at))
    return policy


def _actions(table: dict[str, Marked]) -> list[Marked]:
    if "actions" not in table:
        return []
    with table["actions"].source.noting():
        return table["actions"].items()
    return []


def _rule(raw: Marked, policy: PolicyRead) -> list[tuple[Rule, dict[str, Marked]]]:
    with raw.source.noting():
        return [rule_of(raw, policy)]
    return []


def _unlike(read: list[tuple[Rule, dict[str, Marked]]]) -> None:
    """Note ids that are given twice."""
    taken: dict[str, Marked] = {}
    for rule, table in read:
        raw = table["id"]
        first = taken.setdefault(rule.id, raw)
        if first is not raw and rule.id:
            place = MarkedError(first.source, "", first.node.start_mark.index)
            message = f"id {rule.id} is taken in {first.source.name}, line {place.line}; each action has its own"
            raw.source.faults.append(raw.fault(message))


def _same_experiments(read: list[tuple[Rule, dict[str, Marked]]], policy: PolicyRead) -> None:
    """Note experiments of one name and other shares: nobody could tell by the name who is held out."""
    known: dict[str, tuple[Any, ...]] = {}
    if policy.policy.experiment is not None:
        known[EXPERIMENT_OF_ALL] = ("of the policy",)
    for rule, table in read:
        if rule.experiment is None:
            continue
        shares = tuple([table[key].plain if key in table else None for key in ("holdout", "variants")])
        if known.setdefault(rule.experiment.name, shares) != shares:
            raw = table.get("experiment", table["id"])
            message = f"another experiment {rule.experiment.name} has other shares; give them the same or other names"
            raw.source.faults.append(raw.fault(message))


def _whole(first: Source, actions: list[Marked], names: list[str], policy: PolicyRead) -> None:
    """Note what is wrong with all rules together, each of which is right."""
    if not actions:
        first.faults.append(MarkedError(first, "no actions here or in another file; one at least is needed", 0))
    if len(actions) > RULES_MAX:
        over = actions[RULES_MAX]
        over.source.faults.append(over.fault(f"{len(actions):,} actions; {RULES_MAX:,} are possible"))
    for raw in policy.actions:
        with raw.source.noting():
            raw.word(sorted(set(names)), "action")


def _identity(documents: list[dict[str, Marked]]) -> str:
    """Return a digest of all that files say: of values only, so that comments and the parting into files are free."""
    said: dict[str, Any] = {"actions": [one.plain for table in documents for one in _actions(table)]}
    said["policy"] = [table["policy"].plain for table in documents if "policy" in table]
    return digest("journeys", json.dumps(said, sort_keys=True))
