"""What every story begins with."""

from collections.abc import Iterator

import msgspec
import pytest
from jsonschema import Draft202012Validator

from config.settings import CartSettings, Settings
from connectors.schemas import schemas
from tests.story import Story


@pytest.fixture
def shop() -> Iterator[Story]:
    """A shop with the settings as shipped: any activity restarts a cart's delay of 30 minutes.

    What it says on the identity topic is as its schemas say, with ids of its own.
    """
    told = Story()
    yield told
    ids = set[str]()
    for record in told.identity():
        id_, type_, *_ = record.cloud_event
        assert id_ not in ids, id_
        ids.add(id_)
        Draft202012Validator(SCHEMAS[type_.removeprefix("io.nextmove.")]).validate(msgspec.to_builtins(record))


SCHEMAS = schemas()


@pytest.fixture
def strict_shop() -> Story:
    """A shop where only a change of the cart restarts its delay."""
    return Story(Settings(cart=CartSettings(restart_on="cart_change")))
