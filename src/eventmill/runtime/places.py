"""Places: of a limited state machine only the oldest executions may act, as many as the limit says.

Nothing of this is stored. Ids grow with time, so which executions are the oldest that run follows
from the log, before a crash and after it. What the others have to wait with, their commands, is in
the log as well: they are started durably, and sleep there until their turn.
"""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from eventmill.machine.commands import Command
from eventmill.machine.execution import RUNNING
from eventmill.ports import EventLog
from eventmill.rows import ExecutionRow

_PAGE: Final = 1_000


class _Machine:
    """The executions of one state machine that run: those with a place, and those that wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: set[int] = set()
        self.waiting: list[int] = []  # a heap, the oldest first
        self.gone: set[int] = set()  # who has ended without a place

    def enter(self, execution: int) -> None:
        if len(self.holders) < self.limit:
            self.holders.add(execution)
        else:
            heappush(self.waiting, execution)

    def leave(self, execution: int) -> int | None:
        if execution not in self.holders:
            self.gone.add(execution)
            if len(self.gone) > len(self.waiting) // 2:
                self.waiting = sorted(set(self.waiting) - self.gone)
                self.gone.clear()
            return None
        self.holders.remove(execution)
        while self.waiting:
            oldest = heappop(self.waiting)
            if oldest not in self.gone:
                self.holders.add(oldest)
                return oldest
            self.gone.discard(oldest)
        return None


class Places:
    """Who of each limited state machine may act; of all others everybody may.

    Children of Map Runs act for their parent and take no place.
    """

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        """Limit state machines, given by their ARNs, to so many executions at once."""
        self._machines = {arn: _Machine(limit) for arn, limit in (limits or {}).items()}
        self._withheld: dict[int, list[Command]] = {}  # of executions in memory

    @property
    def waiting(self) -> int:
        """How many executions wait for their turn."""
        return sum(len(set(each.waiting) - each.gone) for each in self._machines.values())

    async def take_up(self, log: EventLog) -> None:
        """Find the executions that the last server left running; nothing may run before.

        Raises:
            LogUnavailable: The log cannot be read.
        """
        for arn, machine in self._machines.items():
            running: list[int] = []
            while page := await log.executions(
                state_machine_arn=arn,
                status=RUNNING,
                before_id=running[-1] if running else None,
                limit=_PAGE,
            ):
                running += [row.id for row in page]
            running.reverse()
            machine.holders = set(running[: machine.limit])
            machine.waiting = running[machine.limit :]  # in order, which is a heap

    def enter(self, row: ExecutionRow, status: str = RUNNING) -> None:
        """An execution has begun: it takes a place, or waits for one behind all before it.

        One that has ended in the same step, as its `status` says, needs none.
        """
        machine = self._machines.get(row.state_machine_arn)
        if machine is not None and status == RUNNING:
            machine.enter(row.id)

    def has(self, row: ExecutionRow) -> bool:
        """Whether an execution may act."""
        machine = self._machines.get(row.state_machine_arn)
        return machine is None or row.id in machine.holders

    def withholds(self, row: ExecutionRow, command: Command) -> bool:
        """Whether a command must wait for the turn of its execution; then it is kept for it."""
        if self.has(row):
            return False
        self._withheld.setdefault(row.id, []).append(command)
        return True

    def withheld(self, execution: int) -> Sequence[Command]:
        """The commands that were kept. They are handed out once: the log has them, too."""
        return self._withheld.pop(execution, ())

    def leave(self, row: ExecutionRow) -> int | None:
        """An execution has ended; return the one whose turn it is now, if any."""
        machine = self._machines.get(row.state_machine_arn)
        return None if machine is None else machine.leave(row.id)
