"""Genesys Cloud's conversations: detail events and notifications, as legs of calls and as chats."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import Format
from operators.event import rfc3339
from tests.connectors.telephones import (
    TEN,
    Steps,
    check_is_told_or_refused,
    decode,
    event_of,
    in_any_order,
    leg_of,
    legs_of,
    reason_of,
    sample,
    seconds,
    spoilt,
)

ANN = "+4915112345678"
SHOP = "+18005550100"
CUSTOMER, QUEUE, BOB, CAT = "genesys:p-1", "genesys:p-2", "genesys:p-3", "genesys:p-4"

Record = dict[str, Any]


def detail(who: str, what: str, participant: str, second: float, **more: object) -> Record:
    body = {
        "eventTime": TEN + int(second * 1000),
        "conversationId": "c1",
        "participantId": participant,
        "sessionId": f"s-{participant}",
        "mediaType": "VOICE",
        "direction": "INBOUND",
        "ani": f"tel:{ANN}",
        "dnis": f"tel:{SHOP}",
        **more,
    }
    topic = f"v2.detail.events.conversation.c1.{who}{'.' * bool(what)}{what}"
    envelope = {"id": f"{who} {what} {participant} {second}", "time": rfc3339(TEN + 99_000)}
    return {**envelope, "detail-type": topic.replace("c1", "{id}"), "detail": {"topicName": topic, "eventBody": body}}


def spans(interacting: int, held: int = 0, alerting: int = 2000) -> Record:
    return {"interactingDurationMs": interacting, "heldDurationMs": held, "alertingDurationMs": alerting}


ANN_CALLS = [
    detail("customer", "start", "p-1", 0),
    detail("acd", "start", "p-2", 1, queueId="q-1"),
    detail(
        "acd",
        "end",
        "p-2",
        10,
        queueId="q-1",
        acdOutcome="ANSWERED",
        disconnectType="TRANSFER",
        connectedDurationMs=9000,
    ),
    detail("user", "start", "p-3", 8, userId="bob"),
]
ANN_TALKS: dict[str, Steps] = {
    CUSTOMER: [("offered", 0), ("ended", 42)],
    QUEUE: [("queued", 1), ("ended", 10)],
    BOB: [("ringing", 8), ("answered", 10), ("ended", 42)],
}
ANN_ENDS = detail("customer", "end", "p-1", 42, disconnectType="PEER")

PATHS: dict[str, tuple[list[Record], dict[str, Steps]]] = {
    "answered": (
        [*ANN_CALLS, detail("user", "end", "p-3", 42, disconnectType="CLIENT", **spans(32_000)), ANN_ENDS],
        ANN_TALKS,
    ),
    "held": (
        [*ANN_CALLS, detail("user", "end", "p-3", 42, disconnectType="CLIENT", **spans(22_000, 10_000)), ANN_ENDS],
        ANN_TALKS,
    ),
    "abandoned in a queue": (
        [
            *ANN_CALLS[:2],
            detail("acd", "end", "p-2", 31, acdOutcome="ABANDON", disconnectType="PEER", connectedDurationMs=30_000),
            detail("customer", "end", "p-1", 31, disconnectType="ENDPOINT"),
        ],
        {CUSTOMER: [("offered", 0), ("ended", 31)], QUEUE: [("queued", 1), ("ended", 31)]},
    ),
    "no answer": (
        [detail("user", "start", "p-3", 8), detail("user", "end", "p-3", 18, **spans(0, alerting=10_000))],
        {BOB: [("ringing", 8), ("ended", 18)]},
    ),
    "blind transfer": (
        [
            *ANN_CALLS,
            detail("user", "end", "p-3", 20, disconnectType="TRANSFER", **spans(10_000)),
            detail("user", "end", "p-4", 42, disconnectType="CLIENT", **spans(20_000)),
            ANN_ENDS,
        ],
        {
            **ANN_TALKS,
            BOB: [("ringing", 8), ("answered", 10), ("transferring", 20), ("ended", 20)],
            CAT: [("ringing", 20), ("answered", 22), ("ended", 42)],
        },
    ),
    "a menu": (
        [detail("flow", "start", "p-5", 0), detail("flow", "end", "p-5", 1, disconnectType="TRANSFER")],
        {"genesys:p-5": [("offered", 0), ("ended", 1)]},
    ),
    "work after the call": (
        [detail("acw", "end", "p-3", 60), detail("wrapup", "", "p-3", 61, wrapupCode="w")],
        {BOB: []},
    ),
}


@pytest.mark.parametrize("path", PATHS)
def test_each_path_gives_its_legs_in_any_order(path: str) -> None:
    """
    The steps of each leg are the same for events in order, backwards, and shuffled with repeats.
    """
    records, expected = PATHS[path]
    for told in in_any_order(records):
        assert legs_of(told) == expected


def test_the_end_of_a_leg_says_how_long_what_took() -> None:
    """
    The agent's has talk and hold, the queue's the wait.
    """
    leg = leg_of(PATHS["held"][0][-2])
    assert (leg.talk_ms, leg.hold_ms, leg.wait_ms, leg.reason) == (22_000, 10_000, -1, "completed")
    assert leg_of(ANN_CALLS[2]).wait_ms == 9000


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (ANN_ENDS, "completed"),
        (detail("customer", "end", "p-1", 9, disconnectType="TRANSPORT_FAILURE"), "failed"),
        (detail("acd", "end", "p-2", 9, acdOutcome="ABANDON"), "abandoned"),
        (detail("acd", "end", "p-2", 9, acdOutcome="FLOW_OUT"), ""),
        (detail("user", "end", "p-3", 9, **spans(0)), "no_answer"),
        (detail("user", "end", "p-3", 9, disconnectType="NO_ANSWER_TRANSFER"), "no_answer"),
        (detail("user", "end", "p-3", 9, disconnectType="ERROR"), "failed"),
        (detail("voicemail", "end", "p-6", 9), "voicemail"),
        (ANN_CALLS[0], ""),
    ],
)
def test_the_end_of_a_leg_says_why(record: Record, reason: str) -> None:
    """
    A caller who left the queue has abandoned it; an agent who was rung in vain has not answered.
    """
    assert leg_of(record).reason == reason


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("TRANSFER", "blind"),
        ("FORWARD_TRANSFER", "blind"),
        ("CONSULT_TRANSFER", "attended"),
        ("transfer.consult", "attended"),
        ("CONFERENCE_TRANSFER", "conference"),
        ("NO_ANSWER_TRANSFER", ""),
        ("NOT_AVAILABLE_TRANSFER", ""),
        ("PEER", ""),
    ],
)
def test_an_agent_who_hands_a_call_on_transfers_it(type_: str, kind: str) -> None:
    """
    That nobody came is no transfer of anybody's; nor is that a queue has found an agent.
    """
    leg = leg_of(detail("user", "end", "p-3", 9, disconnectType=type_))
    assert leg.transfer_kind == kind
    assert ("transferring" in [state for state, _ in leg.steps]) == bool(kind)
    assert leg_of(detail("acd", "end", "p-2", 9, disconnectType=type_)).transfer_kind == ""


def test_the_customer_is_who_calls_or_is_called() -> None:
    """
    By the direction; a caller who withholds the number is nobody.
    """
    inbound = event_of(ANN_CALLS[0])
    assert inbound.leg is not None
    assert (inbound.leg.direction, inbound.phone, inbound.leg.called, inbound.leg.party) == (
        "inbound",
        ANN,
        SHOP,
        "customer",
    )
    outbound = leg_of(detail("customer", "start", "p-1", 0, direction="OUTBOUND", ani=f"tel:{SHOP}", dnis=f"tel:{ANN}"))
    assert (outbound.direction, outbound.customer, outbound.called) == ("outbound", ANN, "")
    for ani in ("sip:anonymous@anonymous.invalid", "tel:+266696687", "tel:Unavailable", "", None):
        assert leg_of(detail("customer", "start", "p-1", 0, ani=ani)).customer == ""
    bob = leg_of(ANN_CALLS[3])
    assert (bob.party, bob.agent, bob.calls) == ("agent", "bob", ("genesys:c1",))
    assert seconds(leg_of(detail("user", "start", "p-3", 1, direction="OUTBOUND"))) == [("offered", 1)]


def test_the_samples_are_read() -> None:
    """
    EventBridge's id is the event's; without one it is made of leg, time and what happened.
    """
    start = event_of(sample("genesys_customer_start.eventbridge.json"))
    assert start.leg is not None
    assert (start.event_id, start.phone, start.leg.calls) == ("a1", ANN, ("genesys:conv-1",))
    assert seconds(start.leg) == [("offered", 0)]
    assert start.told()["divisionId"] == "d-1"
    end = event_of(sample("genesys_acd_end.eventbridge.json"))
    assert end.leg is not None
    assert (seconds(end.leg), end.leg.queue) == ([("queued", 0.5), ("ended", 30)], "q-1")
    assert end.event_id == event_of(sample("genesys_acd_end.eventbridge.json")).event_id != start.event_id


@pytest.mark.parametrize(
    ("record", "kind", "channel", "phone"),
    [
        (detail("customer", "start", "p-1", 0, mediaType="CHAT", ani="ann"), "chat_started", "chat", ""),
        (detail("customer", "end", "p-1", 9, mediaType="MESSAGE", messageType="WHATSAPP"), "chat_ended", "chat", ANN),
        (detail("customer", "start", "p-1", 0, mediaType="MESSAGE", messageType="SMS"), "chat_started", "sms", ANN),
        (
            detail("customer", "start", "p-1", 0, mediaType="MESSAGE", messageType="FACEBOOK"),
            "chat_started",
            "social",
            ANN,
        ),
        (detail("customer", "start", "p-1", 0, mediaType="EMAIL", ani="ann@example.org"), "other", "email", ""),
        (detail("customer", "start", "p-1", 0, mediaType="CALLBACK"), "other", "phone", ANN),
        (detail("acd", "start", "p-2", 0, mediaType="CHAT"), "other", "chat", ANN),
    ],
)
def test_what_is_no_call_is_a_chat_or_something_else(record: Record, kind: str, channel: str, phone: str) -> None:
    """
    Its customer is known by number or address, and by contact or conversation.
    """
    event = event_of(record)
    assert (event.kind, event.channel, event.phone, event.leg) == (kind, channel, phone, None)
    assert event.anonymous_id == "genesys:c1"
    assert event.email == ("ann@example.org" if channel == "email" else "")
    assert event.told()["conversationId"] == "c1"


# --- notifications ------------------------------------------------------------------------------------------


def noted(second: float, *participants: Record, topic: str = "v2.users.u.conversations") -> Record:
    body = {"id": "c1", "participants": list(participants)}
    return {"topicName": topic, "version": "2", "time": rfc3339(TEN + int(second * 1000)), "eventBody": body}


def taking_part(id_: str, purpose: str, state: str, **call: object) -> Record:
    told = {name: rfc3339(TEN + value * 1000) if name.endswith("Time") else value for name, value in call.items()}  # type: ignore[operator]
    return {"id": id_, "purpose": purpose, "userId": "bob", "calls": [{"state": state, "direction": "inbound", **told}]}


def ann(state: str = "connected", **call: object) -> Record:
    told = {"self": {"addressNormalized": ANN}, "other": {"addressNormalized": SHOP}, "connectedTime": 0, **call}
    return taking_part("p-1", "customer", state, **told)


HELD = [
    noted(8, ann(), taking_part("p-3", "agent", "alerting", startTime=8)),
    noted(10, ann(), taking_part("p-3", "agent", "connected", connectedTime=10)),
    noted(20, ann(), taking_part("p-3", "agent", "connected", connectedTime=10, held=True, startHoldTime=20)),
    noted(25, ann(), taking_part("p-3", "agent", "connected", connectedTime=10, held=False)),
    noted(
        42,
        ann("terminated", disconnectedTime=42, disconnectType="peer"),
        taking_part("p-3", "agent", "disconnected", connectedTime=10, disconnectedTime=42, disconnectType="client"),
    ),
]


def test_notifications_tell_of_holds() -> None:
    """
    Each has everybody's state; the end of a hold is when it is told. The legs are those of the detail events.
    """
    for told in in_any_order(HELD):
        assert legs_of(told) == {
            CUSTOMER: [("offered", 0), ("ended", 42)],
            BOB: [("ringing", 8), ("answered", 10), ("held", 20), ("resumed", 25), ("ended", 42)],
        }


def test_what_is_told_again_of_a_participant_has_one_id() -> None:
    """
    Four notifications say the same of the customer.
    """
    events = decode(*HELD).events
    assert len({event.event_id for event in events if event.leg and event.leg.leg_id == CUSTOMER}) == 2
    assert {event.phone for event in events if event.leg and event.leg.leg_id == CUSTOMER} == {ANN}


@pytest.mark.parametrize(
    ("purpose", "call", "party", "reason"),
    [
        ("agent", {"connectedTime": 1, "disconnectType": "client"}, "agent", "completed"),
        ("agent", {"disconnectType": "client"}, "agent", "no_answer"),
        ("agent", {"disconnectReasons": [{"type": "SIP", "code": 486}]}, "agent", "busy"),
        ("customer", {"disconnectReasons": [{"type": "SIP", "code": 480}]}, "customer", "no_answer"),
        ("customer", {"disconnectReasons": [{"type": "SIP", "code": 487}]}, "customer", "abandoned"),
        ("customer", {"disconnectReasons": [{"type": "SIP", "code": 503}]}, "customer", "failed"),
        ("customer", {"disconnectType": "transport.failure"}, "customer", "failed"),
        ("voicemail", {}, "system", "voicemail"),
        ("acd", {}, "system", ""),
        ("external", {"connectedTime": 1}, "agent", "completed"),
        ("external", {"connectedTime": 1, "direction": "outbound"}, "customer", "completed"),
        ("stranger", {}, "", ""),
    ],
)
def test_a_participant_has_a_purpose_and_a_reason_to_leave(purpose: str, call: Record, party: str, reason: str) -> None:
    """
    By the codes of the network where there are any.
    """
    leg = leg_of(noted(9, taking_part("p-3", purpose, "disconnected", **call)))
    assert (leg.party, leg.reason) == (party, reason)


def test_an_agent_s_transfer_is_told_by_notifications_too() -> None:
    """
    At the end of the agent's leg, of its kind.
    """
    told = {"connectedTime": 10, "disconnectedTime": 20, "disconnectType": "transfer.consult"}
    leg = leg_of(noted(20, taking_part("p-3", "agent", "disconnected", **told)))
    assert leg.transfer_kind == "attended"
    assert seconds(leg) == [("answered", 10), ("transferring", 20), ("ended", 20)]


def test_calls_topics_have_the_call_in_the_participant() -> None:
    """
    A flat participant is the same leg.
    """
    flat = {"id": "p-3", "purpose": "agent", "state": "connected", "direction": "inbound", "user": {"id": "bob"}}
    told = {**flat, "connectedTime": rfc3339(TEN + 10_000), "queue": {"id": "q-1"}}
    leg = leg_of(noted(10, told, topic="v2.users.u.conversations.calls"))
    assert (leg.leg_id, leg.agent, leg.queue, seconds(leg)) == (BOB, "bob", "q-1", [("answered", 10)])


def test_a_notification_of_a_chat_is_its_beginning_and_its_end() -> None:
    """
    Each once, however often it is told.
    """
    chat = {"id": "m1", "state": "connected", "connectedTime": rfc3339(TEN)}
    ended = {**chat, "state": "disconnected", "disconnectedTime": rfc3339(TEN + 9000)}
    told = [
        noted(at, {"id": "p-1", "purpose": "customer", "chats": [one]})
        for at, one in [(1, chat), (3, chat), (9, ended)]
    ]
    events = decode(*told).events
    assert [(event.kind, event.at - TEN) for event in events] == [("chat_started", 0)] * 2 + [("chat_ended", 9000)]
    assert len({event.event_id for event in events}) == 2


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (noted(1), "missing_field"),
        (noted(1, {"id": "p-1", "purpose": "acd"}), "missing_field"),
        (detail("customer", "start", "p-1", 0, conversationId=None), "missing_field"),
        (detail("customer", "start", "p-1", 0, eventTime="noon"), "bad_time"),
        (detail("customer", "start", "p-1", 0, conversationId="c" * 300), "wrong_type"),
        ({"detail": {"topicName": "v2.routing.queues", "eventBody": {"id": "q"}}}, "unknown_format"),
    ],
)
def test_what_cannot_be_a_leg_says_why(record: Record, reason: str) -> None:
    """
    Topics of other things are no calls.
    """
    assert reason_of(record) == reason


GOOD = [
    *[record for records, _ in PATHS.values() for record in records],
    *HELD,
    detail("customer", "start", "p", 0, mediaType="CHAT"),
]


@settings(max_examples=300)
@given(record=spoilt(GOOD), read_at=st.sampled_from([None, TEN]), format_=st.sampled_from(["auto", "genesys"]))
def test_no_value_of_any_field_is_too_much(record: object, read_at: int | None, format_: Format) -> None:
    """
    Whatever a field holds, there is an event or a reason.
    """
    check_is_told_or_refused(record, read_at, format_)
