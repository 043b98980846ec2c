"""StartExecution, StopExecution, DescribeExecution, ListExecutions."""

from typing import Final
from uuid import uuid4

from eventmill.api.arns import execution_arn, map_run_arn, state_machine_arn
from eventmill.api.constraints import (
    ARN,
    CAUSE,
    ERROR,
    INCLUDED_DATA,
    PAGE_SIZE,
    REQUIRED_ARN,
    Text,
)
from eventmill.api.errors import ResourceNotFound
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.paging import last_place, next_token, page_size
from eventmill.api.payloads import execution_input
from eventmill.arn import is_name
from eventmill.codec import decode_step
from eventmill.errors import (
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    InvalidName,
    ValidationException,
)
from eventmill.model import Json, Payload
from eventmill.rows import Child, ExecutionRow, MapRunRow
from eventmill.runtime.starting import Start
from eventmill.runtime.system import System

_STATUSES: Final = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
_REDRIVABLE: Final = ("FAILED", "TIMED_OUT", "ABORTED")


async def start_execution(system: System, request: Request) -> Answer:
    """Begin an execution; the answer comes after it is durable.

    The same name and input while the execution runs give the same answer again.

    Raises:
        InvalidArn, StateMachineDoesNotExist, InvalidName, InvalidExecutionInput: A member is bad.
        ConstraintViolation: The input is over the quota.
        ExecutionAlreadyExists: The name is taken by an execution with another input, or one that
            has ended.
    """
    machine = system.catalog.machine(state_machine_arn(request["stateMachineArn"]))
    name = request.get("name") or str(uuid4())
    if not is_name(name):
        raise InvalidName(f"Invalid Name: '{name}'")
    payload = execution_input(request.get("input", "{}"), system.settings.quotas)
    try:
        (row,) = await system.engine.start([Start(machine=machine, name=name, input=payload)])
    except ExecutionAlreadyExists:
        row = await _same_execution(
            system, system.settings.home.execution(machine.name, name), payload
        )
    return {"executionArn": row.arn, "startDate": _seconds(row.start_ms)}


async def _same_execution(system: System, arn: str, payload: Payload) -> ExecutionRow:
    """The execution that runs under this name already, when it has this very input."""
    row = await system.log.execution(arn)
    if row is None or row.status != "RUNNING" or await _input(system, row) != payload:
        raise ExecutionAlreadyExists(f"Execution Already Exists: '{arn}'")
    return row


async def _input(system: System, row: ExecutionRow) -> Payload:
    steps = await system.log.read(row.id)
    return decode_step(steps[0].body, steps[0].payloads).events[0].payload("input")


async def stop_execution(system: System, request: Request) -> Answer:
    """Abort an execution; the answer comes after that is durable. An ended one stays as it is.

    Raises:
        InvalidArn, ExecutionDoesNotExist: The ARN is bad.
    """
    arn = execution_arn(request["executionArn"])
    await system.engine.stop(arn, request.get("error"), request.get("cause"))
    row = await found_execution(system, arn)
    assert row.stop_ms is not None
    return {"stopDate": _seconds(row.stop_ms)}


async def describe_execution(system: System, request: Request) -> Answer:
    """What there is to know of an execution but its history.

    Raises:
        InvalidArn, ExecutionDoesNotExist: The ARN is bad.
    """
    row = await found_execution(system, execution_arn(request["executionArn"]))
    answer: Answer = {
        "executionArn": row.arn,
        "stateMachineArn": row.state_machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": _seconds(row.start_ms),
        "redriveCount": 0,
        **_redrive_status(row),
    }
    if row.child is not None:
        answer["mapRunArn"] = await map_run_of(system, row.child)
    if row.stop_ms is not None:
        answer["stopDate"] = _seconds(row.stop_ms)
    if request.get("includedData") != "METADATA_ONLY":
        answer |= await _input_and_outcome(system, row)
    return answer


async def map_run_of(system: System, child: Child) -> str:
    """The ARN of the Map Run that a child belongs to."""
    runs = await system.log.map_runs(child.execution)
    return next(run.arn for run in runs if run.map_run == child.map_run)


def _redrive_status(row: ExecutionRow) -> Answer:
    if row.status in _REDRIVABLE:
        by = "REDRIVABLE" if row.child is None else "REDRIVABLE_BY_MAP_RUN"
        return {"redriveStatus": by}
    reason = f"Execution is {row.status} and cannot be redriven"
    return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}


async def _input_and_outcome(system: System, row: ExecutionRow) -> Answer:
    """The first event of an execution has its input, the last one of an ended one the outcome."""
    steps = await system.log.read(row.id)
    first, last = (decode_step(row.body, row.payloads).events for row in (steps[0], steps[-1]))
    answer: Answer = {
        "input": first[0].payload("input").text.decode(),
        "inputDetails": {"included": True},
    }
    if row.status == "SUCCEEDED":
        output = last[-1].payload("output")
        answer |= {"output": output.text.decode(), "outputDetails": {"included": True}}
    elif row.status in ("FAILED", "ABORTED"):
        details = last[-1].details or {}
        for name in ("error", "cause"):
            reason = details.get(name)
            if isinstance(reason, str):
                answer[name] = reason
    return answer


async def found_execution(system: System, arn: str) -> ExecutionRow:
    """The execution with this ARN.

    Raises:
        ExecutionDoesNotExist: There is none.
    """
    row = await system.log.execution(arn)
    if row is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    return row


async def found_map_run(system: System, arn: str) -> MapRunRow:
    """The Map Run with this ARN.

    Raises:
        ResourceNotFound: There is none.
    """
    row = await system.log.map_run(arn)
    if row is None:
        raise ResourceNotFound(f"Resource not found: '{arn}'")
    return row


async def list_executions(system: System, request: Request) -> Answer:
    """Executions of a state machine, or the children of a Map Run, the newest first.

    Raises:
        ValidationException: Not exactly one of the ARNs is given, or with the wrong filter.
        InvalidArn, StateMachineDoesNotExist, ResourceNotFound: The ARN is bad.
        InvalidToken: The page token is bad.
    """
    arn, map_run = await _listed_by(system, request)
    size = page_size(request)
    before = last_place("ListExecutions", request, numbers=1)
    rows = await system.log.executions(
        state_machine_arn=arn,
        map_run=None if map_run is None else (map_run.execution, map_run.map_run),
        status=request.get("statusFilter"),
        before_id=before[0] if before else None,
        limit=size + 1,
    )
    if not rows and arn is not None:
        # Executions outlive a state machine that is offered no more; without any it is unknown.
        system.catalog.machine(arn)
    answer: Answer = {"executions": [_listed(row, map_run) for row in rows[:size]]}
    if len(rows) > size:
        answer["nextToken"] = next_token("ListExecutions", request, [rows[size - 1].id])
    return answer


async def _listed_by(system: System, request: Request) -> tuple[str | None, MapRunRow | None]:
    """The ARN of the state machine whose executions are asked for, or the Map Run."""
    machine, map_run = request.get("stateMachineArn"), request.get("mapRunArn")
    if (machine is None) == (map_run is None):
        raise ValidationException("Must provide a StateMachine ARN or MapRun ARN")
    if machine is None:
        return None, await found_map_run(system, map_run_arn(request["mapRunArn"]))
    if "redriveFilter" in request:
        raise ValidationException(
            "RedriveFilter cannot be applied to ListExecutions call with StateMachine ARN"
        )
    return state_machine_arn(machine), None


def _listed(row: ExecutionRow, map_run: MapRunRow | None) -> dict[str, Json]:
    listed: dict[str, Json] = {
        "executionArn": row.arn,
        "stateMachineArn": row.state_machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": _seconds(row.start_ms),
        "redriveCount": 0,
    }
    if row.stop_ms is not None:
        listed["stopDate"] = _seconds(row.stop_ms)
    if map_run is not None:
        assert row.child is not None
        listed |= {"mapRunArn": map_run.arn, "itemCount": row.child.items}
    return listed


def _seconds(at_ms: int) -> float:
    """An instant as AWS JSON has it: seconds since the epoch."""
    return at_ms / 1000


OPERATIONS: Final = {
    "StartExecution": Operation(
        members={
            "stateMachineArn": REQUIRED_ARN,
            "name": Text(min=1, max=80),
            "input": Text(),
            "traceHeader": Text(max=256, ascii=True),
        },
        run=start_execution,
    ),
    "StopExecution": Operation(
        members={"executionArn": REQUIRED_ARN, "error": ERROR, "cause": CAUSE},
        run=stop_execution,
    ),
    "DescribeExecution": Operation(
        members={"executionArn": REQUIRED_ARN, "includedData": INCLUDED_DATA},
        run=describe_execution,
    ),
    "ListExecutions": Operation(
        members={
            "stateMachineArn": ARN,
            "statusFilter": Text(values=_STATUSES),
            "maxResults": PAGE_SIZE,
            "nextToken": Text(min=1, max=3_096),
            "mapRunArn": Text(min=1, max=2_000),
            "redriveFilter": Text(values=("REDRIVEN", "NOT_REDRIVEN")),
        },
        run=list_executions,
    ),
}
