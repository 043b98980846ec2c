"""The request of TestState as values, and what AWS says when its members do not fit together.

What depends on the definition is checked elsewhere; the constraints of single members are the
API's. Source: TestState of the API reference; the messages are the service's.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from eventmill.errors import InvalidExecutionInput, ValidationException
from eventmill.inspection.context_object import check_context_object
from eventmill.model import Failure, Json, Payload, decode_json
from eventmill.record import record

Level: TypeAlias = Literal["INFO", "DEBUG", "TRACE"]
ValidationMode: TypeAlias = Literal["STRICT", "PRESENT", "NONE"]

# What tells how a mocked state is to be taken; without a mock AWS refuses each of them.
_OF_A_MOCK: Final = {
    "retrierRetryCount": "RetrierRetryCount",
    "errorCausedByState": "ErrorCausedByState",
    "mapIterationFailureCount": "MapIterationFailureCount",
    "mapItemReaderData": "MapItemReaderData",
}


@record
class MockedResult:
    """What the state's work is said to have given."""

    payload: Payload
    mode: ValidationMode


Mock: TypeAlias = MockedResult | Failure
"""What stands for the state's work: its result, or its failure."""


@record
class Request:
    """A request of TestState; absent members have the values that AWS gives them.

    `context` takes the place of the whole Context Object. `retries` is how often the retrier that
    matches was used before, `failed_iterations` how many iterations of a Map have failed.
    `reader_data` is the text of the object that an ItemReader would read.
    """

    definition: str
    state_name: str | None
    role_arn: str | None
    input: Payload
    level: Level
    variables: dict[str, Json]
    context: dict[str, Json] | None
    mock: Mock | None
    retries: int
    failed_iterations: int | None
    reader_data: str | None


def read_request(parameters: Mapping[str, Json]) -> Request:
    """The request that `parameters` are, members of the types of AWS's model.

    Raises:
        ValidationException: Members exclude each other, or their texts are not what they must be.
        InvalidExecutionInput: The input is not JSON.
    """
    mock = _object(parameters.get("mock"))
    configuration = _object(parameters.get("stateConfiguration")) or {}
    if mock is None:
        _refuse_without_mock(parameters, configuration)
    elif parameters.get("revealSecrets"):
        raise ValidationException(
            "TestState does not support RevealSecrets when a mock is specified."
        )
    return Request(
        definition=str(parameters["definition"]),
        state_name=_text(parameters.get("stateName")),
        role_arn=_text(parameters.get("roleArn")),
        input=_input(_text(parameters.get("input"))),
        level=_level(parameters.get("inspectionLevel")),
        variables=_json_object("variables", parameters.get("variables")) or {},
        context=_context(parameters.get("context")),
        mock=None if mock is None else _mock(mock),
        retries=_number(configuration.get("retrierRetryCount")) or 0,
        failed_iterations=_number(configuration.get("mapIterationFailureCount")),
        reader_data=_text(configuration.get("mapItemReaderData")),
    )


def _refuse_without_mock(parameters: Mapping[str, Json], configuration: Mapping[str, Json]) -> None:
    given = [shown for name, shown in _OF_A_MOCK.items() if configuration.get(name) is not None]
    if parameters.get("context") is not None:
        given.append("Context")
    if given:
        raise ValidationException(
            f"TestState does not support {given[0]} when a mock is not specified."
        )


def _mock(mock: Mapping[str, Json]) -> Mock:
    result, error_output = _text(mock.get("result")), _object(mock.get("errorOutput"))
    if result is not None and error_output is not None:
        raise ValidationException(
            "A test mock should have only one of the following fields: [result, errorOutput]."
        )
    if result is not None:
        return MockedResult(
            payload=_mocked_payload(result), mode=_mode(mock.get("fieldValidationMode"))
        )
    if error_output is None:
        raise ValidationException(
            "One of the following fields is required for a test mock: [result, errorOutput]."
        )
    error = _text(error_output.get("error"))
    if not error:
        raise ValidationException("An error was not specified in the mocked error output.")
    return Failure(error=error, cause=_text(error_output.get("cause")))


def _mocked_payload(text: str) -> Payload:
    try:
        return Payload.parse(text.encode())
    except ValueError:
        raise ValidationException("Mocked result must be valid JSON") from None


def _input(text: str | None) -> Payload:
    try:
        return Payload.parse((text or "{}").encode())
    except ValueError as error:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from None


def _context(text: Json) -> dict[str, Json] | None:
    context = _json_object("context", text)
    if context is not None:
        check_context_object(context)
    return context


def _json_object(name: str, text: Json) -> dict[str, Json] | None:
    """The object that a member has as text."""
    if text is None:
        return None
    try:
        value = decode_json(str(text))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValidationException(f"Value of '{name}' must be a JSON object")
    return value


def _level(value: Json) -> Level:
    match value:
        case "DEBUG":
            return "DEBUG"
        case "TRACE":
            return "TRACE"
        case _:
            return "INFO"


def _mode(value: Json) -> ValidationMode:
    match value:
        case "PRESENT":
            return "PRESENT"
        case "NONE":
            return "NONE"
        case _:
            return "STRICT"


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Json) -> int | None:
    return value if isinstance(value, int) else None


def _object(value: Json) -> dict[str, Json] | None:
    return value if isinstance(value, dict) else None
