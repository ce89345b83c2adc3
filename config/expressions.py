"""Reads conditions: CEL's grammar, by lark, into the tree that `operators/expression_syntax.py` names.

The grammar is that of the CEL specification, less bytes, unsigned ints, messages and names in backquotes. It is
LALR(1), so that no text makes the parser go back or call itself; brackets and operators may nest 32 deep all the same,
for what comes after it does (docs/decisions/0021).
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any, Final, cast

import msgspec
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from operators.expression import Expression, expression_of
from operators.expression_syntax import (
    DEPTH_MAX,
    TEXT_MAX,
    Call,
    Entries,
    ExpressionError,
    Index,
    Items,
    Literal,
    Name,
    Node,
    Select,
)
from operators.expression_types import BOOL, Schema, Type
from operators.expression_values import INT_MAX

_GRAMMAR: Final = r"""
?expr: either
     | either "?" either ":" expr -> chosen
?either: both
     | either OR both -> logical
?both: relation
     | both AND relation -> logical
?relation: sum
     | relation (COMPARE | IN) sum -> binary
?sum: product
     | sum (PLUS | MINUS) product -> binary
?product: unary
     | product TIMES unary -> binary
?unary: member
     | NOT+ member -> opposite
     | MINUS+ member -> negative
?member: primary
     | member "." NAME -> select
     | member "." NAME "(" arguments CLOSE -> method
     | member "[" expr CLOSE_BRACKET -> index
?primary: NAME -> name
     | NAME "(" arguments CLOSE -> function
     | OPEN expr CLOSE -> parentheses
     | OPEN_BRACKET (expr ("," expr)* ","?)? CLOSE_BRACKET -> items
     | OPEN_BRACE (entry ("," entry)* ","?)? CLOSE_BRACE -> entries
     | INT -> int
     | DOUBLE -> double
     | STRING -> string
     | (TRUE | FALSE | NULL) -> word
     | (UINT | BYTES) -> foreign
arguments: (expr ("," expr)*)?
entry: expr ":" expr

OR: "||"
AND: "&&"
COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
IN: "in"
PLUS: "+"
MINUS: "-"
TIMES: "*" | "/" | "%"
NOT: "!"
OPEN: "("
CLOSE: ")"
OPEN_BRACKET: "["
CLOSE_BRACKET: "]"
OPEN_BRACE: "{"
CLOSE_BRACE: "}"
TRUE: "true"
FALSE: "false"
NULL: "null"
NAME: /[_a-zA-Z][_a-zA-Z0-9]*/
DOUBLE.2: /[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+/
UINT.2: /(0x[0-9a-fA-F]+|[0-9]+)[uU]/
INT.1: /0x[0-9a-fA-F]+|[0-9]+/
_QUOTED: /(?s:\"\"\"([^\\]|\\.)*?\"\"\"|'''([^\\]|\\.)*?''')|\"([^\\\"\n\r]|\\[^\n\r])*\"|'([^\\'\n\r]|\\[^\n\r])*'/
_RAW: /[rR]((?s:\"\"\".*?\"\"\"|'''.*?''')|\"[^\"\n\r]*\"|'[^'\n\r]*')/
STRING.2: _QUOTED | _RAW
BYTES.3: /[bB][rR]?(\"[^\"\n]*\"|'[^'\n]*')/
%ignore /[ \t\n\f\r]+/
%ignore /\/\/[^\n]*/
"""

DIGITS_MAX: Final = 40
"""Characters of an int: twice what 64 bits need; Python refuses to read thousands."""

_KEPT: Final = frozenset({"true", "false", "null", "in"})
"""The reserved words that are no names of fields either."""
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))|\\"
)
_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def compile_condition(text: str, schema: Schema, *, result: Type | None = BOOL, reachable: bool = True) -> Expression:
    """Make an expression of its text.

    Args:
        text: CEL, as docs/reference/conditions.md describes it.
        schema: the facts that it may use.
        result: what must come of it, None for anything.
        reachable: whether a condition that is never true is an error.

    Raises:
        ExpressionError: what is wrong, and where in the text.
    """
    return expression_of(text, parse(text), schema, result=result, reachable=reachable)


def parse(text: str) -> Node:
    """Read a text.

    Raises:
        ExpressionError: it is no CEL, or something that conditions have not.
    """
    if len(text) > TEXT_MAX:
        raise ExpressionError(f"{len(text):,} characters; {TEXT_MAX:,} are possible", text[:TEXT_MAX], 0, 1)
    if not text.strip():
        raise ExpressionError("nothing is said", text, 0, 1)
    if unreadable := re.search("[\ud800-\udfff]", text):
        raise ExpressionError("half a character (a lone surrogate)", text, unreadable.start(), unreadable.end())
    try:
        return _checked(_parser().parse(text))
    except _Unfit as unfit:
        raise ExpressionError(unfit.message, text, unfit.at, unfit.end) from None
    except UnexpectedCharacters as error:
        at = cast("int", error.pos_in_stream)  # lark sets it and says that it is None
        raise ExpressionError(_unreadable(text[at:]), text, at, at + 1) from None
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise ExpressionError("something is missing at the end", text, len(text), 0) from None
        at = error.token.start_pos or 0
        raise ExpressionError(f"`{error.token}` does not fit here", text, at, at + len(error.token)) from None


def _unreadable(rest: str) -> str:
    """Say what is wrong with a character that begins nothing."""
    if rest[0] in "\"'":
        return "a text without its end, or with an unknown escape (write \\\\ for a backslash)"
    meant = {"=": "==", "&": "&&", "|": "||", "`": 'properties["..."]'}.get(rest[0])
    return f"`{rest[0]}` does not fit here" + (f"; did you mean {meant}?" if meant else "")


class _Unfit(Exception):  # noqa: N818 -- it never leaves this module
    """Something that is read and cannot be, and where it stands."""

    def __init__(self, message: str, at: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.end = end


@cache
def _parser() -> Lark:
    """Make the parser, when the first condition is read: some 60 ms."""
    return Lark(_GRAMMAR, start="expr", parser="lalr", transformer=_Making())


def _checked(read: object) -> Node:
    assert isinstance(read, Node), read
    return read


def _span(token: Token) -> tuple[int, int]:
    assert token.start_pos is not None
    assert token.end_pos is not None
    return token.start_pos, token.end_pos


def _deeper(at: int, end: int, *inner: Node) -> int:
    """Return how deep a part is that holds these."""
    depth = 1 + max((node.depth for node in inner), default=0)
    if depth > DEPTH_MAX:
        raise _Unfit(
            f"nested more than {DEPTH_MAX} deep (each bracket, field and operator; && and || in a row are one)", at, end
        )
    return depth


def _called(
    name: str, mark: tuple[int, int], at: int, end: int, operands: list[Node], *, is_method: bool = False
) -> Node:
    depth = _deeper(*mark, *operands)
    return Call(at=at, end=end, depth=depth, name=name, operands=tuple(operands), mark=mark, is_method=is_method)


class _Making(Transformer[Token, Any]):
    """Makes the tree while lark reads: each method has the name of a rule and is given what was read for it."""

    def chosen(self, read: list[Any]) -> Node:
        return _called("?:", (read[0].at, read[2].end), read[0].at, read[2].end, read)

    def logical(self, read: list[Any]) -> Node:
        """Put a row of the same operator side by side: for `&&` and `||` it does not matter where brackets stand."""
        left, sign, right = read
        row = [*left.operands, right] if isinstance(left, Call) and left.name == sign else [left, right]
        return _called(str(sign), _span(sign), left.at, right.end, row)

    def binary(self, read: list[Any]) -> Node:
        left, sign, right = read
        return _called(str(sign), _span(sign), left.at, right.end, [left, right])

    def opposite(self, read: list[Any]) -> Node:
        """Two of the same sign are none, as in CEL."""
        *signs, operand = read
        if len(signs) % 2 == 0:
            return self._from(signs[0], operand)
        return _called("!", _span(signs[0]), _span(signs[0])[0], operand.end, [operand])

    def negative(self, read: list[Any]) -> Node:
        """A minus before a number is the number's."""
        *signs, operand = read
        if len(signs) % 2 == 0:
            return self._from(signs[0], operand)
        value = operand.value if isinstance(operand, Literal) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return Literal(at=_span(signs[0])[0], end=operand.end, value=-value)
        return _called("-", _span(signs[0]), _span(signs[0])[0], operand.end, [operand])

    def _from(self, first: Token, operand: Node) -> Node:
        _wide(operand)
        return _moved(operand, at=_span(first)[0])

    def parentheses(self, read: list[Any]) -> Node:
        opened, inner, closed = read
        _wide(inner)
        at, end = _span(opened)[0], _span(closed)[1]
        return _moved(inner, at=at, end=end, depth=_deeper(at, at + 1, inner))

    def select(self, read: list[Any]) -> Node:
        operand, field = read
        _field(field)
        end = _span(field)[1]
        return Select(at=operand.at, end=end, depth=_deeper(*_span(field), operand), operand=operand, field=str(field))

    def method(self, read: list[Any]) -> Node:
        operand, name, arguments, closed = read
        _field(name)
        return _called(str(name), _span(name), operand.at, _span(closed)[1], [operand, *arguments], is_method=True)

    def function(self, read: list[Any]) -> Node:
        name, arguments, closed = read
        return _called(str(name), _span(name), _span(name)[0], _span(closed)[1], arguments)

    def index(self, read: list[Any]) -> Node:
        operand, place, closed = read
        end = _span(closed)[1]
        return Index(
            at=operand.at, end=end, depth=_deeper(operand.end, end, operand, place), operand=operand, index=place
        )

    def name(self, read: list[Token]) -> Node:
        at, end = _span(read[0])
        return Name(at=at, end=end, name=str(read[0]))

    def arguments(self, read: list[Any]) -> list[Node]:
        return read

    def entry(self, read: list[Any]) -> list[Node]:
        return read

    def items(self, read: list[Any]) -> Node:
        opened, *elements, closed = read
        at, end = _span(opened)[0], _span(closed)[1]
        return Items(at=at, end=end, depth=_deeper(at, at + 1, *elements), elements=tuple(elements))

    def entries(self, read: list[Any]) -> Node:
        opened, *pairs, closed = read
        at, end = _span(opened)[0], _span(closed)[1]
        keys, values = tuple(key for key, _ in pairs), tuple(value for _, value in pairs)
        return Entries(at=at, end=end, depth=_deeper(at, at + 1, *keys, *values), keys=keys, values=values)

    def word(self, read: list[Token]) -> Node:
        at, end = _span(read[0])
        return Literal(at=at, end=end, value={"true": True, "false": False, "null": None}[read[0]])

    def int(self, read: list[Token]) -> Node:
        at, end = _span(read[0])
        if end - at > DIGITS_MAX:
            raise _Unfit("an int of more than 64 bits", at, end)
        return Literal(at=at, end=end, value=int(read[0], 16 if read[0].startswith("0x") else 10))

    def double(self, read: list[Token]) -> Node:
        at, end = _span(read[0])
        value = float(read[0])
        if math.isinf(value):
            raise _Unfit("a double that is too large", at, end)
        return Literal(at=at, end=end, value=value)

    def string(self, read: list[Token]) -> Node:
        at, end = _span(read[0])
        return Literal(at=at, end=end, value=_text(str(read[0]), at))

    def foreign(self, read: list[Token]) -> Node:
        what = "unsigned ints" if read[0].type == "UINT" else "bytes"
        raise _Unfit(f"{what} are CEL's, but conditions have them not", *_span(read[0]))


def _moved(node: Node, **changed: int) -> Node:
    return msgspec.structs.replace(node, **changed)


def _wide(node: Node) -> None:
    """Refuse what is too large by itself: only a minus right before it makes 64 bits of 2^63."""
    if isinstance(node, Literal) and type(node.value) is int and node.value > INT_MAX:
        raise _Unfit("an int of more than 64 bits", node.at, node.end)


def _field(token: Token) -> None:
    if token in _KEPT:
        raise _Unfit(f'`{token}` is a reserved word; write ["{token}"]', *_span(token))


def _text(quoted: str, at: int) -> str:
    """Return what stands in quotes."""
    raw = quoted[0] in "rR"
    inner = quoted[1:] if raw else quoted
    quotes = 3 if inner[:3] in ('"""', "'''") else 1
    if raw:
        return inner[quotes:-quotes]

    def character(found: re.Match[str]) -> str:
        sign, *codes, octal = found.groups()
        if sign:
            return _ESCAPES.get(sign, sign)
        code = int(octal, 8) if octal else int(next((hexes for hexes in codes if hexes), "-1"), 16)
        if not (0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF):
            begin = at + quotes + found.start()
            raise _Unfit("an unknown escape; write \\\\ for a backslash", begin, begin + len(found[0]))
        return chr(code)

    return _ESCAPE.sub(character, inner[quotes:-quotes])
