"""Map: runs its processor once for each item, inline, and gathers the outputs in item order.

An iteration is a frame while it runs and one payload afterwards; nothing recurses over items.
"""

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.query_results import queried_number
from eventmill.asl.syntax import Map
from eventmill.machine import data_flow
from eventmill.machine.context import environment, items_of, select
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.machine.history import Details
from eventmill.model import AuthorError, Payload
from eventmill.query.jsonata import Query
from eventmill.query.jsonpath import Path, PathNotFound


def enter(decision: Decision, frame: Frame, state: Map) -> None:
    """Start as many iterations as may run at once."""
    begin(decision, frame, state)


def begin(decision: Decision, frame: Frame, state: Map) -> None:
    """Make an attempt, the first or one after a retry's delay."""
    items = items_of(decision.execution, frame)
    at_once = _at_once(decision, frame, state)
    decision.emit(frame, "MapStateStarted", {"length": len(items)})
    # Started has made the frame forget what belonged to an earlier attempt, its items too.
    frame.items = items
    if items:
        _admit(decision, frame, state, at_once, frame.last_id)
    else:
        _succeed(decision, frame, state)


def iteration_finished(decision: Decision, frame: Frame, child: Frame) -> None:
    """An iteration came to its end: it makes room for another, or ends the state."""
    state = frame.state
    assert isinstance(state, Map)
    details: Details = {"name": state.name, "index": child.index}
    decision.emit(frame, "MapIterationSucceeded", details, previous_id=child.last_id)
    if frame.admitted < frame.length:
        _admit(decision, frame, state, _at_once(decision, frame, state), child.last_id)
    elif not frame.children:
        _succeed(decision, frame, state)


def _admit(decision: Decision, frame: Frame, state: Map, at_once: int, previous_id: int) -> None:
    while frame.admitted < frame.length and len(frame.children) < at_once:
        index = frame.admitted
        data = _item_input(decision, frame, state, index)
        details: Details = {"name": state.name, "index": index}
        decision.emit(frame, "MapIterationStarted", details, previous_id=previous_id)
        decision.runnable.append((frame.children[index], data))


def _item_input(decision: Decision, frame: Frame, state: Map, index: int) -> Payload:
    execution = decision.execution
    if state.item_selector is None:
        return Payload.of(items_of(execution, frame)[index])
    surroundings = environment(execution, frame, frame.data, item=index)
    data = select(state.input_path, surroundings)
    return state.item_selector.render(surroundings.over(data))


def _at_once(decision: Decision, frame: Frame, state: Map) -> int:
    quota = decision.execution.quotas.map_concurrency_max
    wanted = state.max_concurrency
    if isinstance(wanted, Query):
        surroundings = environment(decision.execution, frame, frame.data)
        wanted = queried_number(wanted, wanted.evaluate(surroundings))
    if isinstance(wanted, Path):
        wanted = _read_concurrency(decision, frame, state, wanted)
    return min(wanted, quota) if wanted else quota


def _read_concurrency(decision: Decision, frame: Frame, state: Map, path: Path) -> int:
    surroundings = environment(decision.execution, frame, frame.data)
    data = select(state.input_path, surroundings)
    try:
        given = path.find(surroundings.over(data))
    except PathNotFound as error:
        raise AuthorError(RUNTIME, f"Invalid path '{path.text}' : {error}") from None
    try:
        if isinstance(given, bool) or not isinstance(given, (int, str)):
            raise ValueError
        number = int(given)
    except ValueError:
        cause = (
            f'The MaxConcurrencyPath field refers to value "{data_flow.shown(given)}" '
            f"which is not a valid integer: {path.text}"
        )
        raise AuthorError(RUNTIME, cause) from None
    if number < 0:
        cause = f"Expected non-negative integer for MaxConcurrency, got {number} instead."
        raise AuthorError(RUNTIME, cause)
    return number


def _succeed(decision: Decision, frame: Frame, state: Map) -> None:
    decision.emit(frame, "MapStateSucceeded")
    data_flow.leave_with(decision, frame, state, data_flow.array(frame.results))
