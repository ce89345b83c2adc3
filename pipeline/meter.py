"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from pipeline.readings import Values, Watched


class Meter(NamedTuple):
    """One metric. A counter, gauge or summary is read, a histogram is told what happens and has bounds."""

    name: str
    kind: Literal["counter", "gauge", "summary", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    read: Callable[[Watched], Values] | None = None
    bounds: tuple[float, ...] = ()
