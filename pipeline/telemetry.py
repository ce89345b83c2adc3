"""Showing a run to Prometheus.

The flow pays nothing for being watched: it counts plain numbers in its `Tally`, and a collector makes metrics of
them when somebody scrapes, in the thread of the scrape. Only what must be told by its distribution is observed as
it happens: a trigger delivered, a timer fired, a command to the store. What the metrics are is in `meters.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from operators.trigger import FAMILIES
from pipeline.meter import Meter
from pipeline.meters import METERS
from pipeline.readings import Values, Watched
from pipeline.tally import Tally

disable_created_metrics()  # type: ignore[no-untyped-call]  # they say what process_start_time_seconds says


@dataclass(eq=False)
class Telemetry(Watched):
    """The metrics of one run, in a registry of its own, and what its health is judged by."""

    def __post_init__(self) -> None:
        """Register the metrics, and those that the library has of the process."""
        self.is_ready = False
        """Whether the state is loaded and reading has begun; whoever runs the flow sets it."""
        self.beat_at: float | None = None
        """When the flow last showed that it is alive, by the clock."""
        self.registry = CollectorRegistry()
        histograms = {
            meter.name: Histogram(meter.name, meter.meaning, meter.labels, registry=self.registry, buckets=meter.bounds)
            for meter in METERS
            if meter.bounds
        }
        self._latency = histograms["nextmove_trigger_latency_seconds"]
        self._timers = histograms["nextmove_timer_delay_seconds"]
        self._commands = histograms["nextmove_redis_command_duration_seconds"]
        for family in FAMILIES:
            self._latency.labels(family)
        self.registry.register(_Collector(self))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.tally.timer_fired = self._timer_fired

    def beat(self) -> None:
        """Show that the flow is alive; sources do at each poll."""
        self.beat_at = self.clock()

    def trigger_delivered(self, family: str, seconds: float) -> None:
        """Observe a trigger that was acknowledged so long after its cause."""
        self._latency.labels(family).observe(seconds)

    def store_asked(self, command: str, seconds: float) -> None:
        """Observe a command of the identity store."""
        self._commands.labels(command).observe(seconds)

    def _timer_fired(self, kind: str, seconds: float) -> None:
        self._timers.labels(kind).observe(seconds)


class _Collector:
    """Reads the metrics when the registry asks for them."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, for the registry to know their names."""
        return [_family(meter, {}) for meter in METERS if meter.read is not None]

    def collect(self) -> Iterable[Metric]:
        """Read all metrics; one without a value is left out."""
        for meter in METERS:
            if meter.read is not None:
                values = meter.read(self._watched)
                if values:
                    yield _family(meter, values)


def _family(meter: Meter, values: Values) -> Metric:
    """Return a metric with its values, as the library has it."""
    if meter.kind == "summary":
        summary = SummaryMetricFamily(meter.name, meter.meaning, labels=meter.labels)
        for labels, value in values.items():
            assert isinstance(value, tuple), f"{meter.name} is a summary"
            summary.add_metric(labels, *value)
        return summary
    kind = CounterMetricFamily if meter.kind == "counter" else GaugeMetricFamily
    family = kind(meter.name, meter.meaning, labels=meter.labels)
    for labels, value in values.items():
        assert not isinstance(value, tuple), f"{meter.name} is no summary"
        family.add_metric(labels, value)
    return family


__all__ = ["Tally", "Telemetry"]
