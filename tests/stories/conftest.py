"""What every story begins with."""

import pytest

from config.settings import CartSettings, Settings
from tests.story import Story


@pytest.fixture
def shop() -> Story:
    """A shop with the settings as shipped: any activity restarts a cart's delay of 30 minutes."""
    return Story()


@pytest.fixture
def strict_shop() -> Story:
    """A shop where only a change of the cart restarts its delay."""
    return Story(Settings(cart=CartSettings(restart_on="cart_change")))
