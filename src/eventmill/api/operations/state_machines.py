"""ListStateMachines, DescribeStateMachine."""

from typing import Final

from eventmill.api.arns import state_machine_arn
from eventmill.api.constraints import INCLUDED_DATA, PAGE_SIZE, PAGE_TOKEN, REQUIRED_ARN
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.paging import last_place, next_token, page_size
from eventmill.asl.variables import variable_references
from eventmill.model import Json, decode_json
from eventmill.runtime.catalog import Machine
from eventmill.runtime.system import System


async def list_state_machines(system: System, request: Request) -> Answer:
    """The state machines that can be started.

    Raises:
        InvalidToken: The page token is bad.
    """
    machines = list(system.catalog.machines())
    (start,) = last_place("ListStateMachines", request, numbers=1) or (0,)
    end = start + page_size(request)
    answer: Answer = {
        "stateMachines": [dict(_listed(system, each)) for each in machines[start:end]]
    }
    if end < len(machines):
        answer["nextToken"] = next_token("ListStateMachines", request, [end])
    return answer


async def describe_state_machine(system: System, request: Request) -> Answer:
    """A state machine with its definition, the text as it was written.

    Raises:
        InvalidArn, StateMachineDoesNotExist: The ARN is bad.
    """
    machine = system.catalog.machine(state_machine_arn(request["stateMachineArn"]))
    without_definition = request.get("includedData") == "METADATA_ONLY"
    read: Answer = {} if without_definition else _variable_references(machine)
    return {
        **_listed(system, machine),
        "status": "ACTIVE",
        "definition": "{}" if without_definition else machine.text,
        "roleArn": system.settings.home.role("eventmill"),
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
        **({"variableReferences": read} if read else {}),
    }


def _variable_references(machine: Machine) -> Answer:
    document = decode_json(machine.text)
    assert isinstance(document, dict), "a definition is an object"
    return {state: list[Json](names) for state, names in variable_references(document).items()}


def _listed(system: System, machine: Machine) -> Answer:
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "type": "STANDARD",
        "creationDate": _created_seconds(system, machine),
    }


def _created_seconds(system: System, machine: Machine) -> float:
    """When the workflow file was last written, which made this state machine what it is."""
    for workflow in system.project.workflows:
        if workflow.name == machine.name and workflow.path.exists():
            return workflow.path.stat().st_mtime_ns // 1_000_000 / 1000
    return 0.0  # the file is gone; AWS's shape wants a date all the same


OPERATIONS: Final = {
    "ListStateMachines": Operation(
        members={"maxResults": PAGE_SIZE, "nextToken": PAGE_TOKEN},
        run=list_state_machines,
    ),
    "DescribeStateMachine": Operation(
        members={"stateMachineArn": REQUIRED_ARN, "includedData": INCLUDED_DATA},
        run=describe_state_machine,
    ),
}
