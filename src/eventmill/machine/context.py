"""What an expression sees from inside a frame: the Context Object, its item, its random numbers.

Source: "Context object" in the Step Functions developer guide; the order of keys is the service's.
"""

from collections.abc import Callable, Mapping

from eventmill.asl.error_names import QUERY_EVALUATION_ERROR, REFERENCE_PATH_CONFLICT, RUNTIME
from eventmill.asl.query_results import unexpected
from eventmill.asl.syntax import Map, Parallel, StateMachine, Task
from eventmill.errors import AuthorError
from eventmill.instant import format_instant
from eventmill.machine.execution import Execution, Frame, Identity
from eventmill.machine.randomness import draws
from eventmill.machine.tokens import task_token
from eventmill.model import EMPTY_OBJECT, Json, Payload, encode_json
from eventmill.query.environment import Environment
from eventmill.query.jsonata import QueryTemplate
from eventmill.query.jsonpath import Path, PathNotFound


class WithContext(Execution):
    """An execution whose Context Object is given, not described: TestState lets its caller do so.

    Items of a Map are added to it all the same.
    """

    def __init__(self, identity: Identity, machine: StateMachine, context: dict[str, Json]) -> None:
        super().__init__(identity, machine)
        self.context = context


def environment(
    execution: Execution,
    frame: Frame,
    data: Payload,
    *,
    item: Json = None,
    as_of: tuple[int, int] | None = None,
    result: Payload | None = None,
    error_output: Payload | None = None,
) -> Environment:
    """The surroundings of an expression of `frame`'s state that reads `data` as its input.

    `item` is what an ItemSelector is about, as `Map.Item` of the Context Object shows it. Random
    numbers and the time are the next event's, or those of the event with this id and time.
    """
    event_id, now_ms = as_of or (execution.sequence, execution.now_ms)
    return Environment(
        data,
        lambda: Payload.of(_context_object(execution, frame, item)),
        _variables(frame),
        draws(execution.seed, event_id),
        result=result,
        error_output=error_output,
        now_ms=now_ms,
    )


def input_environment(
    execution: Execution, frame: Frame, path: Path | None, *, item: Json = None
) -> Environment:
    """The same over the input of `frame`'s state after InputPath, which is `path`.

    Raises:
        AuthorError: The path leads nowhere.
    """
    surroundings = environment(execution, frame, frame.data, item=item)
    return surroundings if is_whole(path) else surroundings.over(select(path, surroundings))


def item_surroundings(
    execution: Execution, frame: Frame, data: Payload, lot: int
) -> Callable[[int, Json], Environment]:
    """What an ItemSelector sees for one item after another, as everything is now.

    It is asked with the index and with what `Map.Item` shows. Each item draws random numbers of
    its own, from a `lot` that belongs to no event.
    """
    context = _context_object(execution, frame, None)
    variables, now_ms, seed = _variables(frame), execution.now_ms, execution.seed
    assert isinstance(context, dict)

    def of(index: int, item: Json) -> Environment:
        return Environment(
            data,
            lambda: Payload.of({**context, "Map": {"Item": item}}),
            variables,
            draws(seed, lot + index),
            now_ms=now_ms,
        )

    return of


def _variables(frame: Frame) -> Mapping[str, Json]:
    """All that the frame sees: its own variables and those of the frames around it."""
    seen: dict[str, Json] = {}
    around: Frame | None = frame
    while around is not None:
        if around.variables:
            own = {name: variable.value for name, variable in around.variables.items()}
            seen = {**own, **seen}
        around = around.parent
    return seen


def is_whole(path: Path | None) -> bool:
    """Whether a path is `$`, as nearly all are: then there is nothing to evaluate."""
    return path is not None and path.text == "$"


def select(path: Path | None, surroundings: Environment) -> Payload:
    """What an InputPath or OutputPath leaves over; None is the path `null`."""
    return EMPTY_OBJECT if path is None else path.select(surroundings)


def items_of(execution: Execution, frame: Frame) -> list[Json]:
    """The items of the inline Map that `frame` is in, read from its input again after a recovery.

    Raises:
        AuthorError: ItemsPath leads to no array.
    """
    items = dataset_of(execution, frame)
    assert isinstance(items, list), "objects are for distributed Maps"
    return items


def dataset_of(execution: Execution, frame: Frame) -> list[Json] | dict[str, Json]:
    """The same of any Map; a distributed one may also go through the members of an object.

    Raises:
        AuthorError: There is neither.
    """
    state = frame.state
    assert isinstance(state, Map)
    if frame.items is None:
        # Whenever they are read, they are the same: as of the state's beginning.
        entered = (frame.entered_id, frame.entered_ms)
        surroundings = environment(execution, frame, frame.data, as_of=entered)
        frame.items = _read_items(state, surroundings)
    return frame.items


def _read_items(state: Map, surroundings: Environment) -> list[Json] | dict[str, Json]:
    items = state.items
    if isinstance(items, QueryTemplate):
        value = items.render(surroundings).value
        assert isinstance(value, (list, dict)), "a literal Items is an array or an object"
        return value
    if isinstance(items, Path):
        return _items_at(items, state, surroundings)
    value = items.evaluate(surroundings)
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and state.distribution is not None:
        return value
    raise unexpected(items, "array", value)


def _items_at(path: Path, state: Map, surroundings: Environment) -> list[Json]:
    data = select(state.input_path, surroundings)
    try:
        items = path.find(surroundings.over(data))
    except PathNotFound:
        step = path.text.rsplit(".", 1)[-1]
        cause = f'Unable to apply step "{step}" to input {data.text.decode()}'
        raise AuthorError(REFERENCE_PATH_CONFLICT, cause) from None
    if isinstance(items, list):
        return items
    if state.language == "JSONata":  # without Items, whatever the input is
        cause = f"Map state input must be an array but was: {encode_json(items).decode()}"
        raise AuthorError(QUERY_EVALUATION_ERROR, cause, location="")
    cause = f'Reference path "{path.text}" must point to array.'
    raise AuthorError(RUNTIME, cause, located=False)


def _context_object(execution: Execution, frame: Frame, item: Json) -> Json:
    if isinstance(execution, WithContext):
        return {**execution.context, "Map": {"Item": item}} if item else execution.context
    identity = execution.identity
    context: dict[str, Json] = {
        "Execution": {
            "Id": identity.arn,
            "Input": execution.input.value,
            "StartTime": format_instant(execution.start_ms),
            "Name": identity.name,
            "RoleArn": execution.role_arn,
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": identity.state_machine_arn, "Name": identity.state_machine_name},
        "State": _state(frame),
    }
    value = item or _item(execution, frame)
    if value is not None:
        context["Map"] = {"Item": value}
    state = frame.state
    if isinstance(state, Task) and state.resource.pattern == "callback":
        # Asked for while the parameters are filled in: the Scheduled event comes next.
        token = task_token(identity.arn, execution.seed, execution.sequence + 1)
        context["Task"] = {"Token": token}
    return context


def _state(frame: Frame) -> Json:
    assert frame.state is not None
    described: dict[str, Json] = {
        "Name": frame.state.name,
        "EnteredTime": format_instant(frame.entered_ms),
    }
    if isinstance(frame.state, (Task, Map, Parallel)):
        described["RetryCount"] = frame.retry_count
    return described


def _item(execution: Execution, frame: Frame) -> Json:
    """The item of the innermost Map around an expression."""
    inner, outer = frame, frame.parent
    while outer is not None:
        if isinstance(outer.state, Map):
            return {"Index": inner.index, "Value": items_of(execution, outer)[inner.index]}
        inner, outer = outer, outer.parent
    return None
