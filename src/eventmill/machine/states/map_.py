"""Map: runs its processor once for each item, inline, and gathers the outputs in item order.

An iteration is a frame while it runs and one payload afterwards; nothing recurses over items.
"""

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.syntax import Map
from eventmill.errors import AuthorError
from eventmill.machine import data_flow
from eventmill.machine.context import input_environment, items_of
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.machine.history import Details
from eventmill.machine.numbers import max_concurrency
from eventmill.machine.states import distributed_map
from eventmill.model import Json, Payload


def begin(decision: Decision, frame: Frame, state: Map) -> None:
    """Make an attempt, the first or one after a retry's delay.

    As many iterations start as may run at once.
    """
    if state.is_misplaced:
        fields = "ItemReader, ItemBatcher and ResultWriter fields"
        raise AuthorError(RUNTIME, f"The {fields} are not supported for INLINE maps")
    if state.distribution is not None:
        distributed_map.begin(decision, frame, state, state.distribution)
        return
    items = items_of(decision.execution, frame)
    at_once = _at_once(decision, frame, state)
    decision.emit(frame, "MapStateStarted", {"length": len(items)})
    # Started has made the frame forget what belonged to an earlier attempt, its items too.
    frame.items = items
    if items:
        _admit(decision, frame, state, at_once, frame.last_id)
    else:
        data_flow.gather(decision, frame, state)


def iteration_finished(decision: Decision, frame: Frame, child: Frame) -> None:
    """An iteration came to its end: it makes room for another, or ends the state."""
    state = frame.state
    assert isinstance(state, Map)
    details: Details = {"name": state.name, "index": child.index}
    decision.emit(frame, "MapIterationSucceeded", details, previous_id=child.last_id)
    if frame.admitted < frame.length:
        _admit(decision, frame, state, _at_once(decision, frame, state), child.last_id)
    elif not frame.children:
        data_flow.gather(decision, frame, state)


def _admit(decision: Decision, frame: Frame, state: Map, at_once: int, previous_id: int) -> None:
    while frame.admitted < frame.length and len(frame.children) < at_once:
        index = frame.admitted
        data = _item_input(decision, frame, state, index)
        details: Details = {"name": state.name, "index": index}
        decision.emit(frame, "MapIterationStarted", details, previous_id=previous_id)
        decision.runnable.append((frame.children[index], data))


def _item_input(decision: Decision, frame: Frame, state: Map, index: int) -> Payload:
    execution = decision.execution
    value = items_of(execution, frame)[index]
    if state.item_selector is None:
        return Payload.of(value)
    item: Json = {"Index": index, "Value": value}
    surroundings = input_environment(execution, frame, state.input_path, item=item)
    return state.item_selector.render(surroundings)


def _at_once(decision: Decision, frame: Frame, state: Map) -> int:
    quota = decision.execution.quotas.map_concurrency_max
    wanted = max_concurrency(decision.execution, frame, state)
    return min(wanted, quota) if wanted else quota
