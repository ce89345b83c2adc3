"""
Records of decisions for tests that look at what becomes of them; each says what the test does not.
"""

from typing import Any, Final, TypeVar

from operators.attribution_record import AttributionRecord
from operators.trigger import Factors, Retraction, RuleRef, Suppressed, Trigger, cause

T = TypeVar("T")

AT_MS: Final = 1_795_255_200_000
AT: Final = "2026-11-21T10:00:00.000Z"
WHY: Final = cause("cart.timer", "cart-1", AT_MS)


def by(rule: str) -> RuleRef:
    return RuleRef(rule, 1, "0f")


def trigger(rule: str = "cart_email", **told: Any) -> Trigger:  # noqa: ANN401 -- any of its fields
    record = Trigger(
        trigger_id="t1",
        slot_key="s1",
        profile_id="p1",
        anonymous_ids=["d1"],
        action="cart_abandoned",
        family="cart",
        channel="email",
        address_ref="email:1",
        cause=WHY,
        context={},
        priority=Factors(1.0, 1.0, 1.0, 1.0, 1.0),
        rule=by(rule),
        assignment="d1",
        variant="",
        channels={"email": ""},
        not_before=AT,
        expires_at="2026-11-21T22:00:00.000Z",
    )
    return changed(record, told)


def suppressed(rule: str = "cart_email", **told: Any) -> Suppressed:  # noqa: ANN401 -- any of its fields
    return changed(Suppressed("t1", "p1", "cart_abandoned", "cart", "cooldown", "", WHY, by(rule)), told)


def retraction(rule: str = "cart_email", **told: Any) -> Retraction:  # noqa: ANN401 -- any of its fields
    undone = cause("order_completed", "order-1", AT_MS + 60_000, "e1")
    until = "2026-11-21T22:00:00.000Z"
    names = "cart_abandoned", "cart", "email"
    return changed(Retraction("t1", "s1", "p1", *names, "purchased", undone, until, by(rule)), told)


def credit(**told: Any) -> AttributionRecord:  # noqa: ANN401 -- any of its fields
    of = "t1", "cart_abandoned", "cart", "email", "clicked"
    return changed(AttributionRecord("order-1", "p1", "credited", 39.9, "EUR", AT, *of, AT), told)


def withdrawal() -> AttributionRecord:
    return AttributionRecord("order-1", "p1", "withdrawn", 39.9, "EUR", AT, "", "", "", "", "", "")


def changed(record: T, told: dict[str, Any]) -> T:
    for name, value in told.items():
        assert hasattr(record, name)
        setattr(record, name, value)
    return record
