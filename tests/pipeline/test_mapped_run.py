"""A source that nobody wrote code for runs through the whole flow."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.records import check_lines

ROOT: Final = Path(__file__).resolve().parents[2]

SETTINGS = """\
source:
  formats:
    clicks.jsonl: clicks
    orders.jsonl: orders
  mappings:
    clicks:
      kind: {path: what, table: {put: product_added, see: product_viewed}}
      at: {path: ts, unit: s}
      anonymous_id: cookie
      user_id: account
      cart_id: basket
      currency: {constant: EUR}
      items: {path: "@", product_id: article, price: {path: cents, scale: 0.01}}
    orders: orders.yaml
"""
ORDERS = "{kind: order_completed, at: placed, user_id: customer, order_id: number, value: sum, cart_id: basket}"
CLICKS = [
    {"what": "see", "ts": 1795255200, "cookie": "c1", "article": "lamp", "cents": 4900},
    {
        "what": "put",
        "ts": 1795255260,
        "cookie": "c1",
        "account": "mara",
        "basket": "b1",
        "article": "lamp",
        "cents": 4900,
    },
    {"what": "ask", "ts": 1795255270, "cookie": "c1"},
]
ORDER = {"placed": "2026-11-21T10:05:00Z", "customer": "mara", "number": "o-1", "sum": 49, "basket": "b1"}


def read(folder: Path, stream: str) -> list[dict[str, Any]]:
    lines = (folder / f"{stream}.jsonl").read_bytes().splitlines()
    check_lines(lines)
    return [json.loads(line)["data"] for line in lines]


def test_two_sources_of_their_own_shape_make_one_cart(tmp_path: Path) -> None:
    """
    Clicks by one mapping and orders by another: the order closes the cart of the same person.
    """
    (tmp_path / "shop.yaml").write_text(SETTINGS)
    (tmp_path / "orders.yaml").write_text(ORDERS)
    (tmp_path / "clicks.jsonl").write_text("".join(json.dumps(one) + "\n" for one in CLICKS))
    (tmp_path / "orders.jsonl").write_text(json.dumps(ORDER) + "\n")
    command = [sys.executable, "-m", "pipeline.cli", "run", "clicks.jsonl", "orders.jsonl", "--out", "out"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "--config", "shop.yaml"], cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=True
    )
    assert b"4 read: 3 accepted, 0 duplicates, 1 dead letters" in run.stdout
    carts = read(tmp_path / "out", "carts")
    assert [(cart["cart_id"], cart["state"], cart["value"], cart["currency"]) for cart in carts] == [
        ("b1", "open", 49.0, "EUR"),
        ("b1", "purchased", 49.0, "EUR"),
    ]
    assert len({cart["profile_id"] for cart in carts}) == 1
    assert [letter["reason"] for letter in read(tmp_path / "out", "dead_letters")] == ["unknown_format"]
