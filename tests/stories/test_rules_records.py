"""What a decision says: to whom, where, why, by which rule, what it was worth, and what to say. Contracts section 5."""

from operators.cart_record import CartLine, CartRecord
from operators.event import Commerce, Item, Kind
from operators.ids import digest
from operators.trigger import Cause, Factors, RuleRef, Suppressed, Trigger
from tests.stories.rules import MARA, PHONE, Yaml, last, rule, shop_of, strict
from tests.story import ANON, Story


def test_a_trigger_says_all_of_it() -> None:
    """
    Every field of one, of a rule that has something to say in each.
    """
    shop = shop_of(
        rule(
            version=3,
            channels=["chat", "sms", "email"],
            action="greet",
            value=40,
            propensity=0.05,
            context_weights=[{"if": "profile.known", "weight": 50}],
            variants={"story": 1},
            payload={"page": "event.url", "of": '"us"', "count": 3},
            expires_after="1h",
        ),
    )
    shop.at("10:00").opts_out(channel="sms")
    shop.at("10:01").reads("/cups", event_id="m1")
    (trigger,) = shop.triggers()
    expected = Trigger(
        trigger_id=trigger.trigger_id,
        slot_key=trigger.slot_key,
        profile_id=shop.loop.links["u:mara"],
        anonymous_ids=[ANON],
        action="greet",
        family="nurture",
        channel="email",
        address_ref=f"email:{digest('email', MARA)}",
        cause=Cause("page_viewed", "m1", "2026-11-21T10:01:00.000Z", "m1"),
        context={"page": "/cups", "of": "us", "count": 3},
        priority=Factors(p=0.05, c=1.5, v=40.0, l=1.0, score=0.05 * 1.5 * 40.0),
        rule=RuleRef("hello", 3, shop.loop.decider.book.id),
        assignment=ANON,
        variant="story",
        channels={"chat": "no_channel", "sms": "consent", "email": ""},
        not_before="2026-11-21T10:01:00.000Z",
        expires_at="2026-11-21T11:01:00.000Z",
    )
    assert trigger == expected
    assert trigger.cloud_event == (
        trigger.trigger_id,
        "io.nextmove.nba.greet.v1",
        trigger.profile_id,
        "2026-11-21T10:01:00.000Z",
    )


def test_a_decision_not_to_act_says_as_much() -> None:
    """
    Its priority where that was asked, null where it was held back before; the id is what the trigger's would have been.
    """
    shop = shop_of(rule(channels=["chat"]), rule("never", "searched", eligibility="profile.visits > 100"))
    shop.at("10:00").reads("/cups", event_id="m1").searches("sofa", event_id="m2")
    first, second = shop.suppressed()
    assert first == Suppressed(
        trigger_id=first.trigger_id,
        profile_id=shop.loop.links["u:mara"],
        action="hello",
        family="nurture",
        reason="no_channel",
        detail="chat: not in a chat",
        cause=Cause("page_viewed", "m1", "2026-11-21T10:00:00.000Z", "m1"),
        rule=RuleRef("hello", 1, shop.loop.decider.book.id),
        priority=Factors(p=1.0, c=1.0, v=1.0, l=1.0, score=1.0),
        channels={"chat": "no_channel"},
    )
    assert (second.priority, second.channels, second.detail) == (None, {}, "profile.visits > 100")
    again = shop_of(rule(channels=["email"]))
    again.at("10:00").reads("/cups", event_id="m1")
    assert last(again).trigger_id == first.trigger_id


def test_ids_are_of_the_cause_only() -> None:
    """
    Not of the rule's version, the book, the profile or the time at which it was decided.
    """
    ids = set()
    for version, user, time in ((1, "mara", "10:00"), (2, "joe", "10:00:20")):
        shop = shop_of(rule(version=version, family=["nurture", "offer"][version - 1]))
        shop.at("09:00").identifies(as_=user, email=f"{user}@example.org")
        shop.time(time)
        shop.at("10:00").reads(event_id="m1")
        ids.add(last(shop).trigger_id)
    assert len(ids) == 1


def test_a_decision_not_to_act_has_an_id_of_its_own() -> None:
    """
    One occasion that is held back twice is two records.
    """
    shop = shop_of(rule(on="order_completed", channels=["chat"]))
    shop.at("10:00").orders("sofa", order="o1")
    shop.at("10:01").orders("sofa", order="o1")
    first, second = shop.suppressed()
    assert first.trigger_id == second.trigger_id
    assert first.cloud_event[0] != second.cloud_event[0]


def test_all_devices_are_named() -> None:
    """
    On which a site or app knows the person, those of this very link too.
    """
    shop = shop_of(rule(channels=["onsite"]))
    shop.at("10:00").reads(by="phone-1")
    shop.at("10:01").identifies("phone-1", as_="mara")
    shop.at("10:01:10").reads()
    assert last(shop).anonymous_ids == [ANON, "phone-1"]
    assert last(shop).address_ref == f"profile:{shop.loop.links['u:mara']}"


def context(on: Kind, shop_keys: Yaml = None, **more: Yaml) -> tuple[Story, Yaml]:
    """A shop and what its rule says of an event where it has no payload of its own."""
    shop = shop_of(rule(on=on, channels=["crm"], **(shop_keys or {})), settings=strict())
    shop.at("10:00").happens(on, "" if "phone" in more else ANON, **more)
    return shop, last(shop).context


def test_without_a_payload_it_says_what_it_is_about() -> None:
    """
    The product, the order, the call, the visit or the cart.
    """
    item = Item("sofa", price=450.0, name="Big sofa", category="living")
    commerce = Commerce((item,), order_id="o1", currency="EUR", value=900.0)
    assert context("product_viewed", commerce=commerce, url="/sofa")[1] == {
        "product_id": "sofa",
        "name": "Big sofa",
        "category": "living",
        "price": 450.0,
        "currency": "EUR",
        "views": 1,
        "url": "/sofa",
    }
    assert context("order_completed", commerce=commerce)[1] == {
        "order_id": "o1",
        "value": 900.0,
        "products": ["sofa"],
        "currency": "EUR",
        "url": "",
    }
    assert context("call_ringing", phone=PHONE, channel="phone", call_id="call-1")[1] == {
        "call_id": "call-1",
        "url": "",
    }
    shop = shop_of(rule(on="cart.timer", channels=["crm"]), settings=strict())
    shop.at("10:00").adds("sofa", price=450.0, url="https://shop.example/cart/9")
    shop.time("10:30")
    assert last(shop).context == {
        "cart_id": "c1",
        "intent": "cart",
        "value": 450.0,
        "currency": "EUR",
        "lines": (CartLine("sofa", 1.0, 450.0, ""),),
        "resume_url": "https://shop.example/cart/9",
        "last_activity_at": "2026-11-21T10:00:00.000Z",
    }


def test_a_payload_says_what_has_a_value() -> None:
    """
    What has none is left out and counted; the rest is said, in the words of JSON.
    """
    payload = {
        "url": "event.url",
        "at": "event.at",
        "soon": 'event.at + duration("1h")',
        "hour": 'duration("90m")',
        "scores": "profile.interest.scores",
        "vip": True,
        "none": None,
        "sum": "1 + 2",
        "depth": "event.properties.depth",
    }
    shop = shop_of(rule(payload=payload))
    shop.at("10:00").reads(properties={"depth": 7})
    assert last(shop).context == {
        "at": "2026-11-21T10:00:00.000Z",
        "soon": "2026-11-21T11:00:00.000Z",
        "hour": 5_400_000,
        "scores": {},
        "vip": True,
        "none": None,
        "sum": 3,
        "depth": 7,
    }
    assert shop.faults() == [("hello", "payload")]


def test_a_cause_names_what_it_is_about() -> None:
    """
    The cart, order, product, call, visit or person, as the rule's `per` has it.
    """
    commerce = Commerce((Item("sofa", price=1.0),), cart_id="c1", order_id="o1")
    causes: list[tuple[Kind, Yaml, Yaml, str]] = [
        ("product_viewed", {}, {"commerce": commerce}, "sofa"),
        ("order_completed", {}, {"commerce": commerce}, "o1"),
        ("product_added", {"per": "cart"}, {"commerce": commerce}, "c1"),
        ("call_ringing", {}, {"phone": PHONE, "channel": "phone", "call_id": "call-1"}, "call-1"),
        ("searched", {}, {"event_id": "m1"}, "m1"),
        ("searched", {"per": "profile"}, {"event_id": "m1"}, ANON),
    ]
    for on, keys, more, told in causes:
        shop, _ = context(on, keys, **more)
        assert last(shop).cause.id == told, on


def test_the_record_of_a_cart_names_its_trigger() -> None:
    """
    So does the later one, that the cart was bought after all.
    """
    shop = shop_of(rule(on="cart.timer"), settings=strict())
    shop.at("10:00").adds("sofa")
    shop.at("10:31").orders("sofa", cart="c1")
    shop.time("10:32")
    named = [record.trigger_id for record in shop.of(CartRecord)]
    assert named == ["", last(shop).trigger_id, last(shop).trigger_id]
