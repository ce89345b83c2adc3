"""
The server that libraries send to keeps what they send, and what is fetched of npm names no registry.
"""

import gzip
import http.client
import json
import shutil
from pathlib import Path

import pytest

from tests.sdk import node as node_module
from tests.sdk.capture import ANSWER, Capture
from tests.sdk.node import HERE, node, node_modules
from tests.services.process import HOST, UnavailableError

pytestmark = pytest.mark.xdist_group("sdk")


def test_a_compressed_body_is_kept_as_it_was() -> None:
    """
    Path, query, headers and body of each request are kept, a body of gzip and one in chunks as well.
    """
    with Capture() as server:
        connection = http.client.HTTPConnection(HOST, server.port)
        headers = {"Content-Encoding": "gzip", "X-Key": "k"}
        connection.request("POST", "/v1/batch?a=b", gzip.compress(b'{"batch":[]}'), headers)
        assert connection.getresponse().read() == ANSWER
        connection.request("POST", "/chunked", iter([b'{"a"', b":1}"]), encode_chunked=True)
        assert connection.getresponse().read() == ANSWER
        connection.close()
    first, second = server.requests
    assert (first.method, first.url.path, first.url.query) == ("POST", "/v1/batch", "a=b")
    assert (first.headers["x-key"], first.json()) == ("k", {"batch": []})
    assert second.json() == {"a": 1}


def test_the_lock_names_no_registry() -> None:
    """
    Each package has a version and a checksum; where it comes from is the machine's to say.
    """
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: told for name, told in lock["packages"].items() if name}
    assert len(packages) > 4
    assert [name for name, told in packages.items() if "resolved" in told or "integrity" not in told] == []


def test_a_machine_without_node_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    tests/services/plugin.py makes one loud line of it, and a failure under CI=true.
    """
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(node_module, "STATE", tmp_path / "services")
    with pytest.raises(UnavailableError, match="no Node"):
        node()
    with pytest.raises(UnavailableError, match="no npm"):
        node_modules()


def test_an_npm_that_gets_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    What it said is the reason; the next run begins anew.
    """
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such registry >&2\nexit 1\n", encoding="utf-8")
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(npm))
    monkeypatch.setattr(node_module, "STATE", tmp_path / "services")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="no such registry"):
            node_modules()
