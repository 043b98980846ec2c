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
from eventmill.ports import ExecutionRow
from eventmill.runtime.engine import Start
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
    return decode_step(steps[0].body).events[0].payload("input")


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
        **_redrive_status(row.status),
    }
    if row.stop_ms is not None:
        answer["stopDate"] = _seconds(row.stop_ms)
    if request.get("includedData") != "METADATA_ONLY":
        answer |= await _input_and_outcome(system, row)
    return answer


def _redrive_status(status: str) -> Answer:
    if status in _REDRIVABLE:
        return {"redriveStatus": "REDRIVABLE"}
    reason = f"Execution is {status} and cannot be redriven"
    return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}


async def _input_and_outcome(system: System, row: ExecutionRow) -> Answer:
    """The first event of an execution has its input, the last one of an ended one the outcome."""
    steps = await system.log.read(row.id)
    answer: Answer = {
        "input": decode_step(steps[0].body).events[0].payload("input").text.decode(),
        "inputDetails": {"included": True},
    }
    if row.status == "SUCCEEDED":
        output = decode_step(steps[-1].body).events[-1].payload("output")
        answer |= {"output": output.text.decode(), "outputDetails": {"included": True}}
    elif row.status in ("FAILED", "ABORTED"):
        details = decode_step(steps[-1].body).events[-1].details or {}
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


async def list_executions(system: System, request: Request) -> Answer:
    """Executions of a state machine, the newest first.

    Raises:
        ValidationException: Not exactly one of the ARNs is given, or with the wrong filter.
        InvalidArn, StateMachineDoesNotExist, ResourceNotFound: The ARN is bad.
        InvalidToken: The page token is bad.
    """
    arn = _listed_machine(request)
    size = page_size(request)
    before = last_place("ListExecutions", request, numbers=1)
    rows = await system.log.executions(
        state_machine_arn=arn,
        status=request.get("statusFilter"),
        before_id=before[0] if before else None,
        limit=size + 1,
    )
    if not rows:
        # Executions outlive a state machine that is offered no more; without any it is unknown.
        system.catalog.machine(arn)
    answer: Answer = {"executions": [_listed(row) for row in rows[:size]]}
    if len(rows) > size:
        answer["nextToken"] = next_token("ListExecutions", request, [rows[size - 1].id])
    return answer


def _listed_machine(request: Request) -> str:
    """The ARN of the state machine whose executions are asked for."""
    machine, map_run = request.get("stateMachineArn"), request.get("mapRunArn")
    if (machine is None) == (map_run is None):
        raise ValidationException("Must provide a StateMachine ARN or MapRun ARN")
    if machine is None:
        # No state machine that has Map Runs can be started yet.
        raise ResourceNotFound(f"Resource not found: '{map_run_arn(request['mapRunArn'])}'")
    if "redriveFilter" in request:
        raise ValidationException(
            "RedriveFilter cannot be applied to ListExecutions call with StateMachine ARN"
        )
    return state_machine_arn(machine)


def _listed(row: ExecutionRow) -> dict[str, Json]:
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
