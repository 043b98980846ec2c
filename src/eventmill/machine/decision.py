"""A decision in the making: the events written so far and the frames that wait their turn."""

from collections import deque
from typing import Final

from eventmill.asl.error_names import DATA_LIMIT_EXCEEDED
from eventmill.errors import AuthorError
from eventmill.machine.execution import RUNNING, Execution, Frame, evolve
from eventmill.machine.history import Details, HistoryEvent
from eventmill.model import Json, Payload

_TERMINAL: Final = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)


class HistoryIsFull(Exception):
    """The next event would be the last that the quota allows, and it is not the end."""


class Decision:
    """What one fact leads to, while it is being worked out.

    `runnable` queues the frames about to enter their `next` state, each with its input;
    `finished` lists frames that came to their end and whose parents do not know yet.
    """

    __slots__ = ("events", "execution", "finished", "now_ms", "runnable")

    def __init__(self, execution: Execution, now_ms: int) -> None:
        self.execution = execution
        self.now_ms = now_ms
        self.events: list[HistoryEvent] = []
        self.runnable: deque[tuple[Frame, Payload]] = deque()
        self.finished: deque[Frame] = deque()

    def emit(
        self,
        frame: Frame,
        type: str,
        details: Details | None = None,
        *,
        previous_id: int | None = None,
        internal: dict[str, Json] | None = None,
    ) -> None:
        """Write the next event of the history and let it take effect.

        Raises:
            HistoryIsFull: The quota leaves room for the terminal event alone.
        """
        execution = self.execution
        id = execution.sequence + 1
        if id >= execution.quotas.history_events_max and type not in _TERMINAL:
            raise HistoryIsFull
        previous = frame.last_id if previous_id is None else previous_id
        event = HistoryEvent(id, previous, type, self.now_ms, frame.id, details, internal)
        evolve(execution, event)
        self.events.append(event)

    def note(
        self, frame: Frame, type: str, internal: dict[str, Json] | None, previous_id: int = 0
    ) -> None:
        """Write an internal event, which AWS's history does not show."""
        event = HistoryEvent(0, previous_id, type, self.now_ms, frame.id, None, internal)
        evolve(self.execution, event)
        self.events.append(event)

    def leave(
        self,
        frame: Frame,
        output: Payload,
        assigned: Payload | None = None,
        *,
        next: str | None = None,
    ) -> None:
        """Exit the frame's state with `output`; `assigned` are variables.

        A choice and a catch say which state is `next`; else it is the state's own `Next`.

        Raises:
            AuthorError: The output is over the quota.
        """
        state = frame.state
        assert state is not None
        if len(output) > self.execution.quotas.payload_bytes_max:
            raise AuthorError(DATA_LIMIT_EXCEEDED, too_large(state.name), located=False)
        details: Details = {"name": state.name, "output": output}
        if assigned is not None:
            details["assignedVariables"] = assigned
        internal: dict[str, Json] | None = None if next is None else {"next": next}
        self.emit(frame, f"{type(state).__name__}StateExited", details, internal=internal)
        if frame.next is None:
            self.finished.append(frame)
        else:
            self.runnable.append((frame, output))

    def is_live(self, frame: Frame) -> bool:
        """Whether the frame still runs: no failure elsewhere has cut it off."""
        return self.execution.status == RUNNING and self.execution.frames.get(frame.id) is frame


def too_large(what: str) -> str:
    """The cause of a States.DataLimitExceeded, as the service words it."""
    return (
        f"The state/task '{what}' returned a result with a size exceeding "
        "the maximum number of bytes service limit."
    )
