"""What an execution ran of its state machine: states by their outcome, and transitions taken.

Several runs of the same state, in a loop or as iterations of a Map, count together. A state's name
is its key: no two states of a definition have the same, wherever they are nested.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Final, Literal, TypeAlias

from eventmill.machine.execution import ROOT
from eventmill.machine.history import RETRY_SCHEDULED, HistoryEvent
from eventmill.record import record

Status: TypeAlias = Literal[
    "running", "failed", "caught", "aborted", "retried", "succeeded", "unreached"
]

Taken: TypeAlias = tuple[str | None, str | None, bool]
"""A transition: from which state to which, and whether an error led there. None is the point
where the execution starts or ends."""

_ENDED_BADLY: Final = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


@record
class StateCoverage:
    """How often a state was entered, and how its runs ended; `retries` counts further attempts."""

    entered: int = 0
    succeeded: int = 0
    failed: int = 0
    caught: int = 0
    aborted: int = 0
    retries: int = 0

    @property
    def running(self) -> int:
        """How many of its runs have not ended."""
        return self.entered - self.succeeded - self.failed - self.caught - self.aborted

    @property
    def status(self) -> Status:
        """What matters most about it: what runs, else what went wrong, else what went well."""
        if not self.entered:
            return "unreached"
        if self.running:
            return "running"
        if self.failed:
            return "failed"
        if self.caught:
            return "caught"
        if self.aborted:
            return "aborted"
        return "retried" if self.retries else "succeeded"


@record
class Coverage:
    """What an execution ran so far; a state that it never entered is in no table."""

    states: Mapping[str, StateCoverage]
    taken: Mapping[Taken, int]

    def of(self, state: str) -> StateCoverage:
        """The runs of one state, all zero when it was not reached."""
        return self.states.get(state, StateCoverage())


def coverage(events: Iterable[HistoryEvent]) -> Coverage:
    """Fold the history of one execution, from its first event on, internal events included."""
    fold = _Fold()
    for event in events:
        fold.apply(event)
    states = {name: StateCoverage(**counts) for name, counts in fold.counts.items()}
    return Coverage(states=states, taken=dict(fold.taken))


def joined(coverages: Iterable[Coverage]) -> Coverage:
    """What several executions ran together: one, and the children of its distributed Maps."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    taken: Counter[Taken] = Counter()
    for each in coverages:
        taken.update(each.taken)
        for name, state in each.states.items():
            counts[name].update(asdict(state))
    states = {name: StateCoverage(**counted) for name, counted in counts.items()}
    return Coverage(states=states, taken=dict(taken))


class _Fold:
    """Which state each frame is in, or has left last, and what has been counted."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.taken: Counter[Taken] = Counter()
        self.current: dict[int, str] = {}
        self.left: dict[int, tuple[str, bool]] = {}
        self.parents: dict[int, int] = {}
        self.children: defaultdict[int, list[int]] = defaultdict(list)
        self.frame_of: dict[int, int] = {}  # by event id

    def apply(self, event: HistoryEvent) -> None:
        """Count one event."""
        self._know_frame(event)
        if event.type == RETRY_SCHEDULED:
            self._close_inside(event)
            self.counts[self.current[event.frame]]["retries"] += 1
        elif event.type in ("ParallelStateFailed", "MapStateFailed"):
            self._close_inside(event)
        elif event.type.endswith("StateExited"):
            self._exit(event)
        elif event.type == "ExecutionSucceeded":
            self._end(event)
        elif event.type in _ENDED_BADLY:
            self._end_badly(event)
        if event.type.endswith("StateEntered"):
            self._enter(event)

    def _know_frame(self, event: HistoryEvent) -> None:
        if event.id:
            self.frame_of[event.id] = event.frame
        if event.frame != ROOT and event.frame not in self.parents:
            # What a frame does first points back to the event that started it.
            parent = self.frame_of.get(event.previous_id, ROOT)
            self.parents[event.frame] = parent
            self.children[parent].append(event.frame)

    def _enter(self, event: HistoryEvent) -> None:
        name = event.text("name")
        self.current[event.frame] = name
        self.counts[name]["entered"] += 1
        if event.frame in self.left:
            source, caught = self.left.pop(event.frame)
            self.taken[source, name, caught] += 1
        elif event.frame == ROOT:
            self.taken[None, name, False] += 1

    def _exit(self, event: HistoryEvent) -> None:
        name = event.text("name")
        # Only a Choice and a caught error say where they lead.
        leads_elsewhere = "next" in (event.internal or {})
        caught = leads_elsewhere and event.type != "ChoiceStateExited"
        self.current.pop(event.frame, None)
        self.counts[name]["caught" if caught else "succeeded"] += 1
        self.left[event.frame] = name, caught

    def _end(self, event: HistoryEvent) -> None:
        if ROOT in self.left:
            name, _ = self.left[ROOT]
            self.taken[name, None, False] += 1

    def _end_badly(self, event: HistoryEvent) -> None:
        self._close_inside(event)
        culprits = self._culprits(event) | {ROOT} if event.type == "ExecutionFailed" else set()
        self._close(ROOT, culprits)

    def _close_inside(self, event: HistoryEvent) -> None:
        """Whatever runs inside the state of the event's frame has ended with it."""
        culprits = self._culprits(event)
        for child in self.children.pop(event.frame, ()):
            self._close_all(child, culprits)

    def _culprits(self, event: HistoryEvent) -> set[int]:
        """The frame that the event points back to, and the frames around it."""
        frame = self.frame_of.get(event.previous_id, ROOT)
        found = {frame}
        while frame in self.parents:
            frame = self.parents[frame]
            found.add(frame)
        return found

    def _close_all(self, frame: int, culprits: set[int]) -> None:
        pending = [frame]
        while pending:
            each = pending.pop()
            self._close(each, culprits)
            pending += self.children.pop(each, ())

    def _close(self, frame: int, culprits: set[int]) -> None:
        name = self.current.pop(frame, None)
        if name is not None:
            self.counts[name]["failed" if frame in culprits else "aborted"] += 1
