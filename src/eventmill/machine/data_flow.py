"""How data passes through a state: InputPath, Parameters, ResultSelector, ResultPath, OutputPath.

Source: "Processing input and output in Step Functions" of the developer guide.
"""

from collections.abc import Sequence

from eventmill.asl.syntax import Choice, Map, Parallel, Pass, Succeed, Task, Wait
from eventmill.machine.assigning import assigned
from eventmill.machine.context import environment, select
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Execution, Frame
from eventmill.model import Json, Payload, encode_json
from eventmill.query.jsonata import QueryTemplate
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

    ResultPath writes into the state's raw input, as it was before InputPath. A JSONata state
    hands its Output on, else the result.

    Raises:
        AuthorError: A path leads nowhere or cannot be written, or an expression fails.
    """
    if state.output is not None:
        return state.output.render(environment(execution, frame, frame.data, result=result))
    combined = placed(frame, state, result)
    if _is_whole(state.output_path):
        return combined
    return select(state.output_path, environment(execution, frame, combined))


def placed(frame: Frame, state: Pass | Task | Parallel | Map, result: Payload) -> Payload:
    """The state's raw input with the `result` where ResultPath puts it.

    Raises:
        AuthorError: The path cannot be written.
    """
    if state.result_path is None:
        return frame.data
    if state.result_path.text == "$":
        return result
    return Payload.of(state.result_path.put(frame.data.value, result.value))


def selected(
    execution: Execution, frame: Frame, state: Task | Parallel | Map, result: Payload
) -> Payload:
    """The state's result after ResultSelector.

    Raises:
        AuthorError: A path leads nowhere, or an intrinsic fails.
    """
    if state.result_selector is None:
        return result
    return state.result_selector.render(environment(execution, frame, result))


def variables(
    execution: Execution, frame: Frame, state: Pass | Task | Parallel | Map, result: Payload
) -> Payload | None:
    """The variables that the state assigns; in a JSONPath state `$` is its result here.

    Raises:
        AuthorError: An expression fails, or a value is over its quota.
    """
    if state.assign is None:
        return None
    data = result if state.language == "JSONPath" else frame.data
    surroundings = environment(execution, frame, data, result=result)
    return assigned(execution, frame, state.assign, surroundings)


def leave_with(
    decision: Decision, frame: Frame, state: Task | Parallel | Map, result: Payload
) -> None:
    """Exit a state with its `result`.

    Raises:
        AuthorError: A path leads nowhere, an expression fails, or something is over its quota.
    """
    execution = decision.execution
    result = selected(execution, frame, state, result)
    handed_on = output(execution, frame, state, result)
    decision.leave(frame, handed_on, variables(execution, frame, state, result))


def through(
    execution: Execution,
    frame: Frame,
    state: Choice | Wait | Succeed,
    output: QueryTemplate | None,
) -> Payload:
    """What a state without a result hands on: its input after InputPath and OutputPath.

    A JSONata state hands `output` on, where there is one.

    Raises:
        AuthorError: A path leads nowhere, or an expression fails.
    """
    if output is not None:
        return output.render(environment(execution, frame, frame.data))
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
