"""What came of a rehearsal, and why one can break off."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final

from eventmill.errors import EventmillError
from eventmill.machine.history import HistoryEvent
from eventmill.model import Json
from eventmill.record import record

_ENTERED: Final = "StateEntered"


@record
class Outcome:
    """How a rehearsed execution went.

    `status` is RUNNING when the rehearsal broke off. `path` names the states in the order in which
    they were entered, those inside of Parallel and Map among them. `calls` holds the parameters of
    every call of a task, by state. `duration_ms` is virtual time. `history` has the events in AWS's
    form, as GetExecutionHistory lists them. `objects` are those that there are in the end, by
    `bucket/key`.
    """

    status: str
    output: Json = None
    error: str | None = None
    cause: str | None = None
    path: tuple[str, ...] = ()
    calls: Mapping[str, Sequence[Json]]
    duration_ms: int
    history: Sequence[Json] = ()
    objects: Mapping[str, bytes] = field(default_factory=dict)


class RehearsalBroken(EventmillError):
    """The rehearsal cannot go on; the message says why, `outcome` how far it came.

    A task has no mock, or none for this call; or the execution waits for what never comes.
    """

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome


def path_of(events: Sequence[HistoryEvent]) -> tuple[str, ...]:
    """The states that were entered, in order."""
    return tuple(event.text("name") for event in events if event.type.endswith(_ENTERED))
