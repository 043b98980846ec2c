"""GetExecutionHistory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from eventmill.api.arns import execution_arn
from eventmill.api.constraints import PAGE_SIZE, PAGE_TOKEN, REQUIRED_ARN, Flag
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.operations.executions import found_execution
from eventmill.api.paging import last_place, next_token, page_size
from eventmill.codec import aws_event, decode_step
from eventmill.machine.history import HistoryEvent
from eventmill.model import Json, Payload
from eventmill.rows import StepRow
from eventmill.runtime.system import System

# What goes when the request wants no execution data; a task's parameters stay, as with AWS.
_EXECUTION_DATA: Final = frozenset(
    f"{name}{details}"
    for name in ("input", "output", "assignedVariables")
    for details in ("", "Details")
)


# A page ends sooner where its payloads have more bytes than these, as AWS's may end sooner, too.
_PAGE_BYTES_MAX: Final = 33_554_432


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
    with_data = request.get("includeExecutionData", True)
    page, is_last = _page(_events(steps, newest_first, after), size, with_data)
    answer: Answer = {"events": [_shown(event, with_data) for _, event in page]}
    if not is_last:
        step, event = page[-1]
        answer["nextToken"] = next_token("GetExecutionHistory", request, [step, event.id])
    return answer


def _page(
    events: Iterator[tuple[int, HistoryEvent]], size: int, with_data: bool
) -> tuple[list[tuple[int, HistoryEvent]], bool]:
    """The next events, as many as one page takes, and whether they are the last."""
    page: list[tuple[int, HistoryEvent]] = []
    bytes_ = 0
    for each in events:
        if len(page) == size or bytes_ > _PAGE_BYTES_MAX:
            return page, False
        page.append(each)
        if with_data:
            details = each[1].details or {}
            bytes_ += sum(len(value) for value in details.values() if isinstance(value, Payload))
    return page, True


def _events(
    steps: Sequence[StepRow], newest_first: bool, after: tuple[int, ...] | None
) -> Iterator[tuple[int, HistoryEvent]]:
    """Events with their steps, from `after` (a step and an event) on; reads no step in vain."""
    ordered: Iterable[StepRow] = reversed(steps) if newest_first else steps
    for row in ordered:
        if after is not None and (row.step > after[0] if newest_first else row.step < after[0]):
            continue
        events = [event for event in decode_step(row.body, row.payloads).events if event.id]
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
