"""Channels: on which of those that a rule prefers a person can be reached now. Contracts section 4, 5."""

import pytest

from operators.event import Kind
from operators.ids import digest
from operators.trigger import Suppressed
from tests.stories.rules import MARA, PHONE, Yaml, book_of, last, rule, sent, shop_of
from tests.story import ANON, Held, Nudge, Story

ALL = ["agent", "chat", "onsite", "push", "email", "sms", "phone", "whatsapp", "crm"]
SILENT: Yaml = {
    "defaults": dict.fromkeys(["email", "sms", "phone", "whatsapp", "push", "onsite", "chat", "agent", "crm"], True)
}


def visitor(*channels: str, **keys: Yaml) -> Story:
    """A shop that answers events of its server, of which nobody knows who they are; all may be written to."""
    return Story(book=book_of(rule(on="other", channels=list(channels), **keys), consent=SILENT))


def server(shop: Story, at: str, **more: Yaml) -> tuple[str, dict[str, str]]:
    """On which channel somebody is reached when the server tells of something, and what was said of those before."""
    shop.at(at).happens("other", ANON, channel="server", **more)
    triggers, suppressed = shop.triggers(), shop.suppressed()
    if isinstance(shop.loop.records[-1], Suppressed):
        return "", suppressed[-1].channels
    return triggers[-1].channel, triggers[-1].channels


def test_the_first_that_can_be_used_is() -> None:
    """
    In the rule's order; those before it say what speaks against them, those after it are not asked.
    """
    shop = visitor("email", "sms", "crm", "push")
    assert server(shop, "10:00") == ("crm", {"email": "no_channel", "sms": "no_channel", "crm": ""})
    shop.at("10:01").identifies(email=MARA)
    assert server(shop, "10:02") == ("email", {"email": ""})


@pytest.mark.parametrize(("channel", "known"), [("email", {"email": MARA}), ("sms", {"phone": PHONE})])
def test_who_has_an_address_can_be_reached_there(channel: str, known: Yaml) -> None:
    """
    And others not; to what, is said by reference only.
    """
    shop = visitor(channel)
    assert server(shop, "10:00") == ("", {channel: "no_channel"})
    shop.at("10:01").identifies(as_="mara", **known)
    assert server(shop, "10:02") == (channel, {channel: ""})
    name, value = next(iter(known.items()))
    assert last(shop).address_ref == f"{name}:{digest(name, value)}"
    assert value not in repr(shop.loop.records)


def test_an_address_is_used_as_it_comes() -> None:
    """
    Told by the very event that is answered, before its turn in time.
    """
    shop = Story(book=book_of(rule(on="identified")))
    shop.at("10:00").identifies(as_="mara", email=MARA)
    assert shop.news() == [sent("10:00")]


@pytest.mark.parametrize("told", ["", MARA])
def test_an_address_that_has_bounced_is_none(told: str) -> None:
    """
    From the bounce on, until mail arrives there or another address is told; telling the same once more is no cure.
    """
    shop = shop_of(rule(on="other", channels=["email", "sms"]))
    assert server(shop, "10:00", user_id="mara")[0] == "email"
    shop.at("10:01").bounces(last(shop).trigger_id, email=told)
    assert server(shop, "10:02", user_id="mara") == ("sms", {"email": "no_channel", "sms": ""})
    shop.at("10:03").identifies(as_="mara", email=MARA)
    assert server(shop, "10:04", user_id="mara")[0] == "sms"
    shop.at("10:05").happens("email_delivered", ANON)
    assert server(shop, "10:06", user_id="mara")[0] == "email"
    shop.at("10:07").bounces(last(shop).trigger_id)
    assert server(shop, "10:08", user_id="mara")[0] == "sms"
    shop.at("10:09").identifies(as_="mara", email="mara.new@shop.example")
    assert server(shop, "10:10", user_id="mara")[0] == "email"


def test_an_address_that_was_given_up_may_bounce() -> None:
    """
    The newest is still the newest, and still good.
    """
    shop = shop_of(rule(on="other"))
    shop.at("10:00").identifies(as_="mara", email="mara.new@shop.example")
    shop.at("10:01").happens("email_bounced", ANON, email=MARA)
    assert server(shop, "10:02", user_id="mara")[0] == "email"
    assert last(shop).address_ref == f"email:{digest('email', 'mara.new@shop.example')}"


@pytest.mark.parametrize("turn", [1, -1])
def test_what_bounced_on_one_device_is_known_on_the_other(turn: int) -> None:
    """
    Two who turn out to be one have the newest word on whether mail arrives, whichever is joined to the other.
    """
    kinds: list[Kind] = ["email_bounced", "email_delivered"]
    for said, channel in ((kinds, "email"), (kinds[::-1], "sms")):
        shop = shop_of(rule(on="other", channels=["email", "sms"]))
        devices = [ANON, "anon-8"][::turn]
        shop.at("10:00").happens("email_bounced", devices[0], email=MARA)
        for minute, kind in enumerate(said, start=1):
            shop.at(f"10:0{minute}").happens(kind, devices[minute - 1], email=MARA)
        shop.at("10:05").identifies("anon-8", as_="mara")
        shop.time("11:00")
        assert server(shop, "11:01", user_id="mara")[0] == channel


def test_the_newest_address_is_used() -> None:
    """
    Whichever came in last.
    """
    shop = shop_of(rule())
    shop.at("10:00:10").identifies(as_="mara", email="new@example.org")
    shop.at("10:00:05").identifies(as_="mara", email="old@example.org")
    shop.at("10:01").reads()
    assert last(shop).address_ref == f"email:{digest('email', 'new@example.org')}"


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "phone"])
def test_a_number_is_for_all_that_goes_by_numbers(channel: str) -> None:
    """
    Messages and calls.
    """
    shop = visitor(channel)
    shop.at("10:00").identifies(as_="mara", phone=PHONE)
    assert server(shop, "10:01") == (channel, {channel: ""})
    assert last(shop).address_ref == f"phone:{digest('phone', PHONE)}"


def test_on_the_site_is_who_is_there() -> None:
    """
    Up to 29:59.999 after their last page; at 30:00 the visit is over. Who is in the app only is there, too.
    """
    for where in ("web", "app"):
        shop = visitor("onsite")
        assert server(shop, "09:59") == ("", {"onsite": "no_channel"})
        shop.at("10:00").reads(channel=where)
        assert server(shop, "10:29:59.999") == ("onsite", {"onsite": ""})
        assert last(shop).address_ref == f"profile:{ANON}"
    shop = visitor("onsite")
    shop.at("10:00").reads()
    assert server(shop, "10:30") == ("", {"onsite": "no_channel"})


def test_in_a_chat_is_who_is_in_one() -> None:
    """
    A page is no chat.
    """
    shop = visitor("chat")
    shop.at("10:00").reads()
    assert server(shop, "10:01") == ("", {"chat": "no_channel"})
    shop.at("10:02").happens("chat_started", ANON, channel="chat")
    assert server(shop, "10:31:59.999") == ("chat", {"chat": ""})
    shop = visitor("chat")
    shop.at("10:02").happens("chat_started", ANON, channel="chat")
    assert server(shop, "10:32") == ("", {"chat": "no_channel"})


def test_an_agent_has_who_is_on_the_telephone() -> None:
    """
    From the first ring to the end of the call, and nobody after.
    """
    shop = shop_of(rule(channels=["agent"]))
    shop.at("09:59:59.999").reads()
    shop.at("10:00").calls(PHONE).reads()
    shop.at("10:04:59.999").reads()
    shop.at("10:05").hangs_up(PHONE).reads()
    assert shop.news() == [
        Held("mara", "hello", "09:59:59.999", "no_channel"),
        sent("10:00", channel="agent"),
        sent("10:04:59.999", channel="agent"),
        Held("mara", "hello", "10:05", "no_channel"),
    ]


def test_our_own_people_can_be_told_of_anybody() -> None:
    """
    Who has no address and is not there is a task.
    """
    assert server(visitor("crm"), "10:00") == ("crm", {"crm": ""})


def test_why_there_is_no_channel() -> None:
    """
    Of all reasons the one of the channel that came furthest: quiet hours, cap, consent, none at all; each is told.
    """
    night: Yaml = {"from": "09:00", "to": "12:00", "channels": ["push"], "on": "fallback"}
    caps = [{"scope": "channel", "name": "crm", "limit": 1, "per": "1d"}]
    channels, detail = ["email", "sms", "crm", "push"], ""
    for count, reason in ((1, "no_channel"), (2, "consent"), (3, "cap"), (4, "quiet_hours")):
        rules = rule(channels=channels[:count]), rule("task", "searched", channels=["crm"], slot="other")
        shop = Story(book=book_of(*rules, quiet=night, caps=caps, consent=SILENT))
        shop.at("09:00").identifies(phone=PHONE, as_="mara").opts_out(channel="sms").searches("sofa")
        shop.at("10:00").reads()
        assert shop.news()[-1] == Held("mara", "hello", "10:00", reason)
        said = ["no_channel", "consent", "cap", "quiet_hours"][:count]
        assert shop.suppressed()[-1].channels == dict(zip(channels, said, strict=False))
        detail = shop.suppressed()[-1].detail
    assert detail == (
        "email: no address; sms: refused sms 2026-11-21T09:00:00.000Z; crm: 1 per 1440 min of crm;"
        " push: quiet until 2026-11-21T11:00:00.000Z, and it does not wait"
    )


def test_a_capped_channel_gives_way_to_the_next() -> None:
    """
    One letter a day, then messages.
    """
    caps = [{"scope": "channel", "name": "email", "limit": 1, "per": "1d"}]
    shop = shop_of(rule(channels=["email", "sms"]), caps=caps)
    shop.at("10:00").reads()
    shop.at("10:01").reads()
    assert shop.news() == [sent("10:00"), sent("10:01", channel="sms")]


BUSY: Yaml = {"on": "searched", "after": "10m", "not_while": "call"}


@pytest.mark.parametrize(
    ("rings", "ends", "busy"),
    [
        ("10:10:00.001", "", False),
        ("10:10", "", True),
        ("10:05", "10:10:00.001", True),
        ("10:05", "10:10", False),
        ("10:05", "10:09:59.999", False),
    ],
)
def test_who_is_on_the_telephone_is_not_disturbed(rings: str, ends: str, *, busy: bool) -> None:
    """
    At 10:10: from the ring's instant on until the end's.
    """
    shop = shop_of(rule(**BUSY))
    shop.at("10:00").searches("sofa")
    shop.at(rings).calls(PHONE)
    if ends:
        shop.at(ends).hangs_up(PHONE)
    shop.time("10:20")
    assert shop.news() == [Held("mara", "hello", "10:10", "unsuitable") if busy else sent("10:10")]
    assert [one.detail for one in shop.suppressed()] == (["on the telephone"] if busy else [])


def test_a_call_of_which_no_end_was_heard_is_over_after_four_hours() -> None:
    """
    3:59:59.999 after its first ring somebody is on the telephone, 4:00:00 after it not.
    """
    shop = shop_of(rule(not_while=["call"]))
    shop.at("10:00").calls(PHONE)
    shop.at("12:00").happens("call_answered", "", phone=PHONE, channel="phone", call_id="call-1")
    shop.at("13:59:59.999").reads()
    shop.at("14:00").reads()
    assert shop.news() == [Held("mara", "hello", "13:59:59.999", "unsuitable"), sent("14:00")]


def test_of_two_calls_one_may_go_on() -> None:
    """
    The end of one is not that of the other.
    """
    shop = shop_of(rule(not_while=["call"]))
    shop.at("10:00").calls(PHONE, "call-1")
    shop.at("10:01").calls(PHONE, "call-2")
    shop.at("10:02").hangs_up(PHONE, "call-1").reads()
    shop.at("10:03").hangs_up(PHONE, "call-2").reads()
    assert shop.news() == [Held("mara", "hello", "10:02", "unsuitable"), sent("10:03")]


def test_an_unknown_caller_who_is_recognised_has_hung_up_when_they_have() -> None:
    """
    Rung as nobody, recognised ten seconds later, hung up after fifteen: at twenty seconds they are free, although time
    has come to none of it.
    """
    shop = Story(book=book_of(rule(on="chat_started", not_while=["call"])))
    shop.at("09:00").identifies(as_="mara", email=MARA)
    shop.at("10:00").calls(PHONE)
    shop.at("10:00:10").identifies("", as_="mara", phone=PHONE)
    shop.at("10:00:12").happens("chat_started", ANON)
    shop.at("10:00:15").hangs_up(PHONE)
    shop.at("10:00:20").happens("chat_started", ANON)
    assert shop.news() == [Held("mara", "hello", "10:00:12", "unsuitable"), sent("10:00:20")]


@pytest.mark.parametrize(("read", "busy"), [("10:00:00.001", True), ("10:00", False)])
def test_who_is_on_the_site_is_not_disturbed(read: str, *, busy: bool) -> None:
    """
    At 10:30: until the visit is over, half an hour after its last page.
    """
    shop = shop_of(rule(on="other", after="30m", not_while=["onsite"]))
    shop.at("10:00").happens("other", ANON, channel="server")
    shop.at(read).reads()
    shop.time("11:00")
    assert shop.news() == [Held("mara", "hello", "10:30", "unsuitable") if busy else sent("10:30")]


def test_who_is_there_on_another_device_is_there() -> None:
    """
    In the app of their telephone, while the link still waits for its turn.
    """
    shop = shop_of(rule(on="other", channels=["onsite"]))
    shop.at("10:00").reads(by="phone-1", channel="app")
    shop.at("10:00:10").identifies("phone-1", as_="mara", channel="server")
    shop.at("10:00:20").happens("other", ANON, channel="server")
    assert shop.news() == [Nudge("mara", "hello", "10:00:20", "onsite")]
