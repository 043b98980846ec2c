"""Parallel: runs its branches at once and gathers their outputs."""

from eventmill.asl.syntax import Parallel
from eventmill.machine import data_flow
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame


def enter(decision: Decision, frame: Frame, state: Parallel) -> None:
    """Start every branch with the state's effective input."""
    begin(decision, frame, state)


def begin(decision: Decision, frame: Frame, state: Parallel) -> None:
    """Make an attempt, the first or one after a retry's delay."""
    data = data_flow.effective_input(decision.execution, frame, state)
    decision.emit(frame, "ParallelStateStarted")
    decision.runnable.extend((child, data) for child in frame.children.values())


def branch_finished(decision: Decision, frame: Frame) -> None:
    """A branch came to its end; the last one to do so ends the state."""
    state = frame.state
    assert isinstance(state, Parallel)
    if not frame.children:
        decision.emit(frame, "ParallelStateSucceeded")
        data_flow.leave_with(decision, frame, state, data_flow.array(frame.results))
