"""The AsyncAPI 3 document of what is published to Kafka, and the page about it: both made of contracts and topics.

`python -m connectors.asyncapi` writes them, and the schemas that they refer to.
The examples in it are records of a real run, which tests/contracts/make.py has written to config/schemas/examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from connectors.cloudevents import NAMESPACE, STREAMS, dataschema, schema_name
from connectors.contracts import CONTRACTS, Contract
from connectors.kafka_topics import Topic, output_topics
from connectors.schemas import encoded, schemas

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "config" / "schemas"
EXAMPLES: Final = FOLDER / "examples"
PREFIX: Final = "cx."
_BINDING: Final = "0.5.0"
"""Version of AsyncAPI's words for Kafka."""


class Said(NamedTuple):
    """What a stream is, and by what its records are keyed."""

    what: str
    key: str = "profile id"


SAID: Final[Mapping[str, Said]] = {
    "sessions": Said("Visits as they close; of a `session_id` the highest `revision` counts."),
    "calls": Said("Telephone calls as they close; of a `call_id` the highest `revision` counts."),
    "carts": Said("Carts at each change of state; of a `cart_id` the highest `revision` counts."),
    "triggers": Said(
        "Next best actions, and what takes them back, a topic for each family. Act on each `trigger_id` once, from"
        " `not_before` on and before `expires_at`."
    ),
    "suppressed": Said("Decisions not to act, each with its one reason."),
    "attribution": Said("Which trigger has brought an order; of an `order_id` the latest `touched_at` counts."),
    "identity": Said("What was linked to whom, what that brought along, and what was refused and why."),
    "profiles": Said("Last words on profiles: expired ones, and a tombstone for each that was erased."),
    "answers": Said("Answers to requests about somebody's data.", "profile id, else the request's id"),
    "dead_letters": Said("What could not be read or came too late, and that it was fed back.", "where the record lay"),
}
"""By stream."""


def document() -> dict[str, Any]:
    """Return the AsyncAPI document, with references to the schemas beside it."""
    prefix = {"default": PREFIX, "description": "The setting `kafka.prefix`."}
    channels, operations = dict[str, Any](), dict[str, Any]()
    for stream, topic in output_topics("{prefix}").items():
        name, kind = stream.replace(".", "_"), stream.partition(".")[0]
        refs = {_key(one): {"$ref": f"#/components/messages/{_key(one)}"} for one in CONTRACTS if one.stream == kind}
        channels[name] = {
            "address": topic.name,
            "description": SAID[kind].what,
            "parameters": {"prefix": prefix},
            "messages": refs,
            "bindings": {"kafka": {"topicConfiguration": _cleanup(topic), "bindingVersion": _BINDING}},
        }
        operations[f"publish_{name}"] = {"action": "send", "channel": {"$ref": f"#/channels/{name}"}}
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "servers": {name: _SERVER | {"protocol": name} for name in ("kafka", "kafka-secure")},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {_key(one): _message(one) for one in CONTRACTS},
            "schemas": {"attributes": _attributes()},
        },
    }


_INFO: Final[dict[str, Any]] = {
    "title": "nextmove",
    "version": "1.0.0",
    "description": (
        "What nextmove publishes: CloudEvents 1.0 in Kafka's binary mode, attributes in headers, the record as value.\n"
        "Fields may be added at any time, and new types to a topic: ignore what you do not know. Any other change is a"
        " `v2` on a topic of its own.\nWithout Kafka the same records are JSON Lines of CloudEvents in structured mode."
    ),
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}
_SERVER: Final[dict[str, Any]] = {
    "host": "{brokers}",
    "description": "The brokers of the setting `kafka.servers`; `kafka-secure` with TLS or SASL, by `kafka.client`.",
    "variables": {"brokers": {"default": "localhost:9092", "description": "host:port of any of them."}},
}


def _cleanup(topic: Topic) -> dict[str, Any]:
    return {"cleanup.policy": ["compact" if topic.is_compacted else "delete"]}


def _key(contract: Contract) -> str:
    """Return the name of a message in the document, where dots are not allowed."""
    return contract.name.replace(".", "_")


def _message(contract: Contract) -> dict[str, Any]:
    headers: dict[str, Any] = {"ce_dataschema": {"const": dataschema(contract.type)}}
    if "{" in contract.type:
        first, _, last = contract.type.partition("{action}")
        headers["ce_type"] = {"type": "string", "pattern": f"^{first}.+{last}$".replace(".v", r"\.v")}
    else:
        headers["ce_type"] = {"const": contract.type}
    required = ["ce_type", "ce_dataschema"]
    if contract.stream == "triggers":
        when = "From this instant on the trigger is no longer to be acted upon."
        headers["ce_expirytime"] = {"type": "string", "format": "date-time", "description": when}
        group = "The key group that decided, a number: for nextmove itself."
        headers["nextmove-group"] = {"type": "string", "pattern": r"^-?\d+$", "description": group}
        required += ["ce_expirytime", "nextmove-group"]
    of_all = [{"$ref": "#/components/schemas/attributes"}]
    key = {"type": "string", "description": f"The {SAID[contract.stream].key}."}
    return {
        "name": contract.type,
        "title": contract.name,
        "headers": {"type": "object", "allOf": of_all, "properties": headers, "required": required},
        "payload": {"type": "null"} if contract.is_tombstone else {"$ref": f"./{contract.name}.json"},
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING}},
        "examples": [_example(event, contract) for event in examples(contract)],
    }


def _attributes() -> dict[str, Any]:
    """Return the schema of the headers that every message has."""
    told: dict[str, dict[str, Any]] = {
        "content-type": {"const": "application/json"},
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"minLength": 1, "description": "With ce_source unique: what comes twice is one."},
        "ce_source": {"format": "uri-reference", "description": "The setting `output.source`."},
        "ce_subject": {"description": "Whom or what it is about; the key."},
        "ce_partitionkey": {"description": "The same."},
        "ce_time": {"format": "date-time", "description": "When what it tells of happened."},
    }
    properties = {name: {"type": "string"} | schema for name, schema in told.items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def examples(contract: Contract) -> list[dict[str, Any]]:
    """Return the CloudEvents of a contract that are examples, by their types."""
    files = sorted(EXAMPLES.glob("*.json"))
    return [msgspec.json.decode(path.read_bytes()) for path in files if schema_name(path.stem) == contract.name]


def _example(event: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """Return a CloudEvent as a message."""
    data, subject = event["data"], event["subject"]
    headers = {"content-type": event["datacontenttype"]}
    names = ("specversion", "id", "source", "type", "dataschema", "subject", "time")
    headers |= {f"ce_{name}": event[name] for name in names} | {"ce_partitionkey": subject}
    if contract.stream == "triggers":
        headers |= {"ce_expirytime": data["expires_at"], "nextmove-group": "0"}
    name = event["type"].removeprefix(NAMESPACE)
    return {"name": name, "headers": headers, "payload": None if contract.is_tombstone else data}


def page() -> str:
    """Return docs/reference/records.md."""
    topics = output_topics(PREFIX)
    lines = [_HEAD, "| stream, file | topic | key | what it is |", "|---|---|---|---|"]
    for stream in STREAMS:
        names = [topic.name for name, topic in topics.items() if name.partition(".")[0] == stream]
        compacted = ", compacted" if topics.get(stream, Topic("", is_compacted=False)).is_compacted else ""
        shown = " ".join(f"`{name}`" for name in names)
        lines.append(f"| `{stream}.jsonl` | {shown}{compacted} | {SAID[stream].key} | {SAID[stream].what} |")
    lines += ["", "| type, after `io.nextmove.` | stream | schema |", "|---|---|---|"]
    for contract in CONTRACTS:
        file = f"[{contract.name}](../../config/schemas/{contract.name}.json)"
        lines.append(f"| `{contract.type.removeprefix(NAMESPACE)}` | {contract.stream} | {file} |")
    return "\n".join(lines) + "\n"


_HEAD: Final = """\
# Records

What is published, made by `python -m connectors.asyncapi` of `connectors/contracts.py`. Each is a CloudEvent 1.0: on
Kafka in binary mode (attributes in `ce_` headers, the record as value, an empty value for a tombstone), in files in
structured mode, a line each. `ce_dataschema` names the schema: `urn:nextmove:NAME` is `config/schemas/NAME.json`, JSON
Schema 2020-12, with every field described. [asyncapi.yaml](../../config/schemas/asyncapi.yaml) tells the same to tools,
with examples of a real run, which also lie in [examples](../../config/schemas/examples/). How to read triggers, with
complete programs: [subscribers](../how-to/subscribers.md).

- A record may come twice, after a crash of nextmove or of yours: `ce_source` and `ce_id` are then the same.
- Fields are added within `v1`, and types to a topic: ignore what you do not know. Any other change is a `v2`, with a
  topic of its own, published beside this one.
- Actions are configured, so `{action}` is any word.
"""


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice: not all that reads YAML for AsyncAPI follows aliases."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _yaml(told: dict[str, Any]) -> bytes:
    return yaml.dump(told, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120).encode()


def files() -> dict[Path, bytes]:
    """Return what is written, and where."""
    made = {FOLDER / f"{name}.json": encoded(schema) for name, schema in schemas().items()}
    made[FOLDER / "asyncapi.yaml"] = _yaml(document())
    made[ROOT / "docs" / "reference" / "records.md"] = page().encode()
    return made


def write() -> None:
    """Write all of it."""
    for path, content in files().items():
        path.write_bytes(content)


if __name__ == "__main__":
    write()
