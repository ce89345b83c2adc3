"""One file a format: pure functions from bytes to an event or a rejection."""

from connectors.formats.decoding import Decoded, decode_batch, event_times
from connectors.formats.others import Format

__all__ = ["Decoded", "Format", "decode_batch", "event_times"]
