"""DescribeMapRun, ListMapRuns. Source: the Step Functions API reference."""

from typing import Final

from eventmill.api.arns import execution_arn, map_run_arn
from eventmill.api.constraints import PAGE_SIZE, PAGE_TOKEN, REQUIRED_ARN, Text
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.operations.executions import found_execution, found_map_run
from eventmill.api.paging import last_place, next_token, page_size
from eventmill.model import Json
from eventmill.rows import MapRunRow, Progress
from eventmill.runtime.system import System

_COUNTED: Final = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timedOut",
    "ABORTED": "aborted",
}


_NO_LIMIT: Final = 2**31 - 1  # what AWS tells when a Map has no MaxConcurrency


async def describe_map_run(system: System, request: Request) -> Answer:
    """How a Map Run stands: its limits, and its items and children by status.

    All counts are 0 until the items have been read to their end.

    Raises:
        InvalidArn, ResourceNotFound: The ARN is bad.
    """
    row = await found_map_run(system, map_run_arn(request["mapRunArn"]))
    execution = await system.log.execution_by_id(row.execution)
    assert execution is not None
    progress = await system.log.progress((row.execution, row.map_run))
    answer: Answer = {
        "mapRunArn": row.arn,
        "executionArn": execution.arn,
        "status": row.status,
        "startDate": row.start_ms / 1000,
        "maxConcurrency": row.max_concurrency or _NO_LIMIT,
        "toleratedFailurePercentage": float(row.tolerated_percentage),
        "toleratedFailureCount": row.tolerated_count,
        "itemCounts": _item_counts(row, progress),
        "executionCounts": _execution_counts(row, progress),
        "redriveCount": 0,
    }
    if row.stop_ms is not None:
        answer["stopDate"] = row.stop_ms / 1000
    return answer


async def list_map_runs(system: System, request: Request) -> Answer:
    """The Map Runs of an execution, the newest first.

    Raises:
        InvalidArn, ExecutionDoesNotExist: The ARN is bad.
        InvalidToken: The page token is bad.
    """
    execution = await found_execution(system, execution_arn(request["executionArn"]))
    size = page_size(request)
    before = last_place("ListMapRuns", request, numbers=1)
    rows = [
        row
        for row in await system.log.map_runs(execution.id)
        if before is None or row.map_run < before[0]
    ]
    answer: Answer = {"mapRuns": [_listed(row, execution.arn) for row in rows[:size]]}
    if len(rows) > size:
        answer["nextToken"] = next_token("ListMapRuns", request, [rows[size - 1].map_run])
    return answer


def _listed(row: MapRunRow, execution: str) -> dict[str, Json]:
    listed: dict[str, Json] = {
        "executionArn": execution,
        "mapRunArn": row.arn,
        # The state machine of the children: its name ends in the label of the Map.
        "stateMachineArn": row.arn.replace(":mapRun:", ":stateMachine:", 1).rsplit(":", 1)[0],
        "startDate": row.start_ms / 1000,
    }
    if row.stop_ms is not None:
        listed["stopDate"] = row.stop_ms / 1000
    return listed


def _item_counts(row: MapRunRow, progress: Progress) -> Json:
    ended = {status: items for status, (_, items) in progress.ended.items()}
    running = sum(progress.running.values())
    return _counts(row, ended, running, pending=_pending_items(row, progress))


def _execution_counts(row: MapRunRow, progress: Progress) -> Json:
    ended = {status: children for status, (children, _) in progress.ended.items()}
    pending = _pending_items(row, progress)
    if _started_items(progress) != progress.started:
        pending = 0  # nobody knows how many batches the rest would have made
    return _counts(row, ended, len(progress.running), pending=pending)


def _counts(row: MapRunRow, ended: dict[str, int], running: int, *, pending: int) -> Json:
    known = row.items is not None
    counts: dict[str, Json] = {
        name: ended.get(status, 0) if known else 0 for status, name in _COUNTED.items()
    }
    total = sum(ended.values()) + running + pending if known else 0
    return {
        "pending": pending,
        "running": running if known else 0,
        **counts,
        "total": total,
        "resultsWritten": 0 if row.status == "RUNNING" else total,
        "failuresNotRedrivable": 0,
        "pendingRedrive": 0,
    }


def _pending_items(row: MapRunRow, progress: Progress) -> int:
    return 0 if row.items is None else row.items - _started_items(progress)


def _started_items(progress: Progress) -> int:
    ended = sum(items for _, items in progress.ended.values())
    return ended + sum(progress.running.values())


OPERATIONS: Final = {
    "DescribeMapRun": Operation(
        members={"mapRunArn": Text(min=1, max=2_000, required=True)}, run=describe_map_run
    ),
    "ListMapRuns": Operation(
        members={
            "executionArn": REQUIRED_ARN,
            "maxResults": PAGE_SIZE,
            "nextToken": PAGE_TOKEN,
        },
        run=list_map_runs,
    ),
}
