"""A shop that knows its people by pseudonyms, and changes the secret that makes them. Row 67."""

from connectors.formats.pseudonyms import Pseudonyms
from operators.event import Event
from tests.story import Nudge, Story, Visit

MARA, PHONE = "mara@example.org", "+4915112345678"
FIRST, SECOND = "1" * 32, "2" * 32


class HidingStory(Story):
    """A story of which nextmove hears under pseudonyms."""

    def __init__(self) -> None:
        super().__init__()
        self.pseudonyms = Pseudonyms(FIRST)

    def rotate(self, *former: str) -> None:
        """Change the secret."""
        self.pseudonyms = Pseudonyms(SECOND, former)

    def tell(self, event: Event) -> None:
        """Let an event happen; the decoder hides who it is."""
        self.pseudonyms.hide(event)
        super().tell(event)

    def lead_of(self, type_: str, text: str) -> str | None:
        """The lead that an address or number leads to by the secret of today."""
        return self.loop.links.get(f"{type_}:{self.pseudonyms.of(text)[0]}")


def test_two_devices_with_one_address_are_one_person_under_its_pseudonym() -> None:
    """
    Filled on the laptop, ordered on the phone: no reminder.
    """
    shop = HidingStory()
    shop.at("10:00").identifies("laptop", email=MARA).adds("kettle", by="laptop")
    shop.at("10:10").identifies("phone", email=MARA).orders("kettle", by="phone")
    shop.ends()
    assert shop.triggers() == []


def test_who_comes_back_after_the_change_with_the_address_alone_is_known() -> None:
    """
    From a new device, by nothing but the address: the same lead with its cart; its address is linked once more, and
    from then on it is found without the former secret.
    """
    shop = HidingStory()
    shop.at("10:00").identifies("laptop", as_="mara", email=MARA).adds("kettle", by="laptop")
    lead, known = shop.lead_of("e", MARA), len(shop.loop.links)
    shop.rotate(FIRST)
    assert shop.lead_of("e", MARA) is None
    shop.at("10:10").identifies("", email=MARA, channel="server")
    assert shop.lead_of("e", MARA) == lead
    assert len(shop.loop.links) == known + 1
    shop.rotate()
    shop.at("10:20").identifies("phone", email=MARA).orders("kettle", by="phone")
    shop.ends()
    assert shop.triggers() == []
    assert shop.loop.links["a:phone"] == lead


def test_a_caller_is_known_after_the_change() -> None:
    """
    By the number alone; it need not be given with a name again before the former secret goes.
    """
    shop = HidingStory()
    shop.at("10:00").identifies("laptop", email=MARA, phone=PHONE).adds("kettle", by="laptop")
    lead = shop.lead_of("p", PHONE)
    shop.rotate(FIRST)
    shop.at("10:05").calls(PHONE)
    assert shop.lead_of("p", PHONE) == lead
    shop.rotate()
    shop.at("10:10").calls(PHONE)
    assert [profile for profile, _ in shop.loop.leads.profiles()] == [lead]
    assert shop.loop.visitors.profiles() == []


def test_a_former_secret_that_goes_too_soon_makes_two_of_one_until_it_is_back() -> None:
    """
    The address alone is somebody new; with the former secret both are one again, and the older lead survives.
    """
    shop = HidingStory()
    shop.at("10:00").identifies("laptop", as_="mara", email=MARA).adds("kettle", by="laptop")
    lead = shop.lead_of("e", MARA)
    shop.rotate()
    shop.at("10:10").identifies("phone", email=MARA)
    assert shop.lead_of("e", MARA) != lead
    shop.rotate(FIRST)
    shop.at("10:20").identifies("phone", email=MARA)
    assert shop.lead_of("e", MARA) == lead == shop.loop.links["a:phone"]
    shop.ends()
    assert len(shop.loop.leads.profiles()) == 1
    assert Visit("phone", "10:10", "10:20", events=2, of="mara") in shop.sessions()


def test_what_a_caller_did_before_the_change_comes_along_with_the_name() -> None:
    """
    Two calls of nobody under two pseudonyms, then the number with an address.
    """
    shop = HidingStory()
    shop.at("10:00").calls(PHONE)
    shop.rotate(FIRST)
    shop.at("10:10").calls(PHONE)
    shop.at("10:20").identifies("laptop", email=MARA, phone=PHONE)
    shop.ends()
    assert shop.loop.visitors.profiles() == []
    assert len(shop.loop.leads.profiles()) == 1


def test_a_cart_is_chased_under_a_pseudonym() -> None:
    """
    That there is an address is known; where to is said by its pseudonym only.
    """
    shop = HidingStory()
    shop.at("10:00").identifies("laptop", as_="mara", email=MARA).adds("kettle", by="laptop")
    shop.at("10:30").expects(Nudge("mara", "cart_abandoned", "10:30"))
    assert MARA not in repr(shop.loop.records)
