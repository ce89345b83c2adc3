"""Settings as every command loads them: what `config` knows to be right, and formats that there are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from config.load import ConfigError
from config.load import load as load_settings
from config.settings import Settings
from connectors.formats.others import FORMATS


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings as `config.load` does, and look whether every format that they name is one.

    Raises:
        ConfigError: as `config.load` does; a format is no format of ours and no mapping, or a mapping has the name of
            one of ours.
    """
    settings = load_settings(path, environ)
    source, said = settings.source, environ or {}

    def place(key: str) -> str:
        name = f"NEXTMOVE_SOURCE_{key}"
        return f"{name} in the environment" if name in said or f"{name}_FILE" in said else str(path)

    for name in source.mappings:
        if name in FORMATS:
            raise ConfigError(f"{place('MAPPINGS')}: source.mappings.{name} has the name of a format; give it another")
    _refuse_unknown(source.format, "source.format", place("FORMAT"), settings)
    for topic, name in source.formats.items():
        _refuse_unknown(name, f"source.formats.{topic}", place("FORMATS"), settings)
    return settings


def _refuse_unknown(name: str, key: str, where: str, settings: Settings) -> None:
    if name not in FORMATS and name not in settings.source.mappings:
        raise ConfigError(f"{where}: {key}: {unknown_format(name, settings)}")


def unknown_format(name: str, settings: Settings) -> str:
    """Say that there is no such format, and which one was probably meant."""
    known = [*FORMATS, *settings.source.mappings]
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown format {name}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")
