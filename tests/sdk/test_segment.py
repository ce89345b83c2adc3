"""Segment's libraries: what they send becomes the right events."""

import pytest

from tests.sdk.conftest import SentBy

pytestmark = pytest.mark.xdist_group("sdk")


@pytest.mark.parametrize("script", ["segment_python.py", "segment_node.cjs"])
def test_a_library_sends_a_batch(script: str, sent_by: SentBy) -> None:
    """
    All calls come in one envelope.
    """
    (sent,) = sent_by(script)
    assert (sent.method, sent.url.path) == ("POST", "/v1/batch")
    types = [call["type"] for call in sent.json()["batch"]]
    assert types == ["identify", "track", "track", "page", "screen", "group", "alias"]
