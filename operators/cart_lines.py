"""The lines of a cart: products, quantities and prices."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from operators.event import Commerce, Item
from operators.packing import Row, short_number


@mypyc_attr(acyclic=True)
class Line:
    """One product in a cart; `price` is for one piece."""

    def __init__(self, product_id: str, quantity: float, price: float, name: str = "") -> None:
        self.product_id = product_id
        self.quantity = quantity
        self.price = price
        self.name = name

    def pack(self) -> Row:
        """Return the line as a row, of which `Line` makes it again."""
        return [self.product_id, short_number(self.quantity), self.price, self.name]


def changed(lines: list[Line], kind: str, commerce: Commerce, lines_max: int) -> list[Line]:
    """Return `lines` after an event of that kind; what exceeds `lines_max` is left out."""
    if kind == "product_added":
        for item in commerce.items:
            _add_line(lines, item, item.quantity)
    elif kind == "product_removed":
        for item in commerce.items:
            _add_line(lines, item, -item.quantity)
    elif commerce.items:
        lines = []
        for item in commerce.items:
            _add_line(lines, item, item.quantity)
    elif kind == "cart_updated":
        lines = []
    del lines[lines_max:]
    return lines


def _add_line(lines: list[Line], item: Item, quantity: float) -> None:
    for line in lines:
        if line.product_id == item.product_id:
            line.quantity += quantity
            line.price = item.price or line.price
            if line.quantity <= 0:
                lines.remove(line)
            return
    if quantity > 0:
        lines.append(Line(item.product_id, quantity, item.price, item.name))
