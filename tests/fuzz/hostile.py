"""
Values that break readers: each has broken one somewhere, or lies just past a limit.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
"""A value of JSON, and what stands in for one that no encoder writes."""

CANARY: Final = "kanari.enton@vogel.example"
"""An address that no dead letter may repeat in what it says of a record."""

TEXTS: Final = (
    *("", " ", "\x00", "\t", "\r\n\r\n", "\n", "\\", '"', "'", "{", "[", '{"a":', "[1,", "null", "true", "undefined"),
    *("NaN", "Infinity", "-Infinity", "1e999", "-1", "-0", "0x10", "1_000", "1,5", "²", "٣", "½", "0", "1", "9" * 40),
    *("9" * 300, "x" * 256, "x" * 257, "x" * 1024, "x" * 1025, "x" * 9000, "ä" * 600, "\U0001f600" * 300),
    *("\ud800", "a\udfff", "\udcff", "\u202e", "\ufeff", "\u200b", "İ", "ß", "ǰ", "e\u0301", "\x7f", "\x85"),
    *(
        CANARY,
        "ann@example.org",
        "@",
        "a@",
        "@b",
        "a@b",
        "a@b@c.de",
        "a@ä.example",
        "a@xn--",
        "a@xn--a.b",
        "a@" + "ä" * 80,
    ),
    *(
        "a@b." + "c" * 250,
        "ann@localhost",
        "Ann <ann@example.org>",
        "mailto:ann@example.org",
        '"a b"@c.de',
        "a@[1.2.3.4]",
    ),
    *("+4915112345678", "+49", "+", "0", "0151 23456789", "+1" + "2" * 30, "tel:+4915112345678", "anonymous", "+٤٩١٥١"),
    *(
        "sip:",
        "sip:a@b;",
        "sips:%00@",
        "<sip:2001@pbx>;tag=1",
        "client:bob",
        "whatsapp:+4915112345678",
        "SIP/2001-0001",
    ),
    *("2026-11-21T10:00:00Z", "2026-11-21", "20261121", "2026-13-45T25:61:00Z", "0001-01-01T00:00:00+14:00", "2026"),
    *("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999999Z", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z"),
    *("2026-11-21T10:00:60Z", "2026-11-21T10:00:00+99:99", "2026-W47-6", "2026-11-21 10:00:00.000", "-2026-11-21"),
    *("Sat, 21 Nov 2026 10:00:42 +0000", "Sat, 21 Nov 99999 10:00:42 +9999", "Sat, 32 Foo 2026", "10:00", "T"),
    *("1795255200", "1795255200.123", "1795255200123", "1795255200123456", "1e18", "-1795255200", "1" * 22),
    *(
        "e30=",
        "e30",
        "bnVsbA==",
        "W10=",
        "/w==",
        "%",
        "%zz",
        "a=b&c=d",
        "?a&&=",
        "http://[",
        "http://a:b/",
        "//",
        "a:b:c",
    ),
    *(
        "users.x",
        "v2.a.b",
        "arn:",
        "iglu:a/b/c/1-0-0",
        "iglu:a/b/jsonschema/0-0-0",
        "guest",
        "null",
        "undefined",
        "0" * 36,
    ),
    *("track", "page", "merge", "$identify", "$create_alias", "completed", "Hangup", "CHANNEL_HANGUP", "dialog_end"),
)
"""Texts that are nearly what a field holds, or nothing at all."""

NUMBERS: Final = (
    *(0, 1, -1, 2, 16, 255, -(2**31), 2**31, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**19),
    *(10**30, 10**300, 10**400, 0.0, -0.0, 0.1, 1.5, -2.5, 1e15, 1.1e15, 1e17, 1e18, 1e22, 1e300, 5e-324, 1.7e308),
    *(
        1795255200,
        1795255200.12,
        1795255200123,
        1795255200123456,
        946684799999,
        4102444800000,
        4102444800001,
        253402300800,
    ),
)

RAW: Final = {
    "{1}": b"1e999",
    "{2}": b"-1e999",
    "{3}": b"NaN",
    "{4}": b"-Infinity",
    "{5}": b"1" * 5000,
    "{6}": b"[" * 90 + b"]" * 90,
    "{7}": b'{"a":' * 300 + b"1" + b"}" * 300,
    "{8}": b"[" * 1100 + b"]" * 1100,
    "{9}": b"[" * 30_000 + b"]" * 30_000,
    "{10}": b'{"a":1,"a":null}',
    "{11}": b'"\\ud800"',
    "{12}": b'"\\ude00\\ud83d"',
    "{13}": b'"\xff\xfe"',
    "{14}": b'"\xed\xa0\x80"',
    "{15}": b"01",
    "{16}": b'"\\x"',
    "{17}": b'"' + b"y" * 70_000 + b'"',
    "{18}": b"0." + b"1" * 900,
    "{19}": b"9" * 5 + b"e" + b"9" * 9,
    "{20}": b"[{}" + b",{}" * 5_000 + b"]",
    "{21}": b"-",
    "{22}": b'"\\u0000"',
}
"""What no encoder writes, by the text that stands in for it until the record is one of bytes."""

DEEP: Final[tuple[Json, ...]] = (
    *([], {}, [None], [[]], [[[]]], [{}], [1, "a", None, {}], {"": None}, {"a": {"b": {"c": {"d": {}}}}}, ["x"] * 300),
    *(
        {"value": 1},
        {"string_value": "x"},
        [{"key": "a", "value": {}}],
        {"data": {"data": {"data": None}}},
        [[{}], [{}]],
    ),
    *({"schema": "iglu:a/b/jsonschema/1-0-0", "data": {}}, {"email": True}, {str(n): n for n in range(120)}),
)
"""Where a text or number was expected."""

PIECES: Final = (
    *(
        b"",
        b"\x00",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b"%",
    ),
    *(
        b'"',
        b'\\"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"=",
        b"&",
        b"+",
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b"0",
    ),
    *(
        b"-1",
        b"1e999",
        b"\\u0000",
        b"\\ud800",
        b"%00",
        b"%ff",
        b"x" * 300,
        b"9" * 40,
        b"2026-11-21T10:00:00Z",
        b"\xd9\xa3",
    ),
)
"""What is put into bytes."""
