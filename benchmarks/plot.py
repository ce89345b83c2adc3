"""The picture of how pace and memory grow: the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from benchmarks.bench_growth import Growth
from benchmarks.measure import Spread

_COLOUR: Final = "tab:blue"
_ROOM: Final = 1.1
"""How much higher than its highest point a plot is."""


def draw(found: Growth, path: Path) -> None:
    """Draw what was found as SVG."""
    # Text stays text, and ids come from the content: small, and the same each time.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nextmove", "font.size": 9, "axes.grid": True}):
        figure = Figure(figsize=(10, 3), layout="constrained")
        pace, memory, parted = figure.subplots(1, 3)
        sizes = [size.profiles for size in found.sizes]
        _line(pace, sizes, [size.events_a_second for size in found.sizes])
        pace.set(title="events a second, from a pipe to files", xlabel="profiles")
        memory.plot(sizes, [size.rss_mb for size in found.sizes], "o-", color=_COLOUR)
        memory.set(
            title="MB after a restart", xlabel="profiles", ylim=(0, _ROOM * max(size.rss_mb for size in found.sizes))
        )
        memory.xaxis.set_major_formatter(EngFormatter(sep=""))
        if found.parted:
            _line(parted, [one.partitions for one in found.parted], [one.events_a_second for one in found.parted])
        parted.set(title="events a second, from Kafka to Kafka", xlabel="partitions")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _line(axes: Axes, places: Sequence[int], spreads: Sequence[Spread]) -> None:
    """Draw the middles, with bars from the lowest to the highest, over places that are multiples of each other."""
    middles = [one.middle for one in spreads]
    bars = [[one.middle - one.low for one in spreads], [one.high - one.middle for one in spreads]]
    axes.errorbar(places, middles, yerr=bars, fmt="o-", capsize=3, color=_COLOUR)
    axes.set(xscale="log", ylim=(0, _ROOM * max(one.high for one in spreads)))
    axes.set_xticks(places, [EngFormatter(sep="", places=0)(place) for place in places])
    axes.minorticks_off()
