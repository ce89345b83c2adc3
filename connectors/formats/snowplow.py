"""Snowplow's events to ours: enriched, as lines or as JSON, and as trackers post them.

The way through: lines (`snowplow_columns.py`) and posts (`snowplow_tracker.py`) become objects with the names of
enriched events; the entities in them get names of their own (`snowplow_entities.py`); what is made of that is said
here, once for all three. Sources: Snowplow's canonical event model, Iglu Central's schemas, reference/domain.md part C.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from connectors.formats.common import (
    CHANNEL_OF_KIND,
    COMMERCE_KINDS,
    EPOCH,
    Reading,
    Unusable,
    milliseconds,
    settled,
)
from connectors.formats.fields import amount, flag, identifier_text, moment, text
from connectors.formats.identifiers import identifier
from connectors.formats.made import id_of, made
from connectors.formats.screening import screened
from connectors.formats.snowplow_commerce import CHECKOUT_STEP, KIND_OF_ACTION, commerce_of
from connectors.formats.snowplow_entities import BODY, entity, spread
from connectors.formats.snowplow_tracker import is_short, long
from operators.event import Channel, Event, Kind
from operators.ids import digest

Told = dict[str, Any]

_OURS: Final = "com_snowplowanalytics_snowplow"
_ACTION: Final = f"{BODY}_{_OURS}_ecommerce_snowplow_ecommerce_action_1"
_SEARCH: Final = f"{BODY}_{_OURS}_site_search_1"
_SCREENS: Final = (f"{BODY}_{_OURS}_screen_view_1", f"{BODY}_com_snowplowanalytics_mobile_screen_view_1")
_USER: Final = f"contexts_{_OURS}_ecommerce_user_1"
_SESSION: Final = f"contexts_{_OURS}_client_session_1"

_DISTINCTIVE: Final = frozenset({"collector_tstamp", "dvce_created_tstamp", "etl_tstamp", "v_tracker", "v_collector"})
"""Names that no other format has, of which every enriched event has one."""

_KIND_OF_EVENT: Final[dict[str, Kind]] = {"page_view": "page_viewed", "transaction": "order_completed"}
"""The types of events that are no self-describing ones and tell a kind of ours."""

_BODIES: Final[dict[str, Kind]] = {
    _SEARCH: "searched",
    **dict.fromkeys(_SCREENS, "screen_viewed"),
    f"{BODY}_{_OURS}_add_to_cart_1": "product_added",
    f"{BODY}_{_OURS}_remove_from_cart_1": "product_removed",
}
"""What self-describing events mean, by their schemas; the e-commerce action says itself what it means."""

_CHANNEL_OF: Final[dict[str, Channel]] = {
    "web": "web",
    "mob": "app",
    "app": "app",
    "tv": "app",
    "cnsl": "app",
    "headset": "app",
    "srv": "server",
}
"""The channel of a platform. `pc` is what trackers say of themselves that were told nothing."""

_TAKEN: Final = (
    "event_id",
    "user_id",
    "domain_userid",
    "domain_sessionid",
    "page_url",
    "page_referrer",
    "collector_tstamp",
    "dvce_created_tstamp",
    "dvce_sent_tstamp",
    "derived_tstamp",
    "true_tstamp",
)
"""What an event of ours has fields for; everything else is among its properties."""


_OF_APP: Final = ("app_id", "useragent", "name_tracker")
"""What tells apps behind one network address apart."""


def claims(told: Told) -> bool:
    """Tell whether an object is an event of Snowplow's, enriched or as a tracker posts it."""
    return not _DISTINCTIVE.isdisjoint(told) or is_short(told)


def events(told: Told, position: int, reading: Reading) -> list[Event]:
    """Make the event of a record.

    Raises:
        Unusable: the record is broken, or lacks what an event cannot do without.
    """
    told = spread(long(told) if is_short(told) else told)
    kind, name, body = _what(told)
    device, session = _device(told)
    channel = _channel(told, kind, has_device=bool(device))
    if channel != "server":
        screened(told.get("useragent"), told.get("user_ipaddress"), reading.screening)
    user_id, email = _person(told)
    event = made(
        kind,
        _happened_at(told, reading),
        id_of(told.get("event_id"), told),
        channel,
        reading,
        position,
        anonymous_id=device or _cookie(told, channel, user_id),
        user_id=user_id,
        email=email,
        name=name,
        properties=_rest(told),
    )
    event.url = text(told.get("page_url")) or ""
    event.referrer = text(told.get("page_referrer")) or ""
    event.campaign = text(told.get("mkt_campaign")) or text(told.get("mkt_source")) or ""
    event.client_session_id = identifier(session)
    if kind == "searched":
        event.query = _query(body)
    elif kind in COMMERCE_KINDS:
        event.commerce = commerce_of(told, body)
    return [event]


def _rest(told: Told) -> Told:
    """Return what an event of ours has no fields for."""
    rest = told.copy()
    for name in _TAKEN:
        rest.pop(name, None)
    return rest


def _what(told: Told) -> tuple[Kind, str, Told]:
    """Return the kind of an event, its name, and what a self-describing one is about.

    Raises:
        Unusable: `missing_field`, where nothing names it.
    """
    action = entity(told, _ACTION)
    if action:
        type_ = text(action.get("type")) or ""
        kind = KIND_OF_ACTION.get(type_, "other")
        step = amount(entity(told, CHECKOUT_STEP).get("step")) or 1
        return ("checkout_progressed" if kind == "checkout_started" and step > 1 else kind), type_, {}
    for schema, kind in _BODIES.items():
        if schema in told:
            body = entity(told, schema)
            name = body.get("name") if kind == "screen_viewed" else told.get("event_name")
            return kind, text(name) or "", body
    type_ = text(told.get("event")) or ""
    kind = _KIND_OF_EVENT.get(type_, "other")
    if type_ == "struct":
        told_name = told.get("se_action")
    elif kind == "page_viewed":
        told_name = told.get("page_title")
    else:
        told_name = told.get("event_name")
    name = text(told_name) or ("" if kind == "page_viewed" else type_)
    if not name and not type_:
        raise Unusable("missing_field", "`event` is absent")
    return kind, name, {}


def _device(told: Told) -> tuple[str | None, str | None]:
    """Return the ids that a device has given itself and its session: a browser's, else an app's."""
    device, session = identifier_text(told.get("domain_userid")), identifier_text(told.get("domain_sessionid"))
    if device and session:
        return device, session
    app = entity(told, _SESSION)
    return device or identifier_text(app.get("userId")), session or identifier_text(app.get("sessionId"))


def _cookie(told: Told, channel: Channel, user_id: str | None) -> str | None:
    """Return what stands for a device that has given itself no id: a browser's is the id in the collector's cookie.

    Servers keep no cookies: theirs is a last resort. Nor do apps at first, so requests of one start have several; of an
    app nobody has signed in to, its network address and the app itself stand for it. Strangers behind one address may
    share that, so an event that names a user is never known by it: nobody becomes a lead by a guess.
    """
    if channel == "server" and user_id:
        return None
    address = identifier_text(told.get("user_ipaddress"))
    if channel == "app" and address and not user_id:
        return "app-" + digest(address, *[text(told.get(name)) or "" for name in _OF_APP])[:20]
    return identifier_text(told.get("network_userid"))


def _person(told: Told) -> tuple[str | None, str | None]:
    """Return the user id and the address of an event; a guest's id is not one of a user."""
    user_id, user = identifier_text(told.get("user_id")), entity(told, _USER)
    if not user_id and not flag(user.get("is_guest")):
        user_id = identifier_text(user.get("id"))
    return user_id, identifier_text(user.get("email"))


def _channel(told: Told, kind: Kind, *, has_device: bool) -> Channel:
    known = _CHANNEL_OF.get(text(told.get("platform")) or "")
    if known is not None:
        return known
    if kind in CHANNEL_OF_KIND:
        return CHANNEL_OF_KIND[kind]
    return "web" if has_device or told.get("page_url") else "server"


def _query(body: Told) -> str:
    terms = body.get("terms")
    words = terms if isinstance(terms, list) else [terms]
    return text(" ".join([word for word in map(text, words) if word])) or ""


def _happened_at(told: Told, reading: Reading) -> int:
    """Settle when an event happened, in ms: the true time, the derived one, or as Snowplow derives it.

    Raises:
        Unusable: `bad_time`, where there is no usable time or it is out of bounds.
    """
    received = _instant(told.get("collector_tstamp"))
    at = _instant(told.get("true_tstamp"))
    if at is None:
        at = _instant(told.get("derived_tstamp"))
    if at is None:
        created, sent = _instant(told.get("dvce_created_tstamp")), _instant(told.get("dvce_sent_tstamp"))
        if created is not None and sent is not None and received is not None:
            at = received - (sent - created)
        else:
            at = next((one for one in (created, sent, received) if one is not None), None)
    if at is None:
        raise Unusable("bad_time", "no field of the record holds a timestamp")
    return settled(at, reading.read_at if received is None else received, reading)


def _instant(told: object) -> int | None:
    if isinstance(told, str):
        shown: datetime | None = moment(told)
        return None if shown is None else milliseconds(shown - EPOCH)
    number = amount(told)
    return None if number is None else int(number)
