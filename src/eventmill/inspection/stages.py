"""The way of data through a state, stage by stage: what comes before its work, and what after.

Which stages AWS shows depends on the type of the state and on its query language. Source:
InspectionData of the API reference; recorded answers say what is left out.
"""

from eventmill.asl.syntax import Choice, Fail, Map, Parallel, Pass, Succeed, Task, Wait
from eventmill.inspection.trial import Trial
from eventmill.machine import data_flow
from eventmill.machine.context import environment, select
from eventmill.machine.history import WAIT_SCHEDULED
from eventmill.machine.states import choice, fail, succeed, task, wait
from eventmill.model import Payload


def pass_through(trial: Trial) -> None:
    """All of a state that does no work.

    A Wait is over at once: how long it takes changes nothing in its answer.

    Raises:
        AuthorError: A path leads nowhere, an expression fails, or a value is over its quota.
    """
    decision, frame, state = trial.decision, trial.frame, trial.state
    if isinstance(state, Pass):
        _pass(trial, state)
        return
    show_input(trial)
    match state:
        case Choice():
            choice.enter(decision, frame, state)
        case Succeed():
            succeed.enter(decision, frame, state)
        case Fail():
            fail.enter(decision, frame, state)
        case Wait():
            wait.enter(decision, frame, state)
            if decision.events[-1].type == WAIT_SCHEDULED:
                wait.over(decision, frame, state)
        case _:
            raise AssertionError(f"{state.name} has work to do")


def _pass(trial: Trial, state: Pass) -> None:
    if state.result is not None:
        leave(trial, state, trial.show("result", state.result))
        return
    show_input(trial)
    data = data_flow.effective_input(trial.execution, trial.frame, state)
    if state.language == "JSONPath":
        trial.show("afterParameters", data)
    leave(trial, state, data)


def show_input(trial: Trial) -> None:
    """The state's input after InputPath, which neither JSONata nor Fail has.

    Raises:
        AuthorError: The path leads nowhere.
    """
    state, frame = trial.state, trial.frame
    if state.language == "JSONPath":
        data = frame.data
        if not isinstance(state, Fail):
            data = select(state.input_path, environment(trial.execution, frame, data))
        trial.show("afterInputPath", data)


def schedule(trial: Trial, state: Task) -> None:
    """A Task up to its call.

    Raises:
        AuthorError: The parameters or a timeout cannot be worked out.
    """
    show_input(trial)
    task.schedule(trial.decision, trial.frame, state)
    assert trial.frame.task is not None
    _show_parameters(trial, state, trial.frame.task.parameters)


def fork(trial: Trial, state: Parallel) -> None:
    """A Parallel up to its branches.

    Raises:
        AuthorError: The parameters cannot be worked out.
    """
    show_input(trial)
    data = data_flow.effective_input(trial.execution, trial.frame, state)
    _show_parameters(trial, state, data)


def _show_parameters(trial: Trial, state: Task | Parallel, data: Payload) -> None:
    if state.language == "JSONPath":
        trial.show("afterParameters", data)
    elif state.parameters is not None:
        trial.show("afterArguments", data)


def leave(trial: Trial, state: Pass | Task | Parallel | Map, result: Payload) -> None:
    """Exit the state with the result of its work.

    Raises:
        AuthorError: A path leads nowhere, an expression fails, or a value is over its quota.
    """
    execution, frame = trial.execution, trial.frame
    if not isinstance(state, Pass):
        result = data_flow.selected(execution, frame, state, result)
    if state.language == "JSONPath":
        trial.show("afterResultSelector", result)
        trial.show("afterResultPath", data_flow.placed(frame, state, result))
    output = data_flow.output(execution, frame, state, result)
    trial.decision.leave(frame, output, data_flow.variables(execution, frame, state, result))
