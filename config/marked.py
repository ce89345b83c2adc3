"""YAML in which each value knows where it stands, so that whatever is wrong with it is told by line and column.

`config/load.py` reads settings by their types. Rules of journeys are many, nest, and have conditions in them with
places of their own: here all that is wrong with a file is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from math import inf, isfinite
from typing import Any, Final, TypeVar

import yaml

from config.document import Loader, fault
from config.durations import format_duration, parse_duration
from config.shown import shown, unknown
from operators.expression_syntax import ExpressionError

W = TypeVar("W", bound=str)

VALUES_MAX: Final = 200_000
"""Values of a file, those counted anew that an alias repeats: a thousand rules have a quarter."""

# What stands for one character in quotes, or is one.
_CHARACTERS: Final = {
    "'": re.compile(r"''|\S"),
    '"': re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[\s\S])|\S"),
}
_CHARACTER: Final = re.compile(r"\S")
_BLANK_ESCAPES: Final = frozenset("\\" + sign for sign in "\n\t nrtvfNLP_")


class MarkedError(ValueError):
    """What is wrong with a file of YAML, and where. The message begins with the place as compilers write it."""

    def __init__(self, source: Source, message: str, at: int, end: int = 0) -> None:
        """Know the characters, from 0, that it is about; the line is shown where `end` is given."""
        place = ExpressionError("", source.text, at, end)
        self.line, self.column = place.line, place.column
        told = f"{source.name}:{place.line}:{place.column}: {message}"
        super().__init__(f"{told}\n{place.excerpt}" if end else told)


class Source:
    """A file: its name, its text, and what has been found wrong with it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        # One character at each line's end, none before the first: the same lines for YAML and for us.
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.faults: list[MarkedError] = []

    def noting(self) -> _Noting:
        """Note what is found wrong inside and go on after it."""
        return _Noting(self.faults)

    def read(self) -> Marked | None:
        """Read the YAML, None where there is nothing but comments.

        Raises:
            MarkedError: it is none, or too much.
        """
        try:
            loader = Loader(self.text)
            node = loader.get_single_node()
            if node is None:
                return None
            loader.construct_document(node)  # which finds what is given twice, and what is no value
            marked = Marked(self, node, "the file")
            if _weight(node, {}) > VALUES_MAX:
                raise marked.fault(f"over {VALUES_MAX:,} values, or one that holds itself")
            return marked
        except yaml.YAMLError as error:
            mark, problem = fault(error)
            raise MarkedError(self, problem, 0 if mark is None else mark.index) from None
        except RecursionError:
            raise MarkedError(self, "nested too deeply", 0) from None


class _Noting:
    """What `Source.noting` enters."""

    def __init__(self, faults: list[MarkedError]) -> None:
        self._faults = faults

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, MarkedError):
            self._faults.append(error)
            return True
        return False


class Marked:
    """A value of a file; `what` is what messages call it.

    Each method that reads it raises `MarkedError` if it is another thing.
    """

    __slots__ = ("node", "source", "what")

    def __init__(self, source: Source, node: yaml.Node, what: str) -> None:
        self.source = source
        self.node = node
        self.what = what

    def fault(self, message: str) -> MarkedError:
        """Make what is to be raised where this stands."""
        return MarkedError(self.source, message, self.node.start_mark.index)

    def must(self, expected: str) -> MarkedError:
        """Make what is to be raised if this is not what it must be."""
        return self.fault(f"{self.what} is {shown(self.plain)} but must be {expected}")

    @property
    def plain(self) -> Any:  # noqa: ANN401 -- whatever YAML has
        """The value as Python has it; keys as they are written, for YAML takes `on` and `off` for truths."""
        return _plain(self.node)

    def table(self, known: Collection[str] | None = None, required: tuple[str, ...] = ()) -> dict[str, Marked]:
        """Return the values of a mapping by their keys; a key that is not known is noted and left out."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.must("a mapping" if known is None else f"a mapping of {', '.join(known)}")
        found: dict[str, Marked] = {}
        for key, value in self.node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Marked(self.source, key, f"a key in {self.what}").must("text")
            if known is None or key.value in known:
                found[key.value] = Marked(self.source, value, key.value)
            else:
                self.source.faults.append(Marked(self.source, key, "").fault(unknown("key", key.value, known)))
        missing = [name for name in required if name not in found]
        if missing:
            raise self.fault(f"{self.what} lacks {', '.join(missing)}")
        return found

    def items(self) -> list[Marked]:
        """Return the values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.must("a list")
        return [Marked(self.source, one, self.what) for one in self.node.value]

    def several(self) -> list[Marked]:
        """Return the values of a list, or the one that stands there without."""
        return self.items() if isinstance(self.node, yaml.SequenceNode) else [self]

    def text(self, expected: str = "text") -> str:
        """Return a text; a word that YAML takes for another thing is none."""
        value = self.plain
        if not isinstance(value, str):
            raise self.must(f"{expected}; quote it" if isinstance(self.node, yaml.ScalarNode) else expected)
        return value

    def written(self) -> str:
        """Return what stands there, letter for letter, whatever YAML takes it for."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.must("text")
        return str(self.node.value)

    def matching(self, pattern: re.Pattern[str], words: str) -> str:
        """Return a text of which `words` say what it looks like."""
        text = self.text(words)
        if not pattern.fullmatch(text):
            raise self.must(words)
        return text

    def word(self, known: Collection[W], what: str = "") -> W:
        """Return one of these words."""
        text = self.written()
        for word in known:
            if word == text:
                return word
        raise self.fault(unknown(what or self.what, text, known))

    def words(self, known: Collection[W], what: str = "") -> tuple[W, ...]:
        """Return one or several of these words, at least one, each once."""
        found: list[W] = []
        for one in self.several():
            with self.source.noting():
                word = one.word(known, what)
                if word in found:
                    raise one.fault(f"{word} is given twice; keep one")
                found.append(word)
        if not self.several():
            raise self.fault(f"{self.what} is an empty list but must have at least one of {', '.join(sorted(known))}")
        return tuple(found)

    def count(self, low: int, high: int) -> int:
        """Return a whole number."""
        value = self.plain
        if type(value) is not int or not low <= value <= high:
            raise self.must(f"a whole number from {low} to {high}")
        return value

    def number(self, low: float, high: float = inf) -> float:
        """Return a number."""
        value = self.plain
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.must(_numbers(low, high))
        try:
            number = float(value)
        except OverflowError:
            number = inf
        if not isfinite(number):
            raise self.must(_numbers(low, high))
        return number

    def flag(self) -> bool:
        """Return true or false."""
        value = self.plain
        if not isinstance(value, bool):
            raise self.must("true or false")
        return value

    def duration_ms(self, low_ms: int, high_ms: int, other: str = "") -> int:
        """Return a duration in ms; of numbers only 0 needs no unit. `other` says what else could stand there."""
        value = self.plain
        try:
            span_ms = 0 if type(value) is int and value == 0 else parse_duration(self.text())
        except ValueError:
            span_ms = -1
        if not low_ms <= span_ms <= high_ms:
            bounds = f"{format_duration(low_ms)} to {format_duration(high_ms)}"
            raise self.must(f"{other}a duration from {bounds}, written as 500ms, 30m or 1h30m")
        return span_ms

    def within(self, error: ExpressionError) -> MarkedError:
        """Make what is to be raised of a fault in the text that stands here."""
        assert isinstance(self.node, yaml.ScalarNode), "what has a text"
        at, end = _span(self.source.text, self.node, error.offset, error.end)
        return MarkedError(self.source, error.message, at, end)


def _numbers(low: float, high: float) -> str:
    return f"a number from {low:g} {'on' if high == inf else f'to {high:g}'}"


def _plain(node: yaml.Node) -> Any:  # noqa: ANN401 -- whatever YAML has
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(one) for one in node.value]
    return Loader("").construct_object(node)


def _weight(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values in a node, what an alias repeats as often as it does; too many where one holds itself."""
    weight = known.get(id(node))
    if weight is None:
        known[id(node)] = VALUES_MAX + 1  # until it is known
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for one in inner for part in (one if isinstance(one, tuple) else (one,))]
        weight = known[id(node)] = 1 + sum(_weight(part, known) for part in parts)
    return weight


def _span(text: str, node: yaml.ScalarNode, offset: int, end: int) -> tuple[int, int]:
    """Return from which character of a file to which stands what lies at these of a value.

    How YAML makes a value of what is written changes blanks and quotes only, so the other characters are counted.
    """
    begins = node.start_mark.index
    raw = text[begins : node.end_mark.index]
    if node.style in ("|", ">"):
        body = raw.find("\n") + 1
        begins, raw = begins + body, raw[body:]
    elif node.style in ("'", '"'):
        begins, raw = begins + 1, raw[1:-1]
    pattern = _CHARACTERS.get(node.style or "", _CHARACTER)
    spans = [found.span() for found in pattern.finditer(raw) if found[0] not in _BLANK_ESCAPES]
    before, after = (len(_CHARACTER.findall(node.value[:place])) for place in (offset, end))
    if after > before:
        return begins + spans[before][0], begins + spans[after - 1][1]
    at = begins + (spans[before - 1][1] if before else 0)
    return at, at + 1
