"""Snowplow's enriched events as lines of 131 columns, to objects of the same names.

The objects are those that Snowplow's analytics SDKs make of such a line, save that self-describing JSON is still text
(`snowplow_entities.py` reads it). Sources: Snowplow's canonical event model; snowplow_analytics_sdk 0.2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from math import isfinite
from typing import Any, Final

from connectors.formats.common import Unusable
from operators.rejected import Reason

TABS_MIN: Final = 20
"""Tabs that make a text an enriched event, whole or not. No other format that is read here has that many."""

_DIGITS_MAX: Final = 18
"""Digits of a number that surely has 64 bits at most."""

_INDENT_MAX: Final = 64  # white space before JSON

# In the order of the columns; what follows a name's colon is the type of its values, of texts nothing.
_COLUMNS: Final = """
app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id:int name_tracker
v_tracker v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx:int network_userid
geo_country geo_region geo_city geo_zipcode geo_latitude:float geo_longitude:float geo_region_name ip_isp
ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost page_urlport:int
page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport:int refr_urlpath refr_urlquery
refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source mkt_term mkt_content mkt_campaign contexts
se_category se_action se_label se_property se_value unstruct_event tr_orderid tr_affiliation tr_total:float tr_tax:float
tr_shipping:float tr_city tr_state tr_country ti_orderid ti_sku ti_name ti_category ti_price:float ti_quantity:int
pp_xoffset_min:int pp_xoffset_max:int pp_yoffset_min:int pp_yoffset_max:int useragent br_name br_family br_version
br_type br_renderengine br_lang br_features_pdf:flag br_features_flash:flag br_features_java:flag
br_features_director:flag br_features_quicktime:flag br_features_realplayer:flag br_features_windowsmedia:flag
br_features_gears:flag br_features_silverlight:flag br_cookies:flag br_colordepth br_viewwidth:int br_viewheight:int
os_name os_family os_manufacturer os_timezone dvce_type dvce_ismobile:flag dvce_screenwidth:int dvce_screenheight:int
doc_charset doc_width:int doc_height:int tr_currency tr_total_base:float tr_tax_base:float tr_shipping_base:float
ti_currency ti_price_base:float base_currency geo_timezone mkt_clickid mkt_network etl_tags dvce_sent_tstamp
refr_domain_userid refr_device_tstamp derived_contexts domain_sessionid derived_tstamp event_vendor event_name
event_format event_version event_fingerprint true_tstamp
""".split()  # noqa: SIM905 -- a list would have 131 lines


def _whole(told: str) -> int | str:
    return int(told) if len(told) <= _DIGITS_MAX and told.removeprefix("-").isdecimal() else told


def _decimal(told: str) -> float | str:
    try:
        number = float(told)
    except ValueError:
        return told
    return number if isfinite(number) else told


def _flag(told: str) -> bool | str:
    return {"1": True, "0": False}.get(told, told)


_CONVERT: Final[dict[str, Callable[[str], Any]]] = {"int": _whole, "float": _decimal, "flag": _flag}

NAMES: Final = tuple([column.partition(":")[0] for column in _COLUMNS])
"""The names of the columns, in their order."""
assert len(NAMES) == 131, "as many as Snowplow's model has"

_TYPED: Final = tuple(
    [(name, _CONVERT[type_]) for name, _, type_ in [column.partition(":") for column in _COLUMNS] if type_ in _CONVERT]
)
_CLOCKS: Final = tuple([name for name in NAMES if name.endswith("_tstamp")])


def claims_text(raw: bytes) -> bool:
    """Tell whether a record is an enriched event, or what is left of one; JSON may be indented with tabs."""
    return raw.count(b"\t") >= TABS_MIN and raw[:_INDENT_MAX].lstrip()[:1] not in (b"{", b"[")


def told_of(raw: bytes) -> dict[str, Any]:
    """Return the columns of an enriched event that are not empty, by their names.

    Raises:
        Unusable: `missing_field` and `wrong_type`, where there are fewer and more columns than 131.
    """
    try:
        fields = raw.decode().rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        raise Unusable("not_json", "the bytes are not valid UTF-8") from None
    if len(fields) != len(NAMES):
        reason: Reason = "missing_field" if len(fields) < len(NAMES) else "wrong_type"
        raise Unusable(reason, f"{len(fields)} fields, and an enriched event of Snowplow has {len(NAMES)}")
    told: dict[str, Any] = dict(compress(zip(NAMES, fields, strict=True), fields))
    for name in _CLOCKS:
        if name in told:
            told[name] = told[name].replace(" ", "T") + "Z"
    return typed(told)


def typed(told: dict[str, Any]) -> dict[str, Any]:
    """Put numbers and flags in place of their texts, in the object given; a text that is none of its type stays."""
    for name, convert in _TYPED:
        if name in told and isinstance(told[name], str):
            told[name] = convert(told[name])
    return told
