"""An execution for the reader: in a list, alone, and in JSON with the names that AWS uses."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from eventmill.cli.recorded import Recorded, machine_name
from eventmill.cli.tables import Column, Fields, Line, Part, Table, status_colour
from eventmill.cli.texts import count, duration, local_time, printable, short, short_payload
from eventmill.machine.execution import RUNNING, Execution, Frame, is_carried_out
from eventmill.model import Json, Payload
from eventmill.rows import ExecutionRow

SUCCEEDED: Final = "SUCCEEDED"

_PAYLOAD_SHOWN_MAX: Final = 2_000
_CELL_SHOWN_MAX: Final = 60
_STATES_SHOWN_MAX: Final = 20

_COLUMNS: Final = (
    Column(title="Execution"),
    Column(title="State machine"),
    Column(title="Status", colour=status_colour),
    Column(title="Started"),
    Column(title="Took", right=True),
    Column(title="Trigger"),
)


def took_ms(row: ExecutionRow) -> int:
    """How long an execution took, or has been running."""
    stop_ms = row.stop_ms if row.stop_ms is not None else time.time_ns() // 1_000_000
    return max(0, stop_ms - row.start_ms)


def cells(row: ExecutionRow) -> tuple[str, ...]:
    """An execution as a row of the list."""
    return (
        printable(row.name),
        printable(machine_name(row)),
        row.status,
        local_time(row.start_ms),
        duration(took_ms(row)),
        printable(row.trigger or ""),
    )


def list_page(rows: Sequence[ExecutionRow], limit: int) -> Iterator[Part]:
    """The list of executions."""
    if not rows:
        yield Line(text="No executions.")
        return
    yield Table(columns=_COLUMNS, rows=[cells(row) for row in rows])
    if len(rows) == limit:
        yield Line(text=f"The newest {limit}; --limit N shows more.", colour="dim")


def list_item(row: ExecutionRow) -> dict[str, Json]:
    """An execution as ListExecutions has it, with what started it."""
    item: dict[str, Json] = {
        "executionArn": row.arn,
        "stateMachineArn": row.state_machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.start_ms / 1_000,
    }
    if row.stop_ms is not None:
        item["stopDate"] = row.stop_ms / 1_000
    if row.trigger is not None:
        item["trigger"] = row.trigger
    if row.event is not None:
        item["event"] = {"source": row.event[0], "id": row.event[1]}
    return item


def document(recorded: Recorded, execution: Execution) -> dict[str, Json]:
    """An execution as DescribeExecution has it, with what started it and where it stands."""
    described = list_item(recorded.row)
    described["input"] = execution.input.text.decode()
    described |= outcome(execution)
    described["events"] = execution.sequence
    described["states"] = [state_document(execution, frame) for frame in standing(execution)]
    return described


def outcome(execution: Execution) -> dict[str, Json]:
    """What the execution has come to: output, or error and cause, as far as there are any."""
    result: dict[str, Json] = {}
    if execution.output is not None:
        result["output"] = execution.output.text.decode()
    if execution.failure is not None:
        named = {"error": execution.failure.error, "cause": execution.failure.cause}
        result |= {name: text for name, text in named.items() if text is not None}
    return result


def page(recorded: Recorded, execution: Execution, *, full: bool = False) -> Iterator[Part]:
    """An execution alone."""
    row = recorded.row
    fields = [
        ("Execution", printable(row.name)),
        ("ARN", printable(row.arn)),
        ("State machine", printable(machine_name(row))),
        ("Status", row.status),
        ("Started", local_time(row.start_ms)),
    ]
    if row.stop_ms is not None:
        fields.append(("Stopped", local_time(row.stop_ms)))
    fields.append(("Took" if row.stop_ms is not None else "Running for", duration(took_ms(row))))
    if row.trigger is not None:
        fields.append(("Trigger", printable(row.trigger)))
    if row.event is not None:
        fields.append(("Event", printable(f"{row.event[1]} of {row.event[0]}")))
    events, steps = count(execution.sequence, "event"), count(len(recorded.steps), "step")
    fields.append(("History", f"{events} in {steps}"))
    fields.append(("Input", payload_text(execution.input, full)))
    yield Fields(fields=[*fields, *outcome_fields(execution, full)])
    yield from states_part(execution, full)


def outcome_fields(execution: Execution, full: bool) -> Iterator[tuple[str, str]]:
    """Output, or error and cause, as far as there are any."""
    if execution.output is not None:
        yield "Output", payload_text(execution.output, full)
    if execution.failure is not None:
        for name, text in (
            ("Error", execution.failure.error),
            ("Cause", execution.failure.cause),
        ):
            if text is not None:
                yield name, printable(text) if full else short(text, _PAYLOAD_SHOWN_MAX)


def payload_text(payload: Payload, full: bool) -> str:
    """A payload, whole or cut where it is long."""
    if full:
        return printable(payload.text.decode())
    return short_payload(payload, _PAYLOAD_SHOWN_MAX)


def states_part(execution: Execution, full: bool) -> Iterator[Part]:
    """The states that the execution is in, as a table."""
    frames = list(standing(execution))
    if not frames:
        return
    shown = frames if full else frames[:_STATES_SHOWN_MAX]
    titles = ("State", "Type", "Since event", "Waits for", "Input")
    rows = [
        (
            printable(path(frame)),
            type(frame.state).__name__,
            str(frame.entered_id),
            waits_for(frame),
            short_payload(frame.data, _CELL_SHOWN_MAX),
        )
        for frame in shown
    ]
    yield Line(text="")
    yield Table(columns=[Column(title=title) for title in titles], rows=rows)
    if len(shown) < len(frames):
        yield Line(text=f"… and {len(frames) - len(shown):,} more; --full shows all", colour="dim")


def standing(execution: Execution) -> Iterable[Frame]:
    """The frames of the execution that are in a state, outermost first."""
    if execution.status != RUNNING:
        return ()
    return (frame for _, frame in sorted(execution.frames.items()) if frame.state is not None)


def path(frame: Frame) -> str:
    """Where a frame stands: the names of its states from the outside in."""
    own = frame.state.name if frame.state is not None else frame.next or ""
    if frame.parent is None:
        return own
    return f"{path(frame.parent)}[{frame.index}] / {own}"


def waits_for(frame: Frame) -> str:
    """What has to happen before the state goes on."""
    if frame.task is not None:
        if frame.task.started and not is_carried_out(frame):
            return f"task {frame.task.id}, which somebody outside answers"
        begun = "is at work" if frame.task.started else "is not begun"
        return f"task {frame.task.id}, which {begun}"
    if frame.map_run is not None:
        return f"Map Run {frame.map_run.id}"
    if frame.due_ms is not None:
        return f"{'the next attempt' if frame.retrying else 'its time'}, {local_time(frame.due_ms)}"
    if frame.length:
        done = frame.admitted - len(frame.children)
        return f"{frame.length - done:,} of {frame.length:,} branches or items"
    return ""


def state_document(execution: Execution, frame: Frame) -> dict[str, Json]:
    """A state that the execution is in, for programs."""
    assert frame.state is not None
    state: dict[str, Json] = {
        "name": frame.state.name,
        "path": path(frame),
        "type": type(frame.state).__name__,
        "enteredEventId": frame.entered_id,
        "input": frame.data.text.decode(),
        "retryCount": frame.retry_count,
    }
    if frame.task is not None:
        state["task"] = _present(
            {
                "scheduledEventId": frame.task.id,
                "started": frame.task.started,
                "deadline": _seconds(frame.task.deadline_ms),
                "heartbeatDue": _seconds(frame.task.heartbeat_due_ms),
            }
        )
    if frame.map_run is not None:
        state["mapRunArn"] = frame.map_run.arn
    if frame.due_ms is not None:
        state["due"] = frame.due_ms / 1_000
    if frame.length:
        state["length"] = frame.length
        state["finished"] = frame.admitted - len(frame.children)
    return state


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1_000


def _present(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}
