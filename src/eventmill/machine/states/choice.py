"""Choice: goes to the first rule whose condition holds."""

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.syntax import Choice
from eventmill.machine import data_flow
from eventmill.machine.assigning import assigned
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
    rule = next((each for each in state.rules if each.condition(surroundings)), None)
    # A rule that matches counts with its own Assign and Output alone, the default with the state's.
    chosen, way = (state.default, state) if rule is None else (rule.next, rule)
    if chosen is None:
        cause = "Failed to transition out of the state. The state does not point to a next state."
        raise AuthorError(RUNTIME, cause)
    output = data_flow.through(execution, frame, state, way.output)
    decision.leave_for(frame, output, chosen, assigned(execution, frame, way.assign, surroundings))
