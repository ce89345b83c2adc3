"""What a trigger has to say: the rule's own payload, else what is known of its cause."""

from __future__ import annotations

from typing import Any

from operators.event import rfc3339
from operators.expression_types import TIMESTAMP
from operators.expression_values import EvaluationError
from operators.facts import Facts
from operators.moment import Moment
from operators.rule_book import RETURNED, Rule
from operators.trigger import RuleFault


def payload_of(rule: Rule, moment: Moment, facts: Facts, out: list[Any]) -> dict[str, Any]:
    """Return the payload; what has no value is left out and counted. Instants are RFC 3339, durations ms."""
    if rule.payload is None:
        return _context(moment)
    told: dict[str, Any] = {}
    for name, expression in rule.payload.items():
        try:
            value = expression(facts)
        except EvaluationError as error:
            out.append(RuleFault(rule.id, "payload", f"{name}: {error}"))
            continue
        told[name] = rfc3339(value) if expression.type == TIMESTAMP else value
    return told


def _context(moment: Moment) -> dict[str, Any]:
    """Return what is known of a cause: the cart, the product, the order, the call or the visit."""
    cart, event = moment.cart, moment.event
    if cart is not None:
        return {
            "cart_id": cart.cart_id,
            "intent": cart.intent,
            "value": cart.value,
            "currency": cart.currency,
            "lines": cart.lines,
            "resume_url": cart.resume_url,
            "last_activity_at": cart.last_activity_at,
        }
    if moment.kind == RETURNED:
        return {"visits": moment.count}
    told: dict[str, Any] = {}
    if event is None:
        return told
    commerce = event.commerce
    if commerce is not None and event.kind.startswith("order_"):
        products = [item.product_id for item in commerce.items]
        told = {"order_id": commerce.order_id, "value": commerce.value, "products": products}
    elif commerce is not None and commerce.items:
        item = commerce.items[0]
        told = {"product_id": item.product_id, "name": item.name, "category": item.category, "price": item.price}
    if commerce is not None:
        told["currency"] = commerce.currency
    if event.call_id:
        told["call_id"] = event.call_id
    if moment.count:
        told["views"] = moment.count
    told["url"] = event.url
    return told
