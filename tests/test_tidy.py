"""
Style as a test: what ruff, mypy and import-linter cannot say.

The checks are small functions from source text to complaints. Each is applied to the tree, and each is shown
specimens it must complain about, so that a check that sees nothing is noticed.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("operators", "pipeline", "connectors", "config", "benchmarks")

# Tripwires, not laws: beyond them a second idea has usually moved in. A docstring does not count as length of
# a function: explaining must cost nothing. An exception has its reason here, and goes when it is not needed.
FUNCTION_LINES_MAX: Final = 50
FILE_LINES_MAX: Final = 400
LONG_FUNCTIONS: Final[dict[str, str]] = {
    "operators/event.py: Event.__init__": "one line a field",
}
LONG_FILES: Final[dict[str, str]] = {}

# Of the standard library, what reads a clock, throws dice or touches the machine; urllib.parse stays allowed.
# fmt: off
IMPURE_MODULES: Final = frozenset({
    "asyncio", "atexit", "concurrent.futures", "contextvars", "ctypes", "curses", "fcntl", "fileinput",
    "ftplib", "gc", "getpass", "glob", "http", "imaplib", "importlib", "inspect", "io", "locale", "logging",
    "mmap", "multiprocessing", "os", "pathlib", "pickle", "platform", "poplib", "queue", "random",
    "resource", "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib",
    "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys", "syslog", "tempfile", "threading",
    "time", "urllib.request", "warnings", "weakref",
})
# fmt: on
PURE_THIRD_PARTIES: Final = frozenset({"msgspec", "mypy_extensions", "operators"})
# `hash` of a string differs between two processes and `id` between two runs: neither may reach an output.
IMPURE_BUILTINS: Final = frozenset({"__import__", "breakpoint", "eval", "exec", "hash", "id", "input", "open", "print"})
# As with LONG_FUNCTIONS: the reason, and only while it is needed.
IMPURE_CALLS: Final[dict[str, str]] = {
    "operators/expression_code.py: calls exec()": "conditions become Python, of our templates and of constants only",
}
IMPURE_METHODS: Final = frozenset({"now", "today", "utcnow", "uuid1", "uuid4"})

README_TREE: Final = re.compile(r"^## Layout\n.*?^```tree\n(?P<tree>.*?)^```", re.DOTALL | re.MULTILINE)

# Put together here, lest this file complain of itself.
MARKER: Final = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
SOURCE_SUFFIXES: Final = frozenset({".py", ".pyi", ".lua", ".sh", ".toml", ".yaml", ".yml"})
SOURCE_NAMES: Final = frozenset({"Makefile", "Dockerfile", "run"})


def test_operators_know_no_clock_no_chance_and_no_machine() -> None:
    """
    The same event and the same state give the same outputs, on any machine, on any day.
    """
    told = {complaint: re.sub(r": [0-9]+: ", ": ", complaint) for complaint in in_tree(impurities, "operators")}
    assert [complaint for complaint, what in told.items() if what not in IMPURE_CALLS] == []
    assert sorted(IMPURE_CALLS.keys() - told.values()) == [], "no longer an exception, take it off the list"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import time", "1: imports time"),
        ("import os.path", "1: imports os.path"),
        ("from random import choice", "1: imports random.choice"),
        ("from urllib import request", "1: imports urllib.request"),
        ("from urllib.request import urlopen", "1: imports urllib.request.urlopen"),
        ("import bytewax.operators as op", "1: imports bytewax.operators"),
        ("from pipeline import flow", "1: imports pipeline.flow"),
        ("from ..pipeline import flow", "1: imports from beyond operators"),
        ("def f():\n    import threading", "2: imports threading"),
        ("at = datetime.now(UTC)", "1: calls now()"),
        ("at = dt.datetime.utcnow()", "1: calls utcnow()"),
        ("from uuid import uuid4", "1: imports uuid.uuid4"),
        ("day = date.today()", "1: calls today()"),
        ("print('sent')", "1: calls print()"),
        ("key = hash(visitor) % 128", "1: calls hash()"),
        ("with open(path) as lines: pass", "1: calls open()"),
    ],
)
def test_an_impure_operator_is_found(source: str, complaint: str) -> None:
    """
    Each way to reach the clock, the dice or the machine is named with its line.
    """
    assert list(impurities(source)) == [complaint]


def test_a_pure_operator_is_left_alone() -> None:
    """
    Arithmetic, parsing and records from the standard library and msgspec are what operators are made of.
    """
    source = (
        "import heapq, msgspec\n"
        "from datetime import UTC, datetime\n"
        "from urllib.parse import urlsplit\n"
        "from uuid import uuid5\n"
        "from operators.event import Event\n"
        "from .event import Event\n"
        "at = datetime.fromtimestamp(event.at / 1000, UTC)\n"
    )
    assert list(impurities(source)) == []


def test_functions_are_short() -> None:
    """
    A function fits on a screen, or its reason is in LONG_FUNCTIONS, and only while it is needed.
    """
    assert excess(in_tree(long_functions, *PACKAGES), LONG_FUNCTIONS) == []


def test_files_are_short() -> None:
    """
    A file holds one idea, or its reason is in LONG_FILES, and only while it is needed.
    """
    lengths = ((name, len(text.splitlines())) for name, text in python_files(*PACKAGES))
    long_files = [f"{name}: {lines} lines" for name, lines in lengths if lines > FILE_LINES_MAX]
    assert excess(long_files, LONG_FILES) == []


def test_length_is_counted_without_the_docstring() -> None:
    """
    Fifty lines pass and fifty-one do not; what the docstring adds is not held against a function.
    """

    def function(lines: int) -> str:
        return 'class Cart:\n    def add(self):\n        """One.\n\n        Two.\n        """\n' + "        x = 1\n" * (
            lines - 1
        )

    assert list(long_functions(function(50))) == []
    assert list(long_functions(function(51))) == ["Cart.add: 51 lines"]


def test_an_exception_that_is_no_longer_needed_is_a_fault() -> None:
    """
    The lists of exceptions shrink again by themselves.
    """
    assert excess(["a.py: f: 60 lines"], {"a.py: f": "why"}) == []
    assert excess(["a.py: f: 60 lines"], {}) == ["a.py: f: 60 lines"]
    assert excess([], {"a.py: f": "why"}) == ["a.py: f: no longer an exception, take it off the list"]


def test_every_file_says_what_it_is_for() -> None:
    """
    The first thing in a file of the product is a sentence.
    """
    assert [name for name, text in python_files(*PACKAGES) if not ast.get_docstring(ast.parse(text))] == []


def test_the_readme_shows_the_tree_as_it_is() -> None:
    """
    Every top-level folder and every module of the five packages is in README's Layout, and nothing else is.
    """
    tree = README_TREE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert tree, "README.md has no ```tree block under the line '## Layout'"
    folders = {f"{name.split('/')[0]}/" for name in ours() if "/" in name and not name.startswith(".")}
    modules = {name for name, _ in python_files(*PACKAGES) if not name.endswith("__init__.py")}
    shown = named_in_tree(tree["tree"])
    assert sorted((folders | modules) - shown) == [], "not in README's Layout"
    assert sorted(name for name in shown if not (ROOT / name).exists()) == [], "in README's Layout only"


def test_a_tree_may_be_a_table_or_drawn() -> None:
    """
    Modules belong to the folder that their line, or the line above them, begins with.
    """
    expected = {
        "connectors/",
        "connectors/formats/segment.py",
        "connectors/memory.py",
        "docs/",
        "config/load.py",
    }
    table = (
        "connectors/   bytes in or out   formats/segment.py (one a format) · memory.py\n"
        "config/       what can be set\n"
        "              load.py\n"
        "docs/         how to use it\n"
    )
    drawn = (
        "├── connectors/      bytes in or out\n"
        "│   ├── formats/     one a format\n"
        "│   │   └── segment.py\n"
        "│   └── memory.py    the twin\n"
        "├── config/\n"
        "│   └── load.py\n"
        "└── docs/\n"
    )
    assert named_in_tree(table) == expected | {"config/"}
    assert named_in_tree(drawn) == expected | {"config/"}


def test_nothing_is_left_for_later_in_the_source() -> None:
    """
    An open matter is an issue, where someone looks for it, not a marker that nobody reads.
    """
    marked = [
        f"{name}:{number}"
        for name in ours()
        if (path := ROOT / name).suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKER.search(line)
    ]
    assert marked == []


# --- the tree -----------------------------------------------------------------------------------------------


def ours() -> list[str]:
    """Name the files that git tracks or would track, sorted, with `/` between folders."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def python_files(*packages: str) -> Iterator[tuple[str, str]]:
    """Give name and text of each Python file of the packages."""
    for name in ours():
        if name.endswith(".py") and name.split("/")[0] in packages:
            yield name, (ROOT / name).read_text(encoding="utf-8")


def in_tree(check: Callable[[str], Iterator[str]], *packages: str) -> list[str]:
    """Apply a check to each Python file of the packages; complaints begin with the file's name."""
    return [f"{name}: {complaint}" for name, text in python_files(*packages) for complaint in check(text)]


def excess(complaints: list[str], exceptions: dict[str, str]) -> list[str]:
    """Leave out the complaints that have a reason, and add the reasons that have no complaint."""
    subjects = {complaint: complaint.rpartition(": ")[0] for complaint in complaints}
    unexcused = [complaint for complaint, subject in subjects.items() if subject not in exceptions]
    idle = exceptions.keys() - subjects.values()
    return unexcused + [f"{subject}: no longer an exception, take it off the list" for subject in sorted(idle)]


# --- the checks ---------------------------------------------------------------------------------------------


def impurities(source: str) -> Iterator[str]:
    """Name what a pure module may not import or call, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(level=0, module=str(module), names=names):
                imported = [f"{module}.{alias.name}" for alias in names]
            case ast.ImportFrom(level=level) if level > 1:
                yield f"{node.lineno}: imports from beyond operators"
                continue
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
                yield f"{node.lineno}: calls {name}()"
                continue
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"{node.lineno}: calls {name}()"
                continue
            case _:
                continue
        yield from (f"{node.lineno}: imports {name}" for name in imported if not is_pure_import(name))


def is_pure_import(dotted: str) -> bool:
    """Tell whether a module, or a name in a module, is on the allow-list."""
    parts = dotted.split(".")
    if parts[0] in PURE_THIRD_PARTIES:
        return True
    prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return (
        parts[0] in sys.stdlib_module_names and IMPURE_MODULES.isdisjoint(prefixes) and parts[-1] not in IMPURE_METHODS
    )


def long_functions(source: str) -> Iterator[str]:
    """Name the functions over the limit by their path in the file, with their length."""
    pending: list[tuple[str, ast.AST]] = [("", ast.parse(source))]
    while pending:
        path, parent = pending.pop()
        for node in ast.iter_child_nodes(parent):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                pending.append((path, node))
                continue
            inner = f"{path}.{node.name}".lstrip(".")
            pending.append((inner, node))
            if not isinstance(node, ast.ClassDef) and (lines := code_lines(node)) > FUNCTION_LINES_MAX:
                yield f"{inner}: {lines} lines"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from `def` to the end, the docstring's own left out."""
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring_lines = span(first) if documented else 0
    return span(function) - docstring_lines


def span(node: ast.stmt) -> int:
    """Count the lines that a statement takes, decorators not included."""
    assert node.end_lineno is not None, "the parser gives every statement its end"
    return node.end_lineno - node.lineno + 1


def named_in_tree(tree: str) -> set[str]:
    """Read the top-level folders and the modules, as paths, from a tree in either layout."""
    named: set[str] = set()
    open_folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        bare = re.sub(r"[│├└─]", " ", line)
        indent = len(bare) - len(bare.lstrip())
        first = bare.split(maxsplit=1)[0] if bare.strip() else ""
        while first.endswith("/") and open_folders and open_folders[-1][0] >= indent:
            open_folders.pop()
        # A module as deep as its neighbours belongs to the folder above them.
        inside = "".join(folder for depth, folder in open_folders if depth < indent)
        if first.endswith("/"):
            open_folders.append((indent, first))
            inside += first
            named |= {first} if len(open_folders) == 1 else set()
        named |= {inside + module for module in re.findall(r"[\w./-]+\.py\b", bare)}
    return named
