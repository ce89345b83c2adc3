"""Credits: orders and what came of triggers, as events tell of them, and what follows for who is credited."""

from __future__ import annotations

from typing import Any

from operators import memory as memories
from operators.attribution import Credit, Orders
from operators.attribution_record import AttributionRecord
from operators.case import Case
from operators.event import Commerce, Event, rfc3339
from operators.memory import Memory


def credit(case: Case, memory: Memory, event: Event, out: list[Any]) -> None:
    """Take in an order or what came of a trigger, and tell the credits that are other than before."""
    attribution, commerce = case.book.policy.attribution, event.commerce or Commerce()
    if event.kind == "order_completed" or event.kind == "order_cancelled":
        if memory.orders is None:
            memory.orders = Orders()
        order_id = commerce.order_id or event.event_id
        if event.kind == "order_completed":
            attribution.order(memory.orders, order_id, event.at, commerce.value or 0.0, commerce.currency)
        else:
            attribution.cancel(memory.orders, order_id, event.at)
    elif event.kind not in memories.OUTCOMES or memory.orders is None:
        return
    settle(case, memory, out)


def settle(case: Case, memory: Memory, out: list[Any]) -> None:
    """Tell the credits of a memory's orders that are other than before."""
    assert memory.orders is not None, "there are orders to credit"
    orders = memory.orders
    found = case.book.policy.attribution.settle(orders, memory.contacts)
    out.extend([_credited(case, orders, one) for one in found])


def _credited(case: Case, orders: Orders, credit: Credit) -> AttributionRecord:
    ordered_at = orders.made[credit.order_id][0]
    return AttributionRecord(
        credit.order_id,
        case.person.profile_id,
        "credited" if credit.trigger_id else "withdrawn",
        credit.value,
        credit.currency,
        rfc3339(ordered_at),
        credit.trigger_id,
        credit.action,
        credit.family,
        credit.channel,
        credit.touch,
        rfc3339(credit.touched_at) if credit.trigger_id else "",
    )
