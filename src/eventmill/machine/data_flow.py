"""How data passes through a state: InputPath, Parameters, ResultSelector, ResultPath, OutputPath.

Source: "Processing input and output in Step Functions" of the developer guide.
"""

from eventmill.asl.retry import Catcher
from eventmill.asl.syntax import Choice, Map, Parallel, Pass, Succeed, Task, Wait
from eventmill.machine.assigning import assigned
from eventmill.machine.context import environment, input_environment, is_whole, select
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Execution, Frame
from eventmill.model import Json, Payload, encode_json, payload_with
from eventmill.query.jsonata import QueryTemplate


def effective_input(execution: Execution, frame: Frame, state: Pass | Task | Parallel) -> Payload:
    """The state's input after InputPath and Parameters.

    Raises:
        AuthorError: A path leads nowhere, or an intrinsic fails.
    """
    if state.parameters is None and is_whole(state.input_path):
        return frame.data
    surroundings = input_environment(execution, frame, state.input_path)
    return surroundings.data if state.parameters is None else state.parameters.render(surroundings)


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
    if is_whole(state.output_path):
        return combined
    return select(state.output_path, environment(execution, frame, combined))


def placed(frame: Frame, way: Pass | Task | Parallel | Map | Catcher, result: Payload) -> Payload:
    """The state's raw input with the `result` where the ResultPath of `way` puts it.

    Raises:
        AuthorError: The path cannot be written.
    """
    if way.result_path is None:
        return frame.data
    if way.result_path.text == "$":
        return result
    return payload_with(way.result_path.put(frame.data.value, result.value), result)


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


def gather(decision: Decision, frame: Frame, state: Parallel | Map) -> None:
    """Exit a state with the outputs of its branches or iterations, all of them finished.

    Raises:
        AuthorError: The array does not pass what `leave_with` does with it.
    """
    decision.emit(frame, f"{type(state).__name__}StateSucceeded")
    values: list[Json] = []
    for result in frame.results:
        assert result is not None, "every branch has finished"
        values.append(result.value)
    leave_with(decision, frame, state, Payload.of(values))


def through(
    execution: Execution, frame: Frame, state: Choice | Wait | Succeed, output: QueryTemplate | None
) -> Payload:
    """What a state without a result hands on: its input after InputPath and OutputPath.

    A JSONata state hands `output` on, where there is one.

    Raises:
        AuthorError: A path leads nowhere, or an expression fails.
    """
    if output is not None:
        return output.render(environment(execution, frame, frame.data))
    if is_whole(state.input_path) and is_whole(state.output_path):
        return frame.data
    return select(state.output_path, input_environment(execution, frame, state.input_path))


def shown(value: Json) -> str:
    """A value as the service shows it in a cause: strings bare, the rest as JSON."""
    return value if isinstance(value, str) else encode_json(value).decode()
