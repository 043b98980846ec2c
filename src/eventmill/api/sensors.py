"""`GET /sensors` and `GET /metrics`: how each sensor is doing, for people and for Prometheus."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.runtime.condition import BACKING_OFF, RUNNING, SILENT, Condition
from eventmill.runtime.system import System

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.encode()

_STATES: Final = (RUNNING, BACKING_OFF, SILENT)


def sensors(system: System) -> dict[str, Json]:
    """How each sensor is doing, in order of their names."""
    return {"sensors": [_document(system, each) for each in _conditions(system)]}


def metrics(system: System) -> bytes:
    """The same in Prometheus' text format, with what the engine tells."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(system))
    return generate_latest(registry)


def _conditions(system: System) -> list[Condition]:
    watched = sorted(system.watches, key=lambda watch: watch.sensor.name)
    return [system.supervisor.condition(watch.sensor) for watch in watched]


def _document(system: System, condition: Condition) -> dict[str, Json]:
    name, progress_ms = condition.sensor.name, condition.progress_ms
    triggers = [
        trigger.name
        for watch in system.watches
        if watch.sensor.name == name
        for trigger in watch.listeners.triggers
    ]
    return {
        "name": name,
        "kind": name.split(":", 1)[0],
        "triggers": [*triggers],
        "state": condition.state,
        "since": format_instant(condition.since_ms),
        "lastProgress": None if progress_ms is None else format_instant(progress_ms),
        "events": condition.events,
        "duplicates": system.supervisor.duplicates(name),
        "errors": condition.errors,
        "restarts": condition.restarts,
        "lag": condition.lag,
        "problem": condition.problem,
    }


class _Collector(Collector):
    """Reads the numbers when somebody asks, so that they cost nothing otherwise."""

    def __init__(self, system: System) -> None:
        self._system = system

    def collect(self) -> Iterator[Metric]:
        """All metrics as they stand."""
        conditions = _conditions(self._system)
        duplicates = self._system.supervisor.duplicates
        for name, text, values in (
            ("events", "Events published, duplicates among them.", [c.events for c in conditions]),
            (
                "duplicates",
                "Events that the log had already.",
                [duplicates(c.sensor.name) for c in conditions],
            ),
            ("errors", "How often a sensor failed.", [c.errors for c in conditions]),
            ("restarts", "How often a sensor was restarted.", [c.restarts for c in conditions]),
        ):
            family = CounterMetricFamily(f"eventmill_sensor_{name}", text, labels=["sensor"])
            for condition, value in zip(conditions, values, strict=True):
                family.add_metric([condition.sensor.name], value)
            yield family
        yield from _gauges(conditions)
        in_memory = GaugeMetricFamily(
            "eventmill_executions_in_memory", "Executions that are being run."
        )
        in_memory.add_metric([], self._system.engine.in_memory)
        yield in_memory


def _gauges(conditions: list[Condition]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "eventmill_sensor_state", "1 for the state it is in, else 0.", labels=["sensor", "state"]
    )
    progress = GaugeMetricFamily(
        "eventmill_sensor_last_progress_timestamp_seconds",
        "When an event of it became durable last.",
        labels=["sensor"],
    )
    lag = GaugeMetricFamily(
        "eventmill_sensor_lag", "Events that wait at the source.", labels=["sensor"]
    )
    for condition in conditions:
        name = condition.sensor.name
        for each in _STATES:
            state.add_metric([name, each], float(condition.state == each))
        if condition.progress_ms is not None:
            progress.add_metric([name], condition.progress_ms / 1000)
        if condition.lag is not None:
            lag.add_metric([name], condition.lag)
    yield from (state, progress, lag)
