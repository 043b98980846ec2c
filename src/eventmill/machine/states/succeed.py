"""Succeed: ends its branch, or the execution, well."""

from eventmill.asl.syntax import Succeed
from eventmill.machine import data_flow
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame


def enter(decision: Decision, frame: Frame, state: Succeed) -> None:
    """Leave at once; there is no next state."""
    decision.leave(frame, data_flow.through(decision.execution, frame, state, state.output))
