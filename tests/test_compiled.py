"""
What is compiled does the same as what is not, only faster.
"""

import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("benchmarks", "config", "connectors", "operators", "pipeline")


def compiled() -> list[str]:
    """The modules that setup.py lists, as paths."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "COMPILED":
            found: list[str] = ast.literal_eval(node.value)
            return found
    raise AssertionError("setup.py has no list COMPILED")


def test_the_tests_run_what_is_compiled() -> None:
    """
    Each listed module is loaded from its compiled form; where there is none, that is said, and in CI it is a failure.
    """
    names = [path.removesuffix(".py").replace("/", ".") for path in compiled()]
    interpreted = [name for name in names if str(importlib.import_module(name).__file__).endswith(".py")]
    if interpreted and os.environ.get("CI") != "true":
        pytest.skip(f"NOT COMPILED, SO NOT TESTED AS IT RUNS: {', '.join(interpreted)}; see `make setup`")
    assert interpreted == []


@pytest.mark.parametrize("path", compiled())
def test_a_compiled_module_defines_no_struct(path: str) -> None:
    """
    mypyc does not keep the annotations from which msgspec makes a struct.
    """
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    bases = [ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    assert [base for base in bases if "Struct" in base] == []


@pytest.fixture
def interpreted(tmp_path: Path) -> Path:
    """A copy of the product without what was compiled."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / "source" / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    return tmp_path / "source"


def outputs_of(source: Path, day: Path, out: Path) -> dict[str, list[str]]:
    """Run the product in `source`; return the sorted records of each stream, without the wall clock."""
    config = out.with_suffix(".yaml")
    config.write_text("cart: {browse_views_min: 2}\nsource: {batch_records: 500}\n", encoding="utf-8")
    command = ["-m", "pipeline.cli", "run", str(day), "--out", str(out), "--config", str(config)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    subprocess.run([sys.executable, *command], cwd=source, env=environment, check=True, capture_output=True)
    found = {}
    for path in sorted(out.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found[path.name] = sorted(line.split('"emitted_at":')[0] for line in lines)
    return found


def test_compiled_and_interpreted_give_the_same_records(tmp_path: Path, interpreted: Path) -> None:
    """
    A generated day with logins, calls, carts and orders, through both: every record of every stream.
    """
    day = tmp_path / "day.jsonl"
    generate = [sys.executable, "-m", "pipeline.cli", "generate", "--out", str(day), "--events", "8000", "--seed", "5"]
    subprocess.run(generate, cwd=ROOT, check=True, capture_output=True)

    found = outputs_of(ROOT, day, tmp_path / "compiled")

    assert found == outputs_of(interpreted, day, tmp_path / "interpreted")
    assert all(len(found[f"{stream}.jsonl"]) > 10 for stream in ("sessions", "carts", "triggers", "identity"))
