"""
Make the golden savepoint of this version: `python -m tests.golden.make`, once a version, and commit what it makes.
Where a layout changes within a version, `python -m tests.golden.make VERSION-CHANGE` makes one more.

Two dozen visitors and their homes on one afternoon, in a file with a pause of twenty minutes. The file is played so
slowly that the command `nextmove stop --savepoint` comes in that pause: what has been read by then is the same each
time. Then the run goes on to its end; what it writes after the savepoint is what every later version must write.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import Any, Final

from pipeline.version import own_version
from tests.pipeline.test_cli import ENVIRONMENT, NEXTMOVE

GOLDEN: Final = Path(__file__).parent
INPUT, SETTINGS, SAVEPOINT, EXPECTED = "input.jsonl", "settings.yaml", "savepoint", "expected.jsonl"

BEGIN_AT: Final = 1_790_000_000_000
SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
STOP_AT: Final = BEGIN_AT + 30 * MINUTE_MS
GO_ON_AT: Final = STOP_AT + 20 * MINUTE_MS
SPEED: Final = 240
"""The half hour before the pause takes 7.5 s, the pause 5."""

VISITORS: Final = 24
CONTENT: Final = "key_groups: 4\nsource: {file_watermark: lateness}\n"


def before() -> Iterator[dict[str, Any]]:
    """What happens before the savepoint: each sixth visitor does the same, minutes apart."""
    for number in range(VISITORS):
        at = BEGIN_AT + number * MINUTE_MS
        yield from visit(f"v{number}", number % 6, at)
    yield event("v30", "product_added", STOP_AT - 300 * SECOND_MS, **cart("v30"))
    yield event("v31", "product_added", STOP_AT - 240 * SECOND_MS, channel="app", **cart("v31"))
    # Two leads, by address and by user id, who turn out to be one in the last half minute.
    yield event("v33", "identified", STOP_AT - 280 * SECOND_MS, email="u33@example.com")
    yield event("v33", "product_added", STOP_AT - 270 * SECOND_MS, **cart("v33"))
    yield event("v34", "identified", STOP_AT - 260 * SECOND_MS, user_id="u33")
    yield event("v35", "product_viewed", STOP_AT - 250 * SECOND_MS, items=cart("v35")["items"])
    # In that half minute, which the watermark has not reached: events that wait, and visitors who become known.
    yield event("v30", "identified", STOP_AT - 12 * SECOND_MS, user_id="u30", email="u30@example.com")
    yield event("v31", "identified", STOP_AT - 9 * SECOND_MS, user_id="u30", channel="app")
    yield event("v35", "identified", STOP_AT - 7 * SECOND_MS, user_id="u33")
    yield event("v33", "identified", STOP_AT - 6 * SECOND_MS, user_id="u33", email="u33@example.com")
    for number in (0, 1, 2, 3):
        yield event(f"v{number}", "product_added", STOP_AT - (8 - number) * SECOND_MS, **cart(f"v{number}", "late"))
    yield event("v4", "cart_viewed", STOP_AT - 2 * SECOND_MS, **cart("v4"))
    yield event("v5", "page_viewed", STOP_AT)


def visit(person: str, what: int, at: int) -> Iterator[dict[str, Any]]:
    """One of six visits."""
    yield event(person, "page_viewed", at)
    for view in range(1 + what % 3):
        yield event(person, "product_viewed", at + (10 + view) * SECOND_MS, items=cart(person)["items"])
    if what in (1, 2, 3, 4):
        yield event(person, "product_added", at + 30 * SECOND_MS, **cart(person))
    if what == 2:
        yield event(person, "checkout_started", at + 40 * SECOND_MS, checkout_id=f"{person}-out", **cart(person))
    if what in (3, 4):
        named = {
            "user_id": f"u-{person}",
            "email": f"{person}@example.com",
            "phone": f"+4915100000{int(person[1:]):02}",
        }
        yield event(person, "identified", at + 45 * SECOND_MS, **named)
    if what == 4:
        order = {"order_id": f"{person}-order", "value": 20.0} | cart(person)
        yield event(person, "order_completed", at + 50 * SECOND_MS, **order)
    if what == 5:
        yield event(person, "searched", at + 40 * SECOND_MS, query="kettle")
        yield event(person, "consent_withdrawn", at + 45 * SECOND_MS, consents={"onsite": False})
        yield event(person, "offer_declined", at + 50 * SECOND_MS)


def after() -> Iterator[dict[str, Any]]:
    """What happens after it: orders, returns, what was told before, a second device, and calls."""
    told_before = list(before())
    for number in range(VISITORS):
        at, person = GO_ON_AT + number * SECOND_MS, f"v{number}"
        if number % 4 == 1:
            yield event(person, "order_completed", at, order_id=f"{person}-late", value=11.0, **cart(person))
        if number % 4 == 2:
            yield event(person, "product_viewed", at, items=cart(person)["items"])
        if number % 4 == 3:
            yield told_before[number * 3]
    yield event("v32", "identified", GO_ON_AT + 30 * SECOND_MS, user_id="u-v3", channel="app")
    yield event("", "call_answered", GO_ON_AT + 40 * SECOND_MS, channel="phone", phone="+491510000009")
    yield event("", "email_clicked", GO_ON_AT + 41 * SECOND_MS, channel="email", email="v4@example.com")
    yield event("v34", "order_completed", GO_ON_AT + 50 * SECOND_MS, order_id="o33", value=10.5)
    yield event("v6", "page_viewed", GO_ON_AT + 90 * MINUTE_MS)


def event(person: str, kind: str, at: int, **more: object) -> dict[str, Any]:
    told: dict[str, Any] = {"event_id": f"{person}-{at - BEGIN_AT}", "kind": kind, "occurred_at": at}
    if person:
        told |= {"anonymous_id": person, "channel": "web", "url": f"https://shop.example/{person}"}
    return told | more


def cart(person: str, product: str = "kettle") -> dict[str, Any]:
    items = [{"product_id": f"{product}-{len(person)}", "quantity": 1, "price": 10.5, "category": "kitchen"}]
    return {"cart_id": f"{person}-cart", "currency": "EUR", "items": items}


def written(out: Path) -> list[dict[str, Any]]:
    """The records of a run, but for what is of the wall clock, in an order of their own."""
    found = []
    for path in out.glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            told = json.loads(line)
            told["data"].pop("emitted_at", None)
            found.append({"stream": path.stem, "id": told["id"], "data": told["data"]})
    return sorted(found, key=lambda one: (one["stream"], one["id"], json.dumps(one["data"], sort_keys=True)))


def nextmove(folder: Path, *arguments: str) -> None:
    subprocess.run([*NEXTMOVE, *arguments], cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def main(name: str) -> None:
    home = GOLDEN / name
    if home.exists():
        sys.exit(f"{home} is there, and a golden savepoint never changes")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lines = [*sorted(before(), key=at_of), *after()]
        (folder / INPUT).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        (folder / SETTINGS).write_text(CONTENT)
        run = ["run", INPUT, "--config", SETTINGS]
        command = [*NEXTMOVE, *run, "--out", "out", "--recovery", "state", "--speed", str(SPEED)]
        with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
            while not (folder / "state" / "nextmove.json").exists():
                time.sleep(0.01)
            time.sleep((STOP_AT - BEGIN_AT) / 1000 / SPEED + 2)
            nextmove(folder, "stop", "--recovery", "state", "--savepoint", SAVEPOINT)
            process.wait()
        told = json.loads((folder / SAVEPOINT / "0-of-1" / "savepoint.json").read_bytes())
        assert told["places"][INPUT][1] == len(list(before())), "it was stopped in the pause"
        nextmove(folder, *run, "--out", "after", "--recovery", "new", "--from-savepoint", SAVEPOINT)
        expected = written(folder / "after")
        (folder / EXPECTED).write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in expected))
        for path in ("out", "state", "new", "after"):
            rmtree(folder / path)
        copytree(folder, home)


def at_of(told: dict[str, Any]) -> int:
    at: int = told["occurred_at"]
    return at


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else own_version())
