"""Choice: goes to the first rule whose condition holds."""

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.syntax import Choice
from eventmill.machine import data_flow
from eventmill.machine.context import environment, select
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame
from eventmill.model import AuthorError


def enter(decision: Decision, frame: Frame, state: Choice) -> None:
    """Leave at once for the state chosen; rules after the match are not evaluated.

    Raises:
        AuthorError: No rule holds and there is no default, or a condition's path leads nowhere.
    """
    execution = decision.execution
    surroundings = environment(execution, frame, frame.data)
    surroundings = surroundings.over(select(state.input_path, surroundings))
    for rule in state.rules:
        if rule.condition(surroundings):
            chosen: str | None = rule.next
            break
    else:
        chosen = state.default
    if chosen is None:
        cause = "Failed to transition out of the state. The state does not point to a next state."
        raise AuthorError(RUNTIME, cause)
    decision.leave_for(frame, data_flow.through(execution, frame, state), chosen)
