"""The examples of docs/reference/journeys.md do what is said there."""

import re

import pytest

from config.durations import DAY, SECOND
from config.journeys import SHIPPED, read_book
from operators.event import Commerce
from tests.story import Held, Nudge, Story

DOCS = SHIPPED.parents[1] / "docs" / "reference" / "journeys.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
MARA = "mara@example.org"


def shop(number: int) -> Story:
    """A shop with the rules of one of the examples; nobody is held out, for one of the people here would be."""
    text = EXAMPLES[number].replace("holdout: 0.05", "holdout: 0")
    return Story(book=read_book({"a.yaml": text}, lateness_ms=30 * SECOND, retention_ms=30 * DAY))


@pytest.fixture
def rescue() -> Story:
    """The first example, and Mara, who has an address, a number, and asks for messages."""
    story = shop(0)
    told = {"email": True, "sms": True}
    story.at("09:00").identifies(as_="mara", email=MARA, phone="+442079460000", consents=told)
    return story


@pytest.mark.parametrize(("price", "is_written"), [(49.99, False), (50.0, True)])
def test_a_cart_is_worth_a_letter_from_fifty_on(rescue: Story, price: float, *, is_written: bool) -> None:
    """
    Mara leaves a cart, and is written to for one of 50.
    """
    rescue.at("10:00").adds("kettle", price=price)
    rescue.at("10:30").expects(*[Nudge("mara", "cart_rescue", "10:30")] if is_written else [])


def test_a_second_letter_of_a_day_is_a_message_and_none_at_night(rescue: Story) -> None:
    """
    Who was written to in the last 16 hours has a message up to 21:00, by the clock of their number's country. From then
    on it waits for 08:00, and as a letter is possible again by then, it is one.
    """
    [rule] = rescue.loop.decider.book.rules.values()
    rule.cooldown_ms = 0
    rescue.at("12:00").adds("kettle", price=60.0, cart="c1")
    rescue.at("12:30").expects(Nudge("mara", "cart_rescue", "12:30"))
    rescue.at("20:29:59").adds("sofa", price=60.0, cart="c2")
    rescue.at("20:59:59").expects(Nudge("mara", "cart_rescue", "20:59:59", "sms"))
    rescue.at("day 9 12:00").adds("kettle", price=60.0, cart="c3")
    rescue.at("day 9 12:30").expects(Nudge("mara", "cart_rescue", "day 9 12:30"))
    rescue.at("day 9 20:30").adds("sofa", price=60.0, cart="c4")
    rescue.at("day 10 07:59:59").expects_nothing()
    rescue.at("day 10 08:00").expects(Nudge("mara", "cart_rescue", "day 9 21:00"))


def test_a_day_after_the_consent_more_is_told() -> None:
    """
    A day to the second, counted from the last consent; not to who has ordered within it.
    """
    story = shop(1)
    story.at("09:00").identifies(as_="mara", email=MARA).opts_in()
    story.at("10:00").opts_in()
    story.at("day 2 09:59:59").expects_nothing()
    story.at("day 2 10:00").expects(Nudge("mara", "first_steps", "day 2 10:00"))

    other = shop(1)
    other.at("10:00").identifies(as_="mara", email=MARA).opts_in()
    other.at("day 2 09:59:59").orders("kettle")
    other.at("day 4 10:00").expects_nothing()


def test_three_days_after_an_order_what_goes_with_it() -> None:
    """
    For each order that was not cancelled by then.
    """
    story = shop(2)
    story.at("09:00").identifies(as_="mara", email=MARA).opts_in()
    story.at("10:00").orders("kettle", value=20.0, order="o1")
    story.at("10:01").orders("pot", value=20.0, order="o2")
    story.at("10:02").orders("cup", value=19.99, order="o3")
    story.at("day 4 09:59").happens("order_cancelled", "", user_id="mara", commerce=Commerce(order_id="o2"))
    story.at("day 4 09:59:59").expects_nothing()
    story.at("day 4 10:00").expects(Nudge("mara", "goes_with_it", "day 4 10:00"))
    story.at("day 4 10:02").expects(Held("mara", "goes_with_it", "day 4 10:02", "ineligible"))
