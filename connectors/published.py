"""What a run has published, read back: of a folder that a run on files has written.

Of a whole stream only what names somebody is decoded: ids stand in a record as JSON has them, so the others are told
by their bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from connectors.cloudevents import STREAMS
from connectors.file_source import SourceError


class Published(NamedTuple):
    """A record: the type of its CloudEvent, and its data as JSON."""

    type: str
    data: bytes | msgspec.Raw


class _Line(msgspec.Struct):
    type: str
    data: msgspec.Raw


_decode: Final = msgspec.json.Decoder(_Line).decode


def needles(ids: Collection[str]) -> list[bytes]:
    """Return what a record has in it that names one of `ids`."""
    return [msgspec.json.encode(id_) for id_ in ids]


class PublishedFolder:
    """The streams of a folder."""

    def __init__(self, folder: Path) -> None:
        """Look where the files end now: what comes later is not read.

        Raises:
            SourceError: none of them is there.
        """
        self.name = str(folder)
        self._sizes = {
            path: path.stat().st_size for stream in STREAMS if (path := folder / f"{stream}.jsonl").is_file()
        }
        if not self._sizes:
            raise SourceError(
                f"{folder}: no file of a run is there; name the folder that `nextmove run --out` has written"
            )
        self._folder = folder

    def told(self, stream: str, ids: Collection[str] | None, since: int | None = None) -> Iterator[Published]:  # noqa: ARG002 -- files know no time but that of their records
        """Return the records of a stream that name any of `ids`, None for all, in their order.

        Raises:
            SourceError: a line is no CloudEvent.
        """
        path, wanted = self._folder / f"{stream}.jsonl", None if ids is None else needles(ids)
        if path not in self._sizes:
            return
        with path.open("rb") as file:
            # A run that goes on may have written half of the last line.
            while file.tell() < self._sizes[path] and (line := file.readline()).endswith(b"\n"):
                if wanted is not None and not any(needle in line for needle in wanted):
                    continue
                try:
                    event = _decode(line)
                except msgspec.DecodeError as error:
                    raise SourceError(f"{path}: a line ending at byte {file.tell()} is no record: {error}") from None
                yield Published(event.type, event.data)
