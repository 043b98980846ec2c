"""Parallel: runs its branches at once and gathers their outputs."""

from eventmill.asl.syntax import Parallel
from eventmill.machine import data_flow
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Frame


def begin(decision: Decision, frame: Frame, state: Parallel) -> None:
    """Make an attempt, the first or one after a retry's delay.

    Every branch starts with the state's effective input.
    """
    data = data_flow.effective_input(decision.execution, frame, state)
    decision.emit(frame, "ParallelStateStarted")
    decision.runnable.extend((child, data) for child in frame.children.values())


def branch_finished(decision: Decision, frame: Frame) -> None:
    """A branch came to its end; the last one to do so ends the state."""
    state = frame.state
    assert isinstance(state, Parallel)
    if not frame.children:
        data_flow.gather(decision, frame, state)
