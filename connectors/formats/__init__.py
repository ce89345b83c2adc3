"""One file a format: pure functions from bytes to an event or a rejection."""

from connectors.formats.decoding import Decoded, Format, decode_batch, event_times

__all__ = ["Decoded", "Format", "decode_batch", "event_times"]
