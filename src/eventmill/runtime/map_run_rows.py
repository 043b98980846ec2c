"""What a step does to the log's table of Map Runs, to be stored in the same commit."""

from collections.abc import Sequence

from eventmill.machine.commands import CancelMap
from eventmill.machine.facts import MapRunFailed, MapRunSucceeded
from eventmill.machine.history import HistoryEvent
from eventmill.machine.transition import Step
from eventmill.rows import MapRunChange, MapRunRow


def map_runs_begun(execution: int, step: Step) -> Sequence[MapRunRow]:
    """The Map Runs that a step starts."""
    return [_row(execution, each) for each in step.events if each.type == "MapRunStarted"]


def map_runs_changed(execution: int, step: Step) -> dict[tuple[int, int], MapRunChange]:
    """The Map Runs that a step ends."""
    changes: dict[tuple[int, int], MapRunChange] = {}
    for command in step.commands:
        if isinstance(command, CancelMap):
            changes[execution, command.map_run] = _end("ABORTED", step)
    if isinstance(step.fact, MapRunSucceeded):
        changes[execution, step.fact.map_run] = _end("SUCCEEDED", step)
    elif isinstance(step.fact, MapRunFailed):
        changes[execution, step.fact.map_run] = _end("FAILED", step)
    return changes


def _end(status: str, step: Step) -> MapRunChange:
    return MapRunChange(status=status, stop_ms=step.at_ms)


def _row(execution: int, event: HistoryEvent) -> MapRunRow:
    settings = event.internal or {}
    count, share, items = (
        settings[name] for name in ("tolerated_count", "tolerated_percentage", "items")
    )
    assert isinstance(count, int)
    assert isinstance(share, (int, float))
    assert items is None or isinstance(items, int)
    return MapRunRow(
        execution=execution,
        map_run=event.id,
        arn=event.text("mapRunArn"),
        max_concurrency=event.noted("max_concurrency"),
        tolerated_count=count,
        tolerated_percentage=share,
        start_ms=event.at_ms,
        items=items,
    )
