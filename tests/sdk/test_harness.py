"""
The server that libraries send to keeps what they send, and what is fetched of npm names no registry.
"""

import gzip
import http.client
import json

import pytest

from tests.sdk.capture import ANSWER, Capture
from tests.sdk.node import HERE
from tests.services.process import HOST

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
