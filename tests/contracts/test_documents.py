"""
The examples and the AsyncAPI document that subscribers are given.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Final, get_args

import pytest
from jsonschema_rs import Draft202012Validator

from connectors.asyncapi import EXAMPLES, FOLDER, SAID, document
from connectors.asyncapi import examples as examples_of
from connectors.cloudevents import STREAMS
from connectors.contracts import CONTRACTS, Contract
from operators.trigger import Suppression
from tests.contracts.make import examples
from tests.journeys import book
from tests.records import check
from tests.sdk.node import node, node_modules

HERE: Final = Path(__file__).parent
ERROR, WARNING = 0, 1


def test_examples_are_what_a_run_gives_today() -> None:
    """
    Files of `python -m tests.contracts.make`, no more and no fewer.
    """
    assert {path.stem: json.loads(path.read_bytes()) for path in EXAMPLES.glob("*")} == examples()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_everything_has_an_example(contract: Contract) -> None:
    """
    Of a real run, as its schema says.
    """
    found = examples_of(contract)
    assert found
    for event in found:
        check(event["type"], event["dataschema"], event["data"])


def test_each_action_that_ships_has_an_example() -> None:
    """
    All triggers have one schema, and each its own context.
    """
    given = {path.stem.split(".")[1] for path in EXAMPLES.glob("nba.*")}
    assert given >= {rule.action for rule in book().rules.values()}


def test_each_reason_not_to_act_has_an_example() -> None:
    """
    Each of the closed set.
    """
    given = {json.loads(path.read_bytes())["data"]["reason"] for path in EXAMPLES.glob("suppressed.*")}
    assert given == {*get_args(Suppression)}


def test_each_stream_has_its_channels() -> None:
    """
    With all messages that can be on them, and each message is on one.
    """
    told = document()
    assert SAID.keys() == {*STREAMS}
    assert {name.partition("_")[0] for name in told["channels"]} == {name.partition("_")[0] for name in STREAMS}
    on_any = {name for channel in told["channels"].values() for name in channel["messages"]}
    assert on_any == told["components"]["messages"].keys()
    assert all(channel["messages"] for channel in told["channels"].values())
    compacted = [name for name, one in told["channels"].items() if "compact" in json.dumps(one["bindings"])]
    assert compacted == ["profiles"]


def test_examples_are_as_their_messages_say() -> None:
    """
    Headers and payload, which the parser leaves to others; one header less is a fault.
    """
    told = document()
    for message in told["components"]["messages"].values():
        headers = message["headers"] | {"components": told["components"]}
        validator = Draft202012Validator(headers, validate_formats=True)
        for example in message["examples"]:
            validator.validate(example["headers"])
            assert not validator.is_valid(example["headers"] | {"ce_time": "noon"})
            for name in example["headers"]:
                assert not validator.is_valid({key: one for key, one in example["headers"].items() if key != name})
            if message["payload"] == {"type": "null"}:
                assert example["payload"] is None
            else:
                type_, schema = example["headers"]["ce_type"], example["headers"]["ce_dataschema"]
                assert message["payload"] == {"$ref": f"./{schema.removeprefix('urn:nextmove:')}.json"}
                check(type_, schema, example["payload"])


FAULTS: Final = (
    ("asyncapi.yaml", "action: send", "action: shout", "action"),
    ("asyncapi.yaml", "$ref: '#/channels/carts'", "$ref: '#/channels/charts'", "charts"),
    ("asyncapi.yaml", "./trigger.v1.json", "./trigger.v9.json", "trigger.v9.json"),
    ("trigger.v1.json", '"type": "array"', '"type": "arrow"', "type"),
)
"""In which file, what is there, what instead, and what the parser then speaks of."""


def test_the_public_parser_takes_the_document(say: Callable[[str], None], tmp_path: Path) -> None:
    """
    With the schemas that it refers to: no error and no warning. It does look: faults in the document and in the files
    of the schemas are found.
    """
    spoilt = []
    for number, (name, right, wrong, _) in enumerate(FAULTS):
        folder = tmp_path / str(number)
        copytree(FOLDER, folder)
        text = (folder / name).read_text()
        assert right in text
        (folder / name).write_text(text.replace(right, wrong))
        spoilt.append(folder / "asyncapi.yaml")
    command = [node(), str(HERE / "parse.cjs"), str(FOLDER / "asyncapi.yaml"), *map(str, spoilt)]
    environment = {**os.environ, "NODE_PATH": str(node_modules(say))}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    sound, *others = json.loads(done.stdout)
    assert [one for one in sound if one["severity"] <= WARNING] == []
    for found, (*_, message) in zip(others, FAULTS, strict=True):
        errors = [one["message"] for one in found if one["severity"] == ERROR]
        assert any(message in error for error in errors), found
