"""What Snowplow's trackers post to a collector: `payload_data`, events in short names, made objects of long ones.

Sources: Snowplow's tracker protocol; Iglu Central's schema of `payload_data` 1-0-4; the trackers of PyPI and npm.
No enrichment has seen such an event: of what Snowplow's do, only the campaign is read from the page's URL.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from connectors.formats.common import Unusable
from connectors.formats.snowplow_columns import typed

Told = dict[str, Any]

_TYPES: Final = {
    "pv": "page_view",
    "pp": "page_ping",
    "se": "struct",
    "ue": "unstruct",
    "tr": "transaction",
    "ti": "transaction_item",
}

_NAMES: Final = {
    "aid": "app_id",
    "p": "platform",
    "dtm": "dvce_created_tstamp",
    "stm": "dvce_sent_tstamp",
    "ttm": "true_tstamp",
    "eid": "event_id",
    "tid": "txn_id",
    "tna": "name_tracker",
    "tv": "v_tracker",
    "uid": "user_id",
    "ip": "user_ipaddress",
    "fp": "user_fingerprint",
    "duid": "domain_userid",
    "vid": "domain_sessionidx",
    "sid": "domain_sessionid",
    "nuid": "network_userid",
    "tnuid": "network_userid",  # what the tracker says of it outranks the collector's cookie
    "url": "page_url",
    "page": "page_title",
    "refr": "page_referrer",
    "ua": "useragent",
    "lang": "br_lang",
    "cd": "br_colordepth",
    "cookie": "br_cookies",
    "cs": "doc_charset",
    "tz": "os_timezone",
    "se_ca": "se_category",
    "se_ac": "se_action",
    "se_la": "se_label",
    "se_pr": "se_property",
    "se_va": "se_value",
    "tr_id": "tr_orderid",
    "tr_af": "tr_affiliation",
    "tr_tt": "tr_total",
    "tr_tx": "tr_tax",
    "tr_sh": "tr_shipping",
    "tr_ci": "tr_city",
    "tr_st": "tr_state",
    "tr_co": "tr_country",
    "tr_cu": "tr_currency",
    "ti_id": "ti_orderid",
    "ti_sk": "ti_sku",
    "ti_nm": "ti_name",
    "ti_na": "ti_name",
    "ti_ca": "ti_category",
    "ti_pr": "ti_price",
    "ti_qu": "ti_quantity",
    "ti_cu": "ti_currency",
    "pp_mix": "pp_xoffset_min",
    "pp_max": "pp_xoffset_max",
    "pp_miy": "pp_yoffset_min",
    "pp_may": "pp_yoffset_max",
    "ue_pr": "unstruct_event",
    "co": "contexts",
}
_ENCODED: Final = {"ue_px": "unstruct_event", "cx": "contexts"}
_CLOCKS: Final = ("dvce_created_tstamp", "dvce_sent_tstamp", "true_tstamp")
_CAMPAIGN: Final = {
    "utm_medium": "mkt_medium",
    "utm_source": "mkt_source",
    "utm_term": "mkt_term",
    "utm_content": "mkt_content",
    "utm_campaign": "mkt_campaign",
}
_QUERY_FIELDS_MAX: Final = 100  # of a page's URL; a campaign has five


def claims(told: Told) -> bool:
    """Tell whether an object is what a tracker posts: events in an envelope."""
    schema = told.get("schema")
    return isinstance(schema, str) and "/payload_data/" in schema and isinstance(told.get("data"), list)


def parts(told: Told, _: str) -> tuple[str, list[Any]]:
    """Return the format of what is in the envelope, and that."""
    return "snowplow", told["data"]


def is_short(told: Told) -> bool:
    """Tell whether an object is an event as trackers post it."""
    return isinstance(told.get("e"), str) and ("tv" in told or "p" in told)


def long(told: Told) -> Told:
    """Return an event under the names that it has when it is enriched; unknown fields keep theirs.

    Raises:
        Unusable: `wrong_type`, for what should be base64 and is none.
    """
    event = told["e"]
    found: Told = {"event": _TYPES.get(event, event)}
    for name, value in told.items():
        if name in _ENCODED:
            found[_ENCODED[name]] = _decoded(value, name)
        elif name != "e" and value not in ("", None):
            found[_NAMES.get(name, name)] = value
    for name in _CLOCKS:
        if isinstance(found.get(name), str) and found[name].isdecimal():
            found[name] = int(found[name][:_CLOCK_DIGITS_MAX])
    url = found.get("page_url")
    if isinstance(url, str) and "utm_" in url:
        for name, value in _query(url):
            if name in _CAMPAIGN:
                found.setdefault(_CAMPAIGN[name], value)
    return typed(found)


_CLOCK_DIGITS_MAX: Final = 18  # of ms since the epoch; more is broken, and so are the first 18


def _decoded(value: object, name: str) -> str:
    """Return what trackers encode as base64, of either alphabet, padded or not."""
    if isinstance(value, str):
        told = value.replace("+", "-").replace("/", "_").rstrip("=")
        try:
            return b64decode(told + "=" * (-len(told) % 4), altchars=b"-_", validate=True).decode()
        except ValueError:
            pass
    raise Unusable("wrong_type", f"`{name}` is not base64")


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, max_num_fields=_QUERY_FIELDS_MAX, errors="replace")
    except ValueError:
        return []
