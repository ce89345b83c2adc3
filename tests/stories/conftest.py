"""What every story begins with."""

from collections.abc import Iterator

import pytest

from config.settings import CartSettings, Settings
from tests.story import Story


@pytest.fixture
def shop() -> Iterator[Story]:
    """A shop with the settings as shipped: any activity restarts a cart's delay of 30 minutes.

    What it says on the identity topic has ids of its own.
    """
    told = Story()
    yield told
    ids = set[str]()
    for record in told.identity():
        id_ = record.cloud_event[0]
        assert id_ not in ids, id_
        ids.add(id_)


@pytest.fixture
def strict_shop() -> Story:
    """A shop where only a change of the cart restarts its delay."""
    return Story(Settings(cart=CartSettings(restart_on="cart_change")))
