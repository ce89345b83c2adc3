"""Where the fields of a call lie in the row that `msgspec.structs.astuple` gives of it.

One call for a row and an index for each field cost compiled code less than fifteen attributes;
for the structs inside a call, of which it needs few fields, they do not.
"""

from __future__ import annotations

from typing import Final

from connectors.formats.segment_call import Call

_in_call: Final = Call.__struct_fields__.index
MESSAGE_ID: Final = _in_call("message_id")
TYPE: Final = _in_call("type")
TIMESTAMP: Final = _in_call("timestamp")
RECEIVED_AT: Final = _in_call("received_at")
ANONYMOUS_ID: Final = _in_call("anonymous_id")
CHANNEL: Final = _in_call("channel")
EVENT: Final = _in_call("event")
NAME: Final = _in_call("name")
PROPERTIES: Final = _in_call("properties")
CONTEXT: Final = _in_call("context")
USER_ID: Final = _in_call("user_id")
TRAITS: Final = _in_call("traits")
SENT_AT: Final = _in_call("sent_at")
ORIGINAL_TIMESTAMP: Final = _in_call("original_timestamp")
PREVIOUS_ID: Final = _in_call("previous_id")
