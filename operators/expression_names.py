"""The names in a condition: which are facts, and which fact was probably meant."""

from __future__ import annotations

import difflib
from typing import Final

from operators.expression_syntax import Name, Node, Select
from operators.expression_terms import ELSEWHERE, FUNCTIONS, MACROS, METHODS
from operators.expression_types import Schema

SHOWN_MAX: Final = 8
"""Fields that a message lists; more are a page of the manual."""

RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"}
    | {"namespace", "null", "package", "return", "true", "var", "void", "while"}
)
"""Words that CEL keeps for itself: no loop may call its element so."""


class Names:
    """What names there are, of a schema's facts and of functions."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._groups = {path[:at] for path in schema for at, char in enumerate(path) if char == "."}

    def dotted(self, node: Node) -> str | None:
        """Return a chain of names as a path, None where it is not only names."""
        fields: list[str] = []
        while isinstance(node, Select):
            fields.append(node.field)
            node = node.operand
        return ".".join([node.name, *reversed(fields)]) if isinstance(node, Name) else None

    def is_group(self, path: str) -> bool:
        """Tell whether facts have names that begin with it."""
        return path in self._groups

    def begins_with_fact(self, path: str) -> bool:
        """Tell whether a fact's name is the beginning of it."""
        return any(path[:at] in self._schema for at, char in enumerate(path) if char == ".")

    def means_something(self, name: str) -> bool:
        """Tell whether a name is taken."""
        return name in self._schema or name in self._groups or name in RESERVED

    def fields(self, group: str) -> str:
        """List what is in a group, "" for the groups and facts that stand by themselves."""
        begin = f"{group}." if group else ""
        names = sorted({path[len(begin) :].partition(".")[0] for path in self._schema if path.startswith(begin)})
        more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
        return ", ".join(names[:SHOWN_MAX]) + more

    def unknown(self, path: str) -> str:
        """Say that there is no such fact, and what was probably meant."""
        if self.is_group(path):
            return f"`{path}` is no fact but a group of them: {self.fields(path)}"
        if path in RESERVED:
            return f"`{path}` is a reserved word"
        near = self._near(path)
        if near:
            return f"unknown {'field' if '.' in path else 'name'} `{path}`; did you mean {near}?"
        group = path
        while group and not self.is_group(group):
            group = group.rpartition(".")[0]
        return f"unknown {'field' if '.' in path else 'name'} `{path}`; known{f' in {group}' if group else ''}: " + (
            self.fields(group)
        )

    def _near(self, path: str) -> str:
        """Find the fact that is written most alike; of a field by itself the fact that ends with it."""
        found = difflib.get_close_matches(path, list(self._schema), n=1, cutoff=0.75)
        if found:
            return found[0]
        ends = {full.rpartition(".")[2]: full for full in sorted(self._schema, reverse=True)}
        found = difflib.get_close_matches(path.rpartition(".")[2], list(ends), n=1, cutoff=0.75)
        return ends[found[0]] if found else ""

    def not_callable(self, name: str, *, is_method: bool) -> str:
        """Say why a function cannot be called so, "" where it can."""
        if name in (METHODS if is_method else FUNCTIONS):
            return ""
        if name == "matches":
            return "no matches(): a pattern can take for ever; use startsWith, endsWith, contains or `in`"
        if name in ELSEWHERE:
            return f"{name}() is CEL's, but conditions have it not"
        if name in METHODS or name in MACROS:
            return f"write it behind what it is said of: x.{name}(...)"
        if name in FUNCTIONS:
            return f"write it before what it is said of: {name}(x)"
        known = sorted(METHODS | MACROS if is_method else FUNCTIONS | {"has"})
        near = difflib.get_close_matches(name, sorted(METHODS | MACROS | FUNCTIONS | {"has"}), n=1)
        return f"unknown function `{name}`; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")
