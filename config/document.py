"""YAML documents: read with a limit, each fault with its place, and the line on which something stands."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from config.shown import shown

# A hundred times the reference file: whoever passes more has named the wrong file, perhaps the input.
FILE_BYTES_MAX: Final = 1_024 * 1_024


class DocumentError(ValueError):
    """A file that cannot be read as YAML. The message says why in one line, without the file's name."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key given twice is an error, where PyYAML quietly takes the last.

    In pure Python: the one in C, which msgspec.yaml uses, crashes the process on deep nesting.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Refuse a repeated key where it stands, then do as PyYAML does."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    problem = f"{shown(key_node.value)} is given twice; keep one"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - as above
        """Tell where a value is that Python cannot make, such as 0x_, and not what it is: it may be a secret."""
        try:
            return super().construct_object(node, deep)
        except ValueError:
            problem = "no value of its kind; quote it if it is text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


# No setting is a date: what looks like one stays text, so that 2026-13-01 is told by its key as others are.
Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def document(path: Path) -> object:
    """Read a file of YAML.

    Raises:
        FileNotFoundError: there is none.
        DocumentError: it cannot be read, or is no YAML.
    """
    try:
        return yaml.load(text_of(path), Loader)  # noqa: S506 - a safe loader, see above
    except yaml.YAMLError as error:
        raise DocumentError(syntax(error)) from error
    except RecursionError as error:
        raise DocumentError("nested too deeply; settings are at most three levels deep") from error


def text_of(path: Path) -> str:
    """Read a file of text.

    Raises:
        FileNotFoundError: there is none.
        DocumentError: it cannot be read, is too long, or no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise DocumentError("over 1 MiB; is this the right file?")
        return content.decode()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 at byte {error.start}; save it as UTF-8") from error


def line_of(path: Path, keys: Sequence[str | int]) -> int:
    """Return the line, from 1, on which what has these keys and places begins; of the last that is there."""
    node = yaml.compose(text_of(path), Loader)
    line = 1
    for key in keys:
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(key)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            found = (node.value[key], node.value[key])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def syntax(error: yaml.YAMLError) -> str:
    """Say where YAML broke and why."""
    mark, problem = fault(error)
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def fault(error: yaml.YAMLError) -> tuple[yaml.Mark | None, str]:
    """Return where YAML broke, None where that is not told, and why."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        problem = " ".join((error.problem or "").split())
        if isinstance(error, yaml.composer.ComposerError | yaml.constructor.ConstructorError):
            # What it quotes may be a secret that begins with * or !.
            problem, quoted, _ = problem.partition(" '")
            problem += "; quote text that begins with *, & or !" if quoted else ""
        return error.problem_mark, problem
    if isinstance(error, yaml.reader.ReaderError):
        return None, f"character {error.position + 1} is not allowed in YAML: {error.reason}"
    return None, f"not YAML: {' '.join(str(error).split())}"
