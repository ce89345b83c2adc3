"""An explanation for people: a tree of occasions, of their candidates, and of what is known of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from operators.explanation import Check, Occasion, Order, Told
from operators.trigger import Factors
from pipeline.explaining import Why
from pipeline.terminal import PLAIN_WIDTH, print_console, printable


def print_why(why: Why) -> None:
    """Print it on stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    with console.capture() as capture:
        for line in _head(why):
            console.print(_text(line), soft_wrap=True)
        for occasion in why.occasions:
            console.print()
            console.print(_tree(occasion))
    print_console(capture.get())


def _head(why: Why) -> Iterator[str]:
    others = [id_ for id_ in why.ids if id_ != why.profile_id]
    yield f"{why.profile_id}{', also known as ' if others else ''}{', '.join(others)}"
    if why.erased_at:
        yield f"erased {why.erased_at}: what was published before is still there"
    told = [one for occasion in why.occasions for one in occasion.candidates]
    if not told:
        yield "nothing was decided for them"
        return
    reasons = Counter(one.reason for one in told if one.reason)
    sent = sum(one.outcome == "sent" for one in told)
    counts = [f"{sent:,} sent"] + [f"{count:,} {_words(reason)}" for reason, count in reasons.most_common()]
    yield f"{_many(len(told), 'candidate')} on {_many(len(why.occasions), 'occasion')}: {', '.join(counts)}"
    if why.is_cut:
        yield "the latest of them; --limit shows more, --to earlier ones"


def _tree(occasion: Occasion) -> Tree:
    tree = Tree(_text(f"{occasion.time}  {occasion.type} {occasion.id}", "bold"), guide_style="dim")
    for one in occasion.candidates:
        branch = tree.add(_text(f"{one.action}: {_outcome(one)}", "green" if one.outcome == "sent" else "yellow"))
        for line in _lines(one, occasion):
            branch.add(_text(line))
    return tree


def _outcome(one: Told) -> str:
    if one.outcome == "suppressed":
        return f"not sent, {_words(one.reason)}"
    return f"sent by {one.channel}{', taken back' if one.retracted else ''}"


def _lines(one: Told, occasion: Occasion) -> Iterator[str]:
    """Say what is known of a candidate, a line each."""
    rule = one.rule
    yield f"rule {rule.id}, version {rule.version}, of the rules {rule.book}"
    if one.cause.id != occasion.id:
        yield f"about {one.cause.id}"
    yield from _verdicts(one.checks)
    if one.channels:
        looked_at = [f"{name} {_words(why) or 'free'}" for name, why in one.channels.items()]
        yield f"channels: {', '.join(looked_at)}"
    if one.priority is not None:
        yield f"priority {_priority(one.priority)}"
    yield f"trigger {one.trigger_id}"
    if one.outcome == "sent":
        yield f"won the slot {one.slot_key}"
        yield f"for {one.profile_id} at {one.address_ref}, from {one.not_before} until {one.expires_at}"
        yield f"{f'variant {one.variant}, ' if one.variant else ''}assigned by {one.assignment}"
    if one.retracted is not None:
        cause = one.retracted.cause
        yield f"taken back {cause.time}: {one.retracted.reason}, by {cause.type} {cause.id}"
    for order in one.orders:
        yield _order(order)


def _verdicts(checks: list[Check]) -> Iterator[str]:
    if all(one.verdict == "passed" for one in checks):
        yield "passed every check"
        return
    for words, verdict in (("passed", "passed"), ("failed", "failed"), ("not asked", "not_asked")):
        told = [f"{one.check}: {one.detail}" if one.detail else one.check for one in checks if one.verdict == verdict]
        if told:
            yield f"{words} {', '.join(told)}"


def _priority(factors: Factors) -> str:
    return f"{factors.score:g} = P {factors.p:g} x C {factors.c:g} x V {factors.v:g} x L {factors.l:g}"


def _order(order: Order) -> str:
    ends = {"credited": "", "passed_on": ", until a later touch was", "withdrawn": ", until the order was cancelled"}
    worth = f"{order.value:g} {order.currency}".rstrip()
    return (
        f"credited with order {order.order_id}, {worth}, of {order.ordered_at}:"
        f" {order.touch} {order.touched_at}{ends[order.state]}"
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _text(line: str, style: str = "") -> Text:
    return Text(printable(line), style=style)
