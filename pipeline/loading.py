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
    source = settings.source
    where = path or "the environment"
    for name in source.mappings:
        if name in FORMATS:
            raise ConfigError(f"{where}: source.mappings.{name} has the name of a format; give it another")
    named = {"source.format": source.format} | {f"source.formats.{one}": source.formats[one] for one in source.formats}
    for key, name in named.items():
        if name not in FORMATS and name not in source.mappings:
            raise ConfigError(f"{where}: {key}: {unknown_format(name, settings)}")
    return settings


def unknown_format(name: str, settings: Settings) -> str:
    """Say that there is no such format, and which one was probably meant."""
    known = [*FORMATS, *settings.source.mappings]
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown format {name}; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}")
