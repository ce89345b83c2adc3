"""Python that conditions have become, made into functions.

The text that comes here is made of templates of `operators/expression_terms.py`, of constants as `repr` writes them,
and of names that are made here; nothing that anybody wrote gets into it otherwise. It reaches what is listed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from operators import expression_times, expression_values

_REACHED: Final[dict[str, object]] = {
    **{
        name: value
        for module in (expression_values, expression_times)
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
    },
    **{one.__name__: one for one in (all, any, float, len, str, sum)},
    "FAULTS": expression_values.FAULTS,
    "__builtins__": {},
}


class Constants:
    """Values that no literal of Python stands for, by the names that are made for them."""

    def __init__(self) -> None:
        self.names: dict[str, object] = {}

    def code(self, value: object) -> str:
        """Return the Python for a constant."""
        if isinstance(value, bool | str | type(None)):
            return repr(value)
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return f"({value!r})" if value < 0 or repr(value)[0] == "-" else repr(value)
        return self.named(value)

    def named(self, value: object) -> str:
        """Return a name for a constant."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name


def functions(text: str, constants: Constants) -> dict[str, Callable[[Any], Any]]:
    """Return the functions that some Python defines, by their names."""
    names: dict[str, Any] = {**_REACHED, **constants.names}
    known = set(names)
    exec(compile(text, "<condition>", "exec"), names)  # noqa: S102 -- our own text, see above
    return {name: value for name, value in names.items() if name not in known}


def matching(op: str, parts: list[tuple[str, str]]) -> str:
    """Write the function that tells whether all parts are true (`&&`), or any (`||`); None where that has no value.

    Of each part there is the fast code and the exact one, which is run where the fast one raises. A `try` costs nothing
    until something raises, and then the other parts still decide: a missing fact is no rare thing, and costs one
    exception so.
    """
    is_all = op != "||"
    test = "if not" if is_all else "if"
    lines = ["def matches(f):", f"    found = {is_all}"]
    for code, exact in parts:
        lines += ["    try:", f"        {test} {code}:", f"            return {not is_all}", "    except FAULTS:"]
        if exact != code:
            lines += ["        try:", f"            {test} {exact}:", f"                return {not is_all}"]
            lines += ["        except FAULTS:", "            found = None"]
        else:
            lines.append("        found = None")
    return "\n".join([*lines, "    return found", ""])


def value_of(code: str, constants: Constants) -> object:
    """Return what Python without facts comes to; raises one of FAULTS where CEL has an error."""
    return functions(f"def value(f):\n    return {code}\n", constants)["value"]({})
