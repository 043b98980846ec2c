"""The Context Object that a state under test sees: made up, or given with the request.

Source: "Context object" of the developer guide; names, order and messages are the service's.
"""

from typing import Final
from uuid import uuid4

from eventmill.arn import Home
from eventmill.asl.syntax import Map, Parallel, State, Task
from eventmill.errors import ValidationException
from eventmill.instant import format_instant
from eventmill.machine.execution import Identity
from eventmill.machine.tokens import task_token
from eventmill.model import Json, Payload

TESTED: Final = "StateName"
"""What a state under test is called where its definition does not say it."""

# What a Context Object may hold, and of which type each member is.
_MEMBERS: Final[dict[str, dict[str, tuple[type, ...]]]] = {
    "Execution": {
        "Id": (str,),
        "Input": (dict, list, str, int, float, bool, type(None)),
        "Name": (str,),
        "RedriveCount": (int, float),
        "RedriveTime": (str,),
        "RoleArn": (str, type(None)),
        "StartTime": (str,),
    },
    "State": {"EnteredTime": (str,), "Name": (str,), "RetryCount": (int, float)},
    "StateMachine": {"Id": (str,), "Name": (str,)},
    "Task": {"Token": (str,)},
}


def check_context_object(context: dict[str, Json]) -> None:
    """Refuse a Context Object that no state could see.

    Raises:
        ValidationException: A member is unknown, or of another type.
    """
    for name, value in context.items():
        if name == "Map":
            raise _invalid("'Map' field is not supported when mocking a Context object")
        if name not in _MEMBERS:
            raise _invalid(f"Field '{name}' is not allowed")
        if not isinstance(value, dict):
            raise _invalid(f"{name} must be an object")
        _check_members(name, value)


def _check_members(owner: str, members: dict[str, Json]) -> None:
    for name, value in members.items():
        types = _MEMBERS[owner].get(name)
        if types is None:
            raise _invalid(f"Field '{name}' is not allowed")
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            kind = "a string" if str in types else "a number"
            raise _invalid(f"{owner}.{name} must be {kind}")


def _invalid(what: str) -> ValidationException:
    return ValidationException(f"Invalid Context object provided: {what}")


def made_up_identity(home: Home) -> Identity:
    """Names for an execution that exists in nobody's list: AWS makes them up as well."""
    machine, name = str(uuid4()), str(uuid4())
    arn = f"arn:aws:states:{home.region}:{home.account}:express:{machine}:{name}"
    return Identity.of(arn, home.state_machine(machine))


def made_up_context(
    identity: Identity,
    state: State,
    data: Payload,
    *,
    role_arn: str | None,
    retries: int,
    now_ms: int,
) -> dict[str, Json]:
    """The Context Object of a test without one of its own; like that of an Express execution."""
    entered: dict[str, Json] = {"Name": TESTED, "EnteredTime": format_instant(now_ms)}
    if isinstance(state, (Task, Map, Parallel)):
        entered["RetryCount"] = retries
    context: dict[str, Json] = {
        "Execution": {
            "Id": identity.arn,
            "Input": data.value,
            "Name": identity.name,
            "RoleArn": role_arn,
            "StartTime": format_instant(now_ms),
        },
        "StateMachine": {
            "Id": identity.state_machine_arn,
            "Name": identity.state_machine_name,
        },
        "State": entered,
    }
    if isinstance(state, Task) and state.resource.pattern == "callback":
        context["Task"] = {"Token": task_token(identity.arn, 0, 0)}
    return context
