"""Channels: on which of those that a rule prefers a person can be reached now, and what speaks against the others.

| channel | reaches | by |
|---|---|---|
| `email` | whose address is known, and has not bounced | the address |
| `sms`, `whatsapp`, `phone` | whose number is known | the number |
| `push` | who has agreed to it: nobody has a device token here | the profile |
| `onsite` | who is in an open visit of site or app | the profile |
| `chat` | who is in an open chat | the profile |
| `agent` | who is on the telephone: what the agent's screen shows | the profile |
| `crm` | everybody: a task for the shop's own people | the profile |
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from operators.caps import exceeded
from operators.case import Case
from operators.contacts import Send
from operators.event import rfc3339
from operators.ids import digest
from operators.local_time import quiet_until
from operators.memory import Memory
from operators.rule_book import Rule

BY_NUMBER: Final = frozenset({"sms", "whatsapp", "phone"})

FREE: Final = ""
"""What is said of a channel that nothing speaks against."""

# Of several channels that are no way, the one that came furthest says why: who has an address and has refused it is no
# person without one.
_RANKS: Final = {"quiet_hours": 0, "cap": 1, "consent": 2, "no_channel": 3}


@mypyc_attr(acyclic=True)
class Reach:
    """What was found: the `channel` chosen, "" for none, and what was said of each that was looked at.

    `held_until` is the end of quiet hours that the channel is to be held for, -1 where it is free. Without a channel
    `reason` and `detail` say why.
    """

    channel: str = ""
    held_until: int = -1
    reason: str = ""
    detail: str = ""

    def __init__(self) -> None:
        self.channels: dict[str, str] = {}

    def against(self, channel: str, reason: str, detail: str) -> None:
        """Note what speaks against a channel."""
        self.channels[channel] = reason
        self.detail += f"{'; ' if self.detail else ''}{channel}: {detail}"
        if not self.reason or _RANKS[reason] < _RANKS[self.reason]:
            self.reason = reason


def reach(case: Case, rule: Rule, trigger_id: str, expires_at: int) -> Reach:
    """Choose the first channel of a rule that is open, or the first that is worth waiting for."""
    found = Reach()
    for channel in rule.channels:
        refusal = _refusal(case, rule, channel, trigger_id)
        if refusal is not None:
            found.against(channel, refusal[0], refusal[1])
            continue
        quiet = rule.quiet
        until = None
        if quiet is not None and (not quiet.channels or channel in quiet.channels):
            until = quiet_until(case.now, case.zone(), quiet.from_minute, quiet.to_minute)
        if until is None or quiet is None:
            found.channel = channel
            found.channels[channel] = FREE
            break
        if quiet.on == "hold" and until < expires_at:
            found.channel, found.held_until = channel, until
            break
        what = "which is after it expires" if quiet.on == "hold" else "and it does not wait"
        found.against(channel, "quiet_hours", f"quiet until {rfc3339(until)}, {what}")
        if quiet.on != "fallback":
            break
    return found


def address_ref(memory: Memory, channel: str, profile_id: str) -> str:
    """Return to what address, by reference."""
    if channel == "email":
        return f"email:{digest('email', memory.email)}"
    if channel in BY_NUMBER:
        return f"phone:{digest('phone', memory.phone)}"
    return f"profile:{profile_id}"


def _refusal(case: Case, rule: Rule, channel: str, trigger_id: str) -> tuple[str, str] | None:
    """Say why a channel is no way, None where it is one."""
    memory, policy = case.memory(), case.book.policy
    if channel == "email" and not memory.email:
        return "no_channel", "no address"
    if channel == "email" and memory.email == memory.bounced:
        return "no_channel", f"bounced {rfc3339(memory.bounced_at)}"
    if channel in BY_NUMBER and not memory.phone:
        return "no_channel", "no number"
    refusal = policy.consent.refusal(memory.consents, channel, rule.purpose, case.now)
    if refusal:
        return "consent", refusal
    if channel == "onsite" and not case.is_onsite():
        return "no_channel", "not on the site"
    if channel == "chat" and not case.is_in_chat():
        return "no_channel", "not in a chat"
    if channel == "agent" and not case.is_in_call():
        return "no_channel", "not on the telephone"
    send = Send(case.now, trigger_id, channel, rule.family, rule.action, rule.is_exempt)
    if rule.all_caps:
        kept_ms = case.book.contacts.span_of("sent")
        cap = exceeded(memory.contacts, rule.all_caps, send, case.zone(), kept_ms, case.watermark)
        if cap is not None:
            per = f"{cap.per_ms // 60_000} min" if cap.period == "rolling" else cap.period.replace("_", " ")
            return "cap", f"{cap.limit} per {per} of {cap.name or cap.scope}"
    return None
