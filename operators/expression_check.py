"""The meaning of a condition: each part gets its type and its Python, or the fault is shown where it stands.

Each part has its Python twice. The first is fast: `a && b` is `a and b`. It can differ from CEL only where something
raises, for in CEL `error && false` is false; then the second is run, which is exact and slower.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from operators.expression_code import Constants, value_of
from operators.expression_names import Names
from operators.expression_syntax import (
    ELEMENTS_MAX,
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
from operators.expression_terms import FUNCTIONS, MACROS, METHODS, hint, made_of
from operators.expression_times import duration_ns
from operators.expression_types import (
    BOOL,
    DOUBLE,
    DYN,
    INT,
    NOTHING,
    NULL,
    STRING,
    Schema,
    Type,
    common,
    list_of,
    map_of,
)
from operators.expression_values import FAULTS, INT_MAX, INT_MIN, among_strings

_FINER: Final = re.compile(r"\.[0-9]{3}[0-9]*[1-9]")
_MAKING: Final = ("filter", "map")
_ARGUMENTS: Final = {"size": 0, "startsWith": 1, "endsWith": 1, "contains": 1}


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A part that makes sense: where it stands, its type, its Python, fast and exact, and what it is made of.

    `value` is what it always comes to where it `is_fixed`. `reads` are the facts without which it has no value.
    """

    node: Node
    type: Type
    code: str
    exact: str
    op: str = ""
    parts: tuple[Term, ...] = ()
    is_fixed: bool = False
    value: object = None
    reads: frozenset[str] = frozenset()


class Checking:
    """Checks one condition. `paths` are the facts that it names."""

    def __init__(self, source: str, schema: Schema) -> None:
        self.source = source
        self.schema = schema
        self.constants = Constants()
        self.paths: set[str] = set()
        self._names = Names(schema)
        self._scope: dict[str, Term] = {}

    def fault(self, message: str, at: int, end: int) -> ExpressionError:
        """Make the error for what stands there."""
        return ExpressionError(message, self.source, at, end)

    def term(self, node: Node) -> Term:
        """Make sense of a part.

        Raises:
            ExpressionError: it has none.
        """
        match node:
            case Literal():
                return self._literal(node)
            case Name() | Select():
                return self._selected(node)
            case Index():
                mark = (node.operand.end, node.end)
                return self._made("[]", node, mark, [self.term(node.operand), self.term(node.index)])
            case Items():
                return self._items(node)
            case Entries():
                return self._entries(node)
            case Call():
                return self._call(node)
        raise AssertionError(node)

    def truth(self, term: Term) -> Term:
        """Return a term that is true or false; one of unknown type is looked at when it has come to its value."""
        if term.type == DYN:
            return msgspec.structs.replace(term, type=BOOL, code=f"flag({term.code})", exact=f"flag({term.exact})")
        if term.type != BOOL:
            raise self.fault(f"must be true or false, and is {term.type}", term.node.at, term.node.end)
        return term

    def _literal(self, node: Literal) -> Term:
        value = node.value
        if type(value) is int and not INT_MIN <= value <= INT_MAX:
            raise self.fault("an int of more than 64 bits", node.at, node.end)
        type_ = {bool: BOOL, int: INT, float: DOUBLE, str: STRING, type(None): NULL}[type(value)]
        return self._fixed(node, type_, value)

    def _fixed(self, node: Node, type_: Type, value: object) -> Term:
        code = self.constants.code(value)
        return Term(node=node, type=type_, code=code, exact=code, op="constant", is_fixed=True, value=value)

    def _selected(self, node: Name | Select) -> Term:
        """Find the fact that a chain of names begins with, or the loop's element; the rest are fields of it."""
        path = self._names.dotted(node)
        if path is None or path.partition(".")[0] in self._scope:
            if isinstance(node, Name):
                return msgspec.structs.replace(self._scope[node.name], node=node)
            return self._field(node)
        if path in self.schema:
            self.paths.add(path)
            code = f"f[{path!r}]"
            return Term(node=node, type=self.schema[path], code=code, exact=code, op="fact", reads=frozenset({path}))
        if isinstance(node, Name) or not self._names.begins_with_fact(path):
            raise self.fault(self._names.unknown(path), node.at, node.end)
        return self._field(node)

    def _field(self, node: Select) -> Term:
        operand = self.term(node.operand)
        held = self._held(operand, node)
        template = f"{{}}[{node.field!r}]" if operand.type.name == "map" else f"select({{}}, {node.field!r})"
        return self._composed("field", node, held, template, [operand])

    def _held(self, operand: Term, node: Select) -> Type:
        if operand.type.name == "map" and operand.type.of not in (None, NOTHING):
            return operand.type.of
        if operand.type != DYN:
            raise self.fault(f"{operand.type} has no fields, so no `{node.field}`", operand.node.end, node.end)
        return DYN

    def _items(self, node: Items) -> Term:
        if len(node.elements) > ELEMENTS_MAX:
            raise self.fault(f"a list of {len(node.elements):,}; {ELEMENTS_MAX:,} are possible", node.at, node.end)
        terms = [self.term(element) for element in node.elements]
        held = self._joined(terms)
        if terms and all(term.is_fixed for term in terms):
            return self._fixed(node, list_of(held), [term.value for term in terms])
        return self._composed("list", node, list_of(held), f"[{', '.join('{}' for _ in terms)}]", terms)

    def _entries(self, node: Entries) -> Term:
        keys = [key.value for key in node.keys if isinstance(key, Literal) and isinstance(key.value, str)]
        if len(keys) != len(node.keys):
            raise self.fault("the keys of a map must be texts in quotes", node.at, node.end)
        if len(set(keys)) != len(keys):
            raise self.fault("a map with the same key twice", node.at, node.end)
        terms = [self.term(value) for value in node.values]
        held = self._joined(terms)
        if all(term.is_fixed for term in terms):
            return self._fixed(node, map_of(held), dict(zip(keys, (term.value for term in terms), strict=True)))
        pairs = ", ".join(f"{self.constants.named(key)}: {{}}" for key in keys)
        return self._composed("map", node, map_of(held), "{{" + pairs + "}}", terms)

    def _joined(self, terms: list[Term]) -> Type:
        """Return the type of the elements of a list: what they have in common, any if that is nothing."""
        held = NOTHING
        for term in terms:
            both = common(held, term.type)
            if both is None:
                both = common(common(held, DYN) or held, common(term.type, DYN) or term.type)
            if both is None:
                message = f"{term.type} among {held}: null, timestamps and durations are among their own only"
                raise self.fault(message, term.node.at, term.node.end)
            held = both
        return held

    def _call(self, node: Call) -> Term:
        name, operands = node.name, node.operands
        if name in ("&&", "||"):
            return self._logical(node)
        if name == "?:":
            return self._chosen(node)
        if name == "has":
            return self._has(node)
        if name in MACROS and node.is_method:
            return self._macro(node)
        if not name.isidentifier() or name == "in":
            terms = [self.term(operand) for operand in operands]
            return self._made(name, node, node.mark, [self.truth(terms[0])] if name == "!" else terms)
        fault = self._names.not_callable(name, is_method=node.is_method)
        given, wanted = (len(operands) - 1, _ARGUMENTS[name]) if node.is_method and not fault else (len(operands), 1)
        if not fault and given != wanted:
            fault = f"{name}() takes {wanted} argument{'' if wanted == 1 else 's'}, not {given}"
        if fault:
            raise self.fault(fault, *node.mark)
        assert name in (METHODS if node.is_method else FUNCTIONS), name
        terms = [self.term(operand) for operand in operands]
        self._check_times(name, terms[0])
        return self._made(name, node, node.mark, terms)

    def _check_times(self, name: str, term: Term) -> None:
        """Refuse constants that are finer than a millisecond, or in units that CEL has not."""
        text = term.value
        if not isinstance(text, str):
            return
        fault = ""
        if name == "duration":
            try:
                fault = "finer than a millisecond" if duration_ns(text) % 1_000_000 else ""
            except FAULTS as raised:
                fault = f"{raised}" + ("; CEL has no days: 7d is 168h" if text.endswith("d") else "")
        elif name == "timestamp" and _FINER.search(text):
            fault = "finer than a millisecond"
        if fault:
            raise self.fault(fault, term.node.at, term.node.end)

    def _made(self, name: str, node: Node, mark: tuple[int, int], terms: list[Term]) -> Term:
        """Apply an operator or a function to operands."""
        types = [term.type for term in terms]
        made = made_of(name, types)
        if made is None:
            shown = " and ".join(map(str, types))
            what = "[...]" if name == "[]" else name
            raise self.fault(f"`{what}` is not for {shown}{hint(name, types)}", *mark)
        type_, template = made
        if name == "in" and type_ == BOOL and terms[1].is_fixed and terms[0].type in (STRING, DYN):
            among = terms[1].value
            if isinstance(among, list) and all(type(one) is str for one in among):
                return self._among(node, terms, frozenset(among))
        return self._composed(name, node, type_, template, terms)

    def _among(self, node: Node, terms: list[Term], strings: frozenset[str]) -> Term:
        """Look a string up in a set of constants."""
        left, right = terms
        if left.is_fixed:
            return self._fixed(node, BOOL, among_strings(left.value, strings))
        template = "({} in {})" if left.type == STRING else "among_strings({}, {})"
        name = self.constants.named(strings)
        held = msgspec.structs.replace(right, code=name, exact=name)
        return self._composed("in", node, BOOL, template, [left, held])

    def _composed(self, op: str, node: Node, type_: Type, template: str, terms: list[Term]) -> Term:
        """Put Python together; what has no facts in it is done now."""
        code = template.format(*(term.code for term in terms))
        if terms and all(term.is_fixed for term in terms):
            try:
                value = value_of(code, self.constants)
            except FAULTS as fault:
                raise self.fault(f"this always fails: {fault}", node.at, node.end) from None
            return self._fixed(node, type_, value)
        return Term(
            node=node,
            type=type_,
            code=code,
            exact=template.format(*(term.exact for term in terms)),
            op=op,
            parts=tuple(terms),
            reads=frozenset[str]().union(*(term.reads for term in terms)),
        )

    def _logical(self, node: Call) -> Term:
        terms = [self.truth(self.term(operand)) for operand in node.operands]
        is_and = node.name == "&&"
        deciding = [term for term in terms if term.is_fixed and term.value is not is_and]
        if deciding or all(term.is_fixed for term in terms):
            return self._fixed(node, BOOL, is_and if not deciding else not is_and)
        terms = [term for term in terms if not term.is_fixed]
        word, name = (" and ", "all_of") if is_and else (" or ", "any_of")
        return Term(
            node=node,
            type=BOOL,
            code=f"({word.join(term.code for term in terms)})",
            exact=f"{name}({', '.join(f'lambda: {term.exact}' for term in terms)})"
            if len(terms) > 1
            else terms[0].exact,
            op=node.name,
            parts=tuple(terms),
        )

    def _chosen(self, node: Call) -> Term:
        condition, one, other = (self.term(operand) for operand in node.operands)
        condition = self.truth(condition)
        both = common(one.type, other.type)
        if both is None:
            message = f"one type must come of both, not {one.type} and {other.type}"
            raise self.fault(message + hint("?:", [one.type, other.type]), one.node.at, other.node.end)
        if condition.is_fixed:
            raise self.fault("this is always the same choice", condition.node.at, condition.node.end)
        return Term(
            node=node,
            type=both,
            code=f"({one.code} if {condition.code} else {other.code})",
            exact=f"({one.exact} if {condition.exact} else {other.exact})",
            op="?:",
            parts=(condition, one, other),
            reads=condition.reads,
        )

    def _has(self, node: Call) -> Term:
        selected = node.operands[0] if len(node.operands) == 1 and not node.is_method else None
        if not isinstance(selected, Select):
            raise self.fault("has() asks for a field: has(event.order.value)", node.at, node.end)
        path = self._names.dotted(selected)
        if path is not None and path.partition(".")[0] not in self._scope and path in self.schema:
            self.paths.add(path)
            code = f"present(f, {path!r})"
            return Term(node=node, type=BOOL, code=code, exact=code, op="has", parts=(self.term(selected),))
        if path is not None and self._names.is_group(path) and path.partition(".")[0] not in self._scope:
            raise self.fault(
                f"{path} is always there; ask for one of its fields: {self._names.fields(path)}", *node.mark
            )
        field = self._selected(selected)
        if field.is_fixed:
            operand = self.term(selected.operand).value
            return self._fixed(node, BOOL, isinstance(operand, dict) and selected.field in operand)
        (operand_term,) = field.parts
        template = f"({selected.field!r} in {{}})" if operand_term.type.name == "map" else None
        return self._composed(
            "has_field", node, BOOL, template or f"has_field({{}}, {selected.field!r})", [operand_term]
        )

    def _macro(self, node: Call) -> Term:
        """Make a loop of `list.exists(x, condition)` and its like."""
        name = node.name
        if len(node.operands) != 3 or not isinstance(node.operands[1], Name):
            raise self.fault(f"{name}() takes a name and what is said of it: lines.{name}(line, ...)", *node.mark)
        if self._scope:
            raise self.fault(f"{name}() inside another one: one loop, no loops of loops", *node.mark)
        over, variable = self.term(node.operands[0]), node.operands[1]
        # In which order the keys of a map come is nobody's promise: no list is made of them.
        if over.type != DYN and (over.type.of in (None, NOTHING) or (over.type.name == "map" and name in _MAKING)):
            keys = "" if name in _MAKING else ", or a map's keys"
            raise self.fault(f"{name}() goes through a list that is not empty{keys}, not {over.type}", *node.mark)
        if self._names.means_something(variable.name):
            raise self.fault(f"`{variable.name}` means something already", variable.at, variable.end)
        held = STRING if over.type.name == "map" else over.type.of or DYN
        self._scope = {variable.name: Term(node=variable, type=held, code="v", exact="v")}
        try:
            said = self.term(node.operands[2])
            if name != "map":
                said = self.truth(said)
        finally:
            self._scope = {}
        forms = {
            "all": (BOOL, "all({1} for v in each({0}))", "all_in({0}, lambda v: {1})"),
            "exists": (BOOL, "any({1} for v in each({0}))", "any_in({0}, lambda v: {1})"),
            "exists_one": (BOOL, "(sum({1} for v in each({0})) == 1)", ""),
            "filter": (list_of(held), "[v for v in elements({0}) if {1}]", ""),
            "map": (list_of(said.type), "[{1} for v in elements({0})]", ""),
        }
        type_, fast, exact = forms[name]
        return Term(
            node=node,
            type=type_,
            code=fast.format(over.code, said.code),
            exact=(exact or fast).format(over.exact, said.exact),
            op=name,
            parts=(over, said),
            reads=over.reads,
        )
