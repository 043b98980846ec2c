"""Choice: goes to the first rule whose condition holds."""

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.syntax import Choice
from eventmill.errors import AuthorError
from eventmill.machine import data_flow
from eventmill.machine.assigning import assigned
from eventmill.machine.context import input_environment
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame


def enter(decision: Decision, frame: Frame, state: Choice) -> None:
    """Leave at once for the state chosen; rules after the match are not evaluated.

    Raises:
        AuthorError: No rule holds and there is no default, or a condition's path leads nowhere.
    """
    execution = decision.execution
    surroundings = input_environment(execution, frame, state.input_path)
    rule = next((each for each in state.rules if each.condition(surroundings)), None)
    # A rule that matches counts with its own Assign and Output alone, the default with the state's.
    chosen, way = (state.default, state) if rule is None else (rule.next, rule)
    if chosen is None:
        cause = "Failed to transition out of the state. The state does not point to a next state."
        raise AuthorError(RUNTIME, cause)
    output = data_flow.through(execution, frame, state, way.output)
    variables = assigned(execution, frame, way.assign, surroundings)
    decision.leave(frame, output, variables, next=chosen)
