"""The work that executions have asked for: each task and Map Run under way, once."""

from collections.abc import Callable, Iterable
from typing import Protocol

from eventmill.faults import point
from eventmill.machine.commands import CancelTask, Command, RunMap, RunTask
from eventmill.machine.facts import Fact, TaskHeartbeat
from eventmill.runtime.loading import Live
from eventmill.runtime.map_runs import MapRuns
from eventmill.runtime.places import Places


class Dispatch(Protocol):
    """Carries commands out: starts work, and later reports facts about it."""

    def run(
        self, execution_arn: str, command: RunTask, report: Callable[[Fact], None]
    ) -> Callable[[], None]:
        """Start the work and return at once; the function returned cancels it."""
        ...


def asked_by(command: Command) -> int:
    """The event that a command follows from."""
    return command.task if isinstance(command, (RunTask, CancelTask)) else command.map_run


class Work:
    """What is under way, by execution and the event that asked for it, and how to cancel it.

    `places` says which executions may act; `tell` is given each fact that work reports about one.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        map_runs: MapRuns,
        places: Places,
        tell: Callable[[int, Fact], None],
    ) -> None:
        self._dispatch = dispatch
        self._map_runs = map_runs
        self._places = places
        self._tell = tell
        self._running: dict[tuple[int, int], Callable[[], None]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def carry_out(self, live: Live, commands: Iterable[Command]) -> None:
        """Do what an execution has asked for, durably; what is under way is not begun again."""
        for command in commands:
            if isinstance(command, RunTask):
                self._run(live, command)
            elif isinstance(command, RunMap):
                self._run_map(live, command)
            else:
                self._cancel(live.id, asked_by(command))

    def _run(self, live: Live, command: RunTask) -> None:
        key = (live.id, command.task)
        # A task may have ended in the meantime, and after a reload it may still be under way.
        if command.task not in live.execution.tasks or key in self._running:
            return
        if self._places.withholds(live.row, command):
            return

        def report(fact: Fact) -> None:
            point("before-answer")
            if not isinstance(fact, TaskHeartbeat):
                self._running.pop(key, None)
            self._tell(live.id, fact)
            point("after-answer")

        self._running[key] = self._dispatch.run(live.row.arn, command, report)

    def _run_map(self, live: Live, command: RunMap) -> None:
        key = (live.id, command.map_run)
        if command.map_run not in live.execution.map_runs or key in self._running:
            return
        if self._places.withholds(live.row, command):
            return

        def report(fact: Fact) -> None:
            self._running.pop(key, None)
            self._tell(live.id, fact)

        self._running[key] = self._map_runs.run(live.row, command, report)

    def _cancel(self, execution: int, event: int) -> None:
        cancel = self._running.pop((execution, event), None)
        if cancel is not None:
            cancel()
