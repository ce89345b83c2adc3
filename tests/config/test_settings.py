"""
Settings have sound defaults, become the operators' rules, and may not contradict each other.
"""

import msgspec
import pytest

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.settings import (
    CartSettings,
    DuplicatesSettings,
    FootprintSettings,
    ProfileSettings,
    Settings,
    SourceSettings,
)
from config.traffic import TrafficSettings
from config.visits import GapSettings, SessionSettings
from operators.event import CHANNELS
from operators.rules import CartRules, FootprintRules, ProfileRules, SessionRules


def test_the_defaults_become_rules() -> None:
    """
    An empty file gives the rules that reference.yaml describes; channels that are off are not named.
    """
    visitor_rules = ProfileRules(
        sessions=SessionRules(
            gap_ms={"web": 1_800_000, "app": 1_800_000, "chat": 1_800_000, "phone": 1_800_000},
            length_ms_max=86_400_000,
            memory_ms=7_200_000,
            stitch_ms=2_592_000_000,
        ),
        carts=CartRules(
            browse_delay_ms=3_600_000,
            cart_delay_ms=1_800_000,
            checkout_delay_ms=1_800_000,
            browse_views_min=3,
            restart_on_activity=True,
            age_ms_max=2_592_000_000,
        ),
        footprint=FootprintRules(
            enabled=True,
            pages_max=10,
            products_max=10,
            categories_max=5,
            searches_max=5,
            interest_half_life_ms=604_800_000,
        ),
        retention_ms=2_592_000_000,
        lateness_ms=30_000,
        rate_max=600,
        rate_ban_ms=86_400_000,
        late_ms_max=86_400_000,
    )
    assert Settings().visitor_rules() == visitor_rules
    assert Settings().lead_rules() == msgspec.structs.replace(visitor_rules, retention_ms=34_560_000_000, is_lead=True)


def test_each_setting_reaches_its_rule() -> None:
    """
    No two settings are swapped on the way: each has a value of its own here.
    """
    settings = Settings(
        source=SourceSettings(lateness_ms=1_001),
        session=SessionSettings(
            gap=GapSettings(
                web_ms=2_001,
                app_ms=2_002,
                chat_ms=2_003,
                phone_ms=2_004,
                sms_ms=2_005,
                email_ms=2_006,
                social_ms=2_007,
                server_ms=2_008,
            ),
            length_ms_max=2_009,
            memory_ms=2_010,
            stitch_ms=2_012,
        ),
        cart=CartSettings(
            browse_delay_ms=3_001,
            cart_delay_ms=3_002,
            checkout_delay_ms=3_003,
            browse_views_min=34,
            restart_on="cart_change",
            age_ms_max=3_005,
        ),
        footprint=FootprintSettings(
            enabled=False,
            pages_max=41,
            products_max=42,
            categories_max=43,
            searches_max=44,
            interest_half_life_ms=4_005,
        ),
        profile=ProfileSettings(anonymous_retention_ms=6_001, lead_retention_ms=6_002, late_ms_max=2_011),
        traffic=TrafficSettings(rate_max=61, rate_ban_ms=6_003),
    )
    gap_ms = {
        "web": 2_001,
        "app": 2_002,
        "chat": 2_003,
        "phone": 2_004,
        "sms": 2_005,
        "email": 2_006,
        "social": 2_007,
        "server": 2_008,
    }
    lead_rules = ProfileRules(
        sessions=SessionRules(gap_ms=gap_ms, length_ms_max=2_009, memory_ms=2_010, stitch_ms=2_012),
        carts=CartRules(
            browse_delay_ms=3_001,
            cart_delay_ms=3_002,
            checkout_delay_ms=3_003,
            browse_views_min=34,
            restart_on_activity=False,
            age_ms_max=3_005,
        ),
        footprint=FootprintRules(
            enabled=False,
            pages_max=41,
            products_max=42,
            categories_max=43,
            searches_max=44,
            interest_half_life_ms=4_005,
        ),
        retention_ms=6_002,
        lateness_ms=1_001,
        is_lead=True,
        rate_max=61,
        rate_ban_ms=6_003,
        late_ms_max=2_011,
    )
    assert settings.lead_rules() == lead_rules
    assert settings.visitor_rules() == msgspec.structs.replace(lead_rules, retention_ms=6_001, is_lead=False)


def test_every_channel_has_a_gap() -> None:
    """
    A channel that events can come from can be given a gap, and no other.
    """
    assert {field.encode_name for field in msgspec.structs.fields(GapSettings)} == CHANNELS


def test_settings_do_not_change() -> None:
    """
    What was checked at the start holds to the end.
    """
    with pytest.raises(AttributeError, match="immutable type: 'Settings'"):
        setattr(Settings(), "key_groups", 64)  # noqa: B010 - mypy would refuse the statement


LATENESS = SourceSettings(lateness_ms=HOUR, live_within_ms=2 * HOUR)


@pytest.mark.parametrize(
    ("enough", "too_little", "complaint"),
    [
        pytest.param(
            {"source": SourceSettings(live_within_ms=31 * SECOND + 1)},
            {"source": SourceSettings(live_within_ms=31 * SECOND)},
            "source.live_within is 31s but must exceed 31s (source.idle_after + source.lateness):"
            " when a live pipe falls silent, its latest event may already be this old",
            id="live",
        ),
        pytest.param(
            {"session": SessionSettings(gap=GapSettings(chat_ms=HOUR), length_ms_max=HOUR + 1)},
            {"session": SessionSettings(gap=GapSettings(chat_ms=HOUR), length_ms_max=HOUR)},
            "session.length_max is 1h but must exceed 1h (session.gap.chat): two events must fit into a session",
            id="length",
        ),
        pytest.param(
            {"session": SessionSettings(gap=GapSettings(sms_ms=HOUR), memory_ms=HOUR + 1)},
            {"session": SessionSettings(gap=GapSettings(sms_ms=HOUR), memory_ms=HOUR)},
            "session.memory is 1h but must exceed 1h (session.gap.sms): a session would be forgotten as it closes",
            id="memory beyond the gap",
        ),
        pytest.param(
            {"session": SessionSettings(memory_ms=HOUR), "source": LATENESS},
            {"session": SessionSettings(memory_ms=HOUR - 1), "source": LATENESS},
            "session.memory is 59m59s999ms but must be at least 1h (source.lateness):"
            " an event as late as is allowed must find the session that it belongs to",
            id="memory within the lateness",
        ),
        *(
            pytest.param(
                {"cart": CartSettings(**{delay: HOUR, "age_ms_max": HOUR + 1, **shorter})},  # type: ignore[arg-type] # chosen by name
                {"cart": CartSettings(**{delay: HOUR, "age_ms_max": HOUR, **shorter})},  # type: ignore[arg-type] # chosen by name
                f"cart.age_max is 1h but must exceed 1h (cart.{key}): a cart would expire before it is abandoned",
                id=f"age beyond {key}",
            )
            for delay, key, shorter in (
                ("browse_delay_ms", "browse_delay", {}),
                ("cart_delay_ms", "cart_delay", {"browse_delay_ms": MINUTE}),
                ("checkout_delay_ms", "checkout_delay", {"browse_delay_ms": MINUTE}),
            )
        ),
        pytest.param(
            {"profile": ProfileSettings(late_ms_max=2 * HOUR)},
            {"profile": ProfileSettings(late_ms_max=2 * HOUR - 1)},
            "profile.late_max is 1h59m59s999ms but must be at least 2h (session.memory):"
            " an event that a remembered session would take must not be too late for its profile",
            id="late",
        ),
        pytest.param(
            {"duplicates": DuplicatesSettings(window_ms=30 * SECOND)},
            {"duplicates": DuplicatesSettings(window_ms=30 * SECOND - 1)},
            "duplicates.window is 29s999ms but must be at least 30s (source.lateness):"
            " a repeat that is not late must be recognised",
            id="duplicates",
        ),
    ],
)
def test_settings_may_not_contradict_each_other(
    enough: dict[str, msgspec.Struct], too_little: dict[str, msgspec.Struct], complaint: str
) -> None:
    """
    One side of a relation passes; a millisecond on, the message names both settings and the reason.
    """
    msgspec.structs.replace(Settings(), **enough)
    with pytest.raises(ValueError, match="must") as raised:
        msgspec.structs.replace(Settings(), **too_little)
    assert str(raised.value) == complaint


@pytest.mark.parametrize("who", ["anonymous_retention", "lead_retention"])
@pytest.mark.parametrize(
    ("others", "enough_ms", "relation"),
    [
        ({}, DAY + 1, "exceed 24h (session.length_max): a profile must outlive its open session"),
        (
            {"cart": CartSettings(browse_delay_ms=2 * DAY)},
            2 * DAY + 1,
            "exceed 2d (cart.browse_delay): a profile must outlive its open cart",
        ),
        (
            {"cart": CartSettings(cart_delay_ms=2 * DAY)},
            2 * DAY + 1,
            "exceed 2d (cart.cart_delay): a profile must outlive its open cart",
        ),
        (
            {"cart": CartSettings(checkout_delay_ms=2 * DAY)},
            2 * DAY + 1,
            "exceed 2d (cart.checkout_delay): a profile must outlive its open cart",
        ),
        (
            {"late_ms_max": 3 * DAY},
            3 * DAY + 1,
            ("exceed 3d (profile.late_max): a late event must find its profile, not begin one that is already over"),
        ),
    ],
)
def test_a_profile_outlives_what_it_must_remember(
    who: str, others: dict[str, object], enough_ms: int, relation: str
) -> None:
    """
    Nobody is forgotten while a session, a cart or a late event still needs them.
    """

    def keep(retention_ms: int) -> None:
        retention = {"anonymous_retention_ms": 400 * DAY, "lead_retention_ms": 400 * DAY}
        late_ms_max = others.get("late_ms_max", DAY)
        profile = {**retention, f"{who}_ms": retention_ms, "late_ms_max": late_ms_max}
        sections = {name: section for name, section in others.items() if name != "late_ms_max"}
        msgspec.structs.replace(
            Settings(),
            **{
                "profile": msgspec.structs.replace(ProfileSettings(), **profile),
                **sections,
            },
        )

    keep(enough_ms)
    with pytest.raises(ValueError, match="must") as raised:
        keep(enough_ms - 1)
    assert str(raised.value).startswith(f"profile.{who} is ")
    assert str(raised.value).endswith(f" but must {relation}")
