"""What the children of a Map Run have come to, read from their histories."""

from collections.abc import AsyncGenerator
from typing import Final

from eventmill.codec import decode_step
from eventmill.machine.history import HistoryEvent
from eventmill.model import Payload
from eventmill.ports import EventLog
from eventmill.rows import ChildHistory, ChildResult

_PAGE: Final = 200


async def results(log: EventLog, map_run: tuple[int, int]) -> AsyncGenerator[ChildResult, None]:
    """The result of every child, in order of their indexes; all of them have ended."""
    after_index = -1
    while page := await log.children(map_run, after_index=after_index, limit=_PAGE):
        for child in page:
            yield _result(child)
        last = page[-1].row.child
        assert last is not None
        after_index = last.index


def _result(child: ChildHistory) -> ChildResult:
    row = child.row
    first = decode_step(child.first, child.payloads).events[0]
    last = decode_step(child.last, child.payloads).events[-1]
    details = last.details or {}
    return ChildResult(
        status=row.status,
        input=first.payload("input"),
        output=_output(last),
        error=_text(details.get("error")),
        cause=_text(details.get("cause")),
        arn=row.arn,
        name=row.name,
        state_machine_arn=row.state_machine_arn,
        start_ms=row.start_ms,
        stop_ms=row.stop_ms,
    )


def _output(event: HistoryEvent) -> Payload | None:
    return event.payload("output") if event.type == "ExecutionSucceeded" else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
