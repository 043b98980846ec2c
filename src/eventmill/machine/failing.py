"""Failures: retried, caught, or handed to the state around, up to the end of the execution.

Source: "Handling errors in Step Functions workflows"; the order of events is the service's.
"""

from collections.abc import Callable

from eventmill.asl.error_names import HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT
from eventmill.asl.retry import Catcher, Retrier, first_match
from eventmill.asl.syntax import Map, Parallel, Task, Wait
from eventmill.errors import AuthorError
from eventmill.machine.assigning import assigned
from eventmill.machine.context import environment
from eventmill.machine.data_flow import placed
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.machine.history import RETRY_SCHEDULED, Details, reason_of
from eventmill.machine.randomness import fraction
from eventmill.model import Failure, Payload
from eventmill.query.template import Template


def attempt(decision: Decision, frame: Frame, work: Callable[[], None]) -> None:
    """Do `work` for the frame's state; what the author got wrong becomes the state's failure."""
    entered_id = frame.entered_id
    try:
        work()
    except AuthorError as error:
        failure = _located(error, frame, entered_id)
        if error.location is not None:
            before_id = _before_evaluation(frame, error.location)
            _write_evaluation_failed(decision, frame, failure, error.location, before_id)
        fail(decision, frame, failure)


def _located(error: AuthorError, frame: Frame, entered_id: int) -> Failure:
    """The failure with the place where it happened, where the service tells it."""
    if not error.located:
        return error.failure
    assert frame.state is not None
    where = f"'{frame.state.name}' (entered at the event id #{entered_id})"
    cause = f"An error occurred while executing the state {where}. {error.failure.cause}"
    return Failure(error=error.failure.error, cause=cause)


def _before_evaluation(frame: Frame, location: str) -> int:
    """What an EvaluationFailed event points back to.

    Right after a state was entered the service skips the Entered event, but for a Timestamp.
    """
    just_entered = frame.last_id == frame.entered_id
    return frame.before_id if just_entered and location != "Timestamp" else frame.last_id


def _write_evaluation_failed(
    decision: Decision, frame: Frame, failure: Failure, location: str, after_id: int
) -> None:
    """Say which field of the frame's state could not be evaluated; "" is its input."""
    assert frame.state is not None
    where: Details = {"location": location} if location else {}
    where["state"] = frame.state.name
    details = {**reason_of(_reported(failure)), **where}
    decision.emit(frame, "EvaluationFailed", details, previous_id=after_id)


def fail(decision: Decision, frame: Frame, failure: Failure, after_id: int | None = None) -> None:
    """The state that `frame` is in has failed, by event `after_id` (default: its last)."""
    state = frame.state
    after_id = frame.last_id if after_id is None else after_id
    if failure.error == RUNTIME:
        end(decision, "ExecutionFailed", failure, after_id)
    elif isinstance(state, (Task, Parallel, Map)):
        _retry_or_catch(decision, frame, state, failure, after_id)
    else:
        _hand_on(decision, frame, failure)


def end(decision: Decision, type: str, failure: Failure, previous_id: int) -> None:
    """End the execution badly; nothing in it runs on."""
    root = decision.execution.root
    decision.emit(root, type, reason_of(_reported(failure)), previous_id=previous_id)
    decision.runnable.clear()
    decision.finished.clear()


def _retry_or_catch(
    decision: Decision, frame: Frame, state: Task | Parallel | Map, failure: Failure, after_id: int
) -> None:
    retrier = first_match(state.retry, failure.error)
    # The first retrier that matches owns the error; no later one is asked when it is used up.
    if retrier is not None and frame.retries.get(retrier, 0) < state.retry[retrier].max_attempts:
        _schedule_retry(decision, frame, retrier, state.retry[retrier], after_id)
        return
    _write_state_failed(decision, frame, after_id)
    catcher = first_match(state.catch, failure.error)
    if catcher is None:
        _hand_on(decision, frame, failure)
    else:
        _catch(decision, frame, state.catch[catcher], failure, after_id)


def _write_state_failed(decision: Decision, frame: Frame, after_id: int) -> None:
    if isinstance(frame.state, (Parallel, Map)):
        kind = type(frame.state).__name__
        decision.emit(frame, f"{kind}StateFailed", previous_id=after_id)


def _schedule_retry(
    decision: Decision, frame: Frame, index: int, retrier: Retrier, after_id: int
) -> None:
    execution = decision.execution
    jitter = fraction(execution.seed, execution.sequence)
    delay = retrier.delay_seconds(frame.retries.get(index, 0) + 1, jitter=jitter)
    due_ms = decision.now_ms + round(delay * 1000)
    decision.note(frame, RETRY_SCHEDULED, {"retrier": index, "due_ms": due_ms}, after_id)


def _catch(
    decision: Decision, frame: Frame, catcher: Catcher, failure: Failure, after_id: int
) -> None:
    reported = _reported(failure)
    error_output = Payload.of({"Error": reported.error or "", "Cause": reported.cause or ""})
    entered_id = frame.entered_id
    try:
        output = _caught_output(decision, frame, catcher, error_output)
        assigned = _caught_variables(decision, frame, catcher, error_output)
        decision.leave(frame, output, assigned, next=catcher.next)
    except AuthorError as error:
        own = _located(error, frame, entered_id)
        if error.location is not None:
            _write_evaluation_failed(decision, frame, own, error.location, after_id)
            _write_state_failed(decision, frame, frame.last_id)
        _hand_on(decision, frame, own)


def _caught_output(
    decision: Decision, frame: Frame, catcher: Catcher, error_output: Payload
) -> Payload:
    if catcher.output is None:
        return placed(frame, catcher, error_output)
    surroundings = environment(decision.execution, frame, frame.data, error_output=error_output)
    return catcher.output.render(surroundings)


def _caught_variables(
    decision: Decision, frame: Frame, catcher: Catcher, error_output: Payload
) -> Payload | None:
    # In a JSONPath state `$` is the error output here; in a JSONata state the input stays.
    data = error_output if isinstance(catcher.assign, Template) else frame.data
    surroundings = environment(decision.execution, frame, data, error_output=error_output)
    return assigned(decision.execution, frame, catcher.assign, surroundings)


def _hand_on(decision: Decision, frame: Frame, failure: Failure) -> None:
    """Nothing in the frame takes the failure: it becomes that of the state around the frame."""
    parent = frame.parent
    if parent is None:
        end(decision, "ExecutionFailed", failure, frame.last_id)
        return
    _cut_siblings(decision, parent, frame)
    fail(decision, parent, failure, frame.last_id)


def _cut_siblings(decision: Decision, parent: Frame, failing: Frame) -> None:
    """Write down what a failing branch or iteration cuts off, in order of index."""
    state, last_id = parent.state, failing.last_id
    for index in sorted(parent.children):
        child = parent.children[index]
        if isinstance(state, Map):
            outcome = "MapIterationFailed" if child is failing else "MapIterationAborted"
            details: Details = {"name": state.name, "index": index}
            decision.emit(parent, outcome, details, previous_id=last_id)
        if child is not failing or isinstance(child.state, Task):
            _cut(decision, child, last_id)


def _cut(decision: Decision, frame: Frame, last_id: int) -> None:
    for index in sorted(frame.children):
        _cut(decision, frame.children[index], last_id)
    if isinstance(frame.state, (Task, Wait, Parallel, Map)):
        kind = type(frame.state).__name__
        decision.emit(frame, f"{kind}StateAborted", previous_id=last_id)


def _reported(failure: Failure) -> Failure:
    """A failure under the name AWS reports: a heartbeat that ran out is a timeout."""
    if failure.error == HEARTBEAT_TIMEOUT:
        return Failure(error=TIMEOUT, cause=failure.cause)
    return failure
