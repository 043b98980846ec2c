"""TestState."""

from typing import Final

from eventmill.api.constraints import ARN, CAUSE, ERROR, Flag, Number, Text
from eventmill.api.operation import Answer, Operation, Request
from eventmill.api.payloads import execution_input
from eventmill.api.structures import Structure, Structures
from eventmill.inspection import call
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.system import System

_LEVELS: Final = ("INFO", "DEBUG", "TRACE")
_VALIDATION_MODES: Final = ("STRICT", "PRESENT", "NONE")
_STATE_NAME: Final = Text(min=1, max=80)
_DATA: Final = Text(max=262_144)
_COUNT: Final = Number(min=0, max=2**31 - 1)


async def test_state(system: System, request: Request) -> Answer:
    """Try one state with an input, and tell what came of it. Nothing of it is kept.

    Raises:
        InvalidDefinition, InvalidExecutionInput: A text is bad.
        ConstraintViolation: The input is over the quota.
        ValidationException: The members do not fit together, or not to the state.
    """
    settings = system.settings
    execution_input(request.get("input", "{}"), settings.quotas)
    return await call.test_state(
        request,
        home=settings.home,
        now_ms=SystemClock().now_ms(),
        run=system.dispatch.run,
        quotas=settings.quotas,
    )


STRUCTURES: Final[Structures] = {
    "mock": Structure(
        members={"result": _DATA, "fieldValidationMode": Text(values=_VALIDATION_MODES)},
        structures={"errorOutput": Structure(members={"error": ERROR, "cause": CAUSE})},
    ),
    "stateConfiguration": Structure(
        members={
            "retrierRetryCount": _COUNT,
            "errorCausedByState": _STATE_NAME,
            "mapIterationFailureCount": _COUNT,
            "mapItemReaderData": _DATA,
        },
    ),
}

OPERATIONS: Final = {
    "TestState": Operation(
        members={
            "definition": Text(min=1, max=1_048_576, required=True),
            "roleArn": ARN,
            "input": Text(),
            "inspectionLevel": Text(values=_LEVELS),
            "revealSecrets": Flag(),
            "variables": _DATA,
            "stateName": _STATE_NAME,
            "context": _DATA,
        },
        structures=STRUCTURES,
        run=test_state,
    ),
}
