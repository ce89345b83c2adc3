"""Which version of nextmove this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Return the version that is installed, or say that none is."""
    try:
        return version("nextmove")
    except PackageNotFoundError:
        return "of a checkout that is not installed"
