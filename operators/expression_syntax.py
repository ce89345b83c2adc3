"""What a condition says, as a tree of its parts, and the fault that is shown where it stands in the text.

`config/expressions.py` reads text into it, `operators/expression_check.py` makes sense of it.
"""

from __future__ import annotations

from typing import Final

import msgspec

TEXT_MAX: Final = 4_000
"""Characters of a condition: some fifty comparisons; a longer one is a table, and wants `in`."""
DEPTH_MAX: Final = 32
"""Levels of nesting, brackets and operators: what Google's own parser takes by default."""
ELEMENTS_MAX: Final = 1_000
"""Elements of a list that is written down, and of one that is looked through."""


class ExpressionError(ValueError):
    """A condition that cannot be used: why, and where in its own text.

    Attributes:
        message: why, in one line.
        offset: the first character it is about, from 0; `end` is the one after the last.
        line: of its own text, from 1.
        column: in that line, in characters, from 1.
    """

    def __init__(self, message: str, source: str, offset: int, end: int) -> None:
        self.message = message
        self.source = source
        self.offset = min(offset, len(source))
        self.end = max(end, self.offset + 1)
        begins = source.rfind("\n", 0, self.offset) + 1
        self.line = source.count("\n", 0, self.offset) + 1
        self.column = self.offset - begins + 1
        super().__init__(f"line {self.line}, column {self.column}: {message}\n{self.excerpt}")

    @property
    def excerpt(self) -> str:
        """The line it stands on and carets below it; of a long line as much as a terminal shows."""
        begins = self.offset - self.column + 1
        line = self.source[begins:].partition("\n")[0]
        cut = max(0, self.column - 1 - 60)
        shown = line[cut : cut + 110]
        before = "".join("\t" if char == "\t" else " " for char in shown[: self.column - 1 - cut])
        width = max(1, min(self.end - self.offset, len(shown) - len(before)))
        return f"    {shown}\n    {before}{'^' * width}"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a condition: from which character of the text to before which, and how many levels it is deep."""

    at: int
    end: int
    depth: int = 1


class Literal(Node, frozen=True, kw_only=True):
    """A value as it is written. An int may be beyond 64 bits yet: what stands before it is not known here."""

    value: bool | int | float | str | None


class Name(Node, frozen=True, kw_only=True):
    """A word by itself."""

    name: str


class Select(Node, frozen=True, kw_only=True):
    """A field of something: `operand.field`."""

    operand: Node
    field: str


class Index(Node, frozen=True, kw_only=True):
    """An element of something: `operand[index]`."""

    operand: Node
    index: Node


class Items(Node, frozen=True, kw_only=True):
    """A list that is written down."""

    elements: tuple[Node, ...]


class Entries(Node, frozen=True, kw_only=True):
    """A map that is written down."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]


class Call(Node, frozen=True, kw_only=True):
    """An operator or a function with its operands; `&&` and `||` have as many as stand in a row.

    `mark` is where the operator or the function's name stands. Of a method, `a.size()`, `a` is the first operand.
    """

    name: str
    operands: tuple[Node, ...]
    mark: tuple[int, int]
    is_method: bool = False
