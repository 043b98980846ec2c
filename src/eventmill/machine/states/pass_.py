"""Pass: hands its input, or a fixed result, on."""

from eventmill.asl.syntax import Pass
from eventmill.machine import data_flow
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame


def enter(decision: Decision, frame: Frame, state: Pass) -> None:
    """Leave at once. A `Result` takes the place of the input and of Parameters."""
    execution = decision.execution
    result = state.result
    if result is None:
        result = data_flow.effective_input(execution, frame, state)
    output = data_flow.output(execution, frame, state, result)
    decision.leave(frame, output, data_flow.variables(execution, frame, state, result))
