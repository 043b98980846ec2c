"""GetExecutionHistory."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from eventmill.api.arns import execution_arn
from eventmill.api.constraints import PAGE_SIZE, PAGE_TOKEN, REQUIRED_ARN, Flag
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.operations.executions import found_execution
from eventmill.api.paging import last_place, next_token, page_size
from eventmill.codec import aws_event, decode_step
from eventmill.machine.history import HistoryEvent
from eventmill.model import Json
from eventmill.ports import StepRow
from eventmill.runtime.system import System

# What goes when the request wants no execution data; a task's parameters stay, as with AWS.
_EXECUTION_DATA: Final = frozenset(
    f"{name}{details}"
    for name in ("input", "output", "assignedVariables")
    for details in ("", "Details")
)


async def get_execution_history(system: System, request: Request) -> Answer:
    """The events of an execution, oldest or newest first.

    Raises:
        InvalidArn, ExecutionDoesNotExist: The ARN is bad.
        InvalidToken: The page token is bad.
    """
    row = await found_execution(system, execution_arn(request["executionArn"]))
    newest_first = request.get("reverseOrder", False)
    after = last_place("GetExecutionHistory", request, numbers=2)
    after_step = after[0] - 1 if after and not newest_first else 0
    steps = await system.log.read(row.id, after_step=max(after_step, 0))
    size = page_size(request)
    page = list(islice(_events(steps, newest_first, after), size + 1))
    with_data = request.get("includeExecutionData", True)
    answer: Answer = {"events": [_shown(event, with_data) for _, event in page[:size]]}
    if len(page) > size:
        step, event = page[size - 1]
        answer["nextToken"] = next_token("GetExecutionHistory", request, [step, event.id])
    return answer


def _events(
    steps: Sequence[StepRow], newest_first: bool, after: tuple[int, ...] | None
) -> Iterator[tuple[int, HistoryEvent]]:
    """Events with their steps, from `after` (a step and an event) on; reads no step in vain."""
    ordered: Iterable[StepRow] = reversed(steps) if newest_first else steps
    for row in ordered:
        if after is not None and (row.step > after[0] if newest_first else row.step < after[0]):
            continue
        events = [event for event in decode_step(row.body).events if event.id]
        for event in reversed(events) if newest_first else events:
            if after is None or (event.id < after[1] if newest_first else event.id > after[1]):
                yield row.step, event


def _shown(event: HistoryEvent, with_data: bool) -> dict[str, Json]:
    shown = aws_event(event)
    if with_data:
        return shown
    return {name: _without_data(value) for name, value in shown.items()}


def _without_data(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if name not in _EXECUTION_DATA}


OPERATIONS: Final = {
    "GetExecutionHistory": Operation(
        members={
            "executionArn": REQUIRED_ARN,
            "maxResults": PAGE_SIZE,
            "reverseOrder": Flag(),
            "nextToken": PAGE_TOKEN,
            "includeExecutionData": Flag(),
        },
        run=get_execution_history,
    )
}
