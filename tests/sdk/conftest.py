"""
The fixture `sent_by`: what a library puts on the wire.

Each script of clients/ runs once, however many tests ask, in a process of its own: libraries start threads and send
when the process ends.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.sdk.capture import Capture, Sent
from tests.sdk.node import node, node_modules
from tests.services.process import ROOT

CLIENTS: Final = Path(__file__).parent / "clients"
RUN_S_MAX: Final = 60

SentBy: TypeAlias = Callable[[str], list[Sent]]


@pytest.fixture(scope="session")
def sent_by(say: Callable[[str], None]) -> SentBy:
    """Return what the script of clients/ of that name (with .py or .cjs) sends. Node.js may be missing: plugin.py."""
    kept: dict[str, list[Sent]] = {}

    def run(script: str) -> list[Sent]:
        if script not in kept:
            kept[script] = _requests(script, say)
        return kept[script]

    return run


def _requests(script: str, say: Callable[[str], None]) -> list[Sent]:
    path = CLIENTS / script
    environment: Mapping[str, str] = {**os.environ, "NO_PROXY": "*"}
    if path.suffix == ".cjs":
        program = node()
        environment = {**environment, "NODE_PATH": str(node_modules(say))}
    else:
        program = sys.executable
    with Capture() as server:
        done = subprocess.run(
            [program, str(path), server.url],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=RUN_S_MAX,
            env=environment,
        )
    assert done.returncode == 0, done.stderr
    assert server.requests, f"{script} sent nothing: {done.stderr}"
    return server.requests
