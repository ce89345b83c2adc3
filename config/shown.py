"""What people may see of a setting: one short line, of an address no login, of a secret nothing."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Final

# Of a wrong value this many characters are enough to find it by.
SHOWN_MAX: Final = 60

MASK: Final = "***"
"""What stands for a secret. It is no value: `load` refuses it."""

# By name: ours, and librdkafka's (`ssl.key.password`, `sasl.oauthbearer.client.secret`, `ssl.key.pem`).
_SECRET: Final = re.compile(r"password|passphrase|secret|\.pem$|jaas\.config$")

# From // to the last @, for passwords have slashes; but unix:///run/redis@1.sock has no login.
_LOGIN: Final = re.compile(r"://(?!/).*@", re.DOTALL)
_MASKED_LOGIN: Final = f"://{MASK}@"


def is_secret(key: str) -> bool:
    """Tell whether a setting holds a secret, by its name."""
    return _SECRET.search(key) is not None


def has_login(key: str) -> bool:
    """Tell whether a setting is an address, which may have a login in it, by its name."""
    return key.endswith("url")


def masked(key: str, value: object) -> object:
    """Return what may be seen of a setting's value; that a secret is empty may be."""
    if isinstance(value, dict):
        return {name: masked(name, one) for name, one in value.items()}
    if is_secret(key) and value != "":
        return MASK
    if has_login(key) and isinstance(value, str):
        return _LOGIN.sub(_MASKED_LOGIN, value)
    return value


def is_masked(key: str, value: object) -> bool:
    """Tell whether a setting's value is what `masked` put there."""
    if isinstance(value, dict):
        return any(is_masked(name, one) for name, one in value.items())
    if is_secret(key):
        return value == MASK
    return has_login(key) and isinstance(value, str) and _MASKED_LOGIN in value


def shown(raw: object) -> str:
    """Show what a file says on one short line."""
    match raw:
        case None:
            return "empty"
        case bool():
            return "true" if raw else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list" if raw else "an empty list"
        case str() if raw.isprintable() and raw == raw.strip() and 0 < len(raw) <= SHOWN_MAX:
            return raw
        case int() | float():
            return str(raw)
        case _:
            return reprlib.repr(raw)


def unknown(what: str, word: object, known: Iterable[str]) -> str:
    """Say that there is no such word, and which was probably meant: the nearest, else all."""
    names = sorted(known) if isinstance(known, frozenset) else list(known)
    near = difflib.get_close_matches(str(word), names, n=1)
    return f"unknown {what} {shown(word)}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}")
