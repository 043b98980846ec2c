"""How data passes through a state: InputPath, Parameters, ResultSelector, ResultPath, OutputPath.

Source: "Processing input and output in Step Functions" of the developer guide.
"""

from collections.abc import Sequence

from eventmill.asl.syntax import Choice, Map, Parallel, Pass, Succeed, Task, Wait
from eventmill.machine.context import environment, select
from eventmill.machine.execution import Execution, Frame
from eventmill.model import Json, Payload, encode_json
from eventmill.query.jsonpath import Path


def effective_input(execution: Execution, frame: Frame, state: Pass | Task | Parallel) -> Payload:
    """The state's input after InputPath and Parameters.

    Raises:
        AuthorError: A path leads nowhere, or an intrinsic fails.
    """
    if state.parameters is None and _is_whole(state.input_path):
        return frame.data
    surroundings = environment(execution, frame, frame.data)
    data = select(state.input_path, surroundings)
    if state.parameters is None:
        return data
    return state.parameters.render(surroundings.over(data))


def output(
    execution: Execution, frame: Frame, state: Pass | Task | Parallel | Map, result: Payload
) -> Payload:
    """What the state hands on: its `result` after ResultSelector, ResultPath and OutputPath.

    ResultPath writes into the state's raw input, as it was before InputPath.

    Raises:
        AuthorError: A path leads nowhere or cannot be written, or an intrinsic fails.
    """
    if not isinstance(state, Pass) and state.result_selector is not None:
        result = state.result_selector.render(environment(execution, frame, result))
    if state.result_path is None:
        combined = frame.data
    elif state.result_path.text == "$":
        combined = result
    else:
        combined = Payload.of(state.result_path.put(frame.data.value, result.value))
    if _is_whole(state.output_path):
        return combined
    return select(state.output_path, environment(execution, frame, combined))


def through(execution: Execution, frame: Frame, state: Choice | Wait | Succeed) -> Payload:
    """What a state without a result hands on: its input after InputPath and OutputPath.

    Raises:
        AuthorError: A path leads nowhere.
    """
    if _is_whole(state.input_path) and _is_whole(state.output_path):
        return frame.data
    surroundings = environment(execution, frame, frame.data)
    data = select(state.input_path, surroundings)
    return select(state.output_path, surroundings.over(data))


def _is_whole(path: Path | None) -> bool:
    """Whether a path is `$`, as nearly all are: then there is nothing to evaluate."""
    return path is not None and path.text == "$"


def array(results: Sequence[Payload | None]) -> Payload:
    """The outputs of branches or iterations, all of them finished, as one array."""
    values: list[Json] = []
    for result in results:
        assert result is not None, "every branch has finished"
        values.append(result.value)
    return Payload.of(values)


def shown(value: Json) -> str:
    """A value as the service shows it in a cause: strings bare, the rest as JSON."""
    return value if isinstance(value, str) else encode_json(value).decode()
