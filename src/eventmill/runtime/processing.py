"""What became of the executions that events started, for sensors that clean up after them."""

from collections.abc import Callable, Iterable
from typing import Final

from eventmill.machine.execution import RUNNING
from eventmill.machine.history import HistoryEvent
from eventmill.ports import EventLog
from eventmill.rows import ExecutionRow
from eventmill.runtime.engine import Listener
from eventmill.runtime.overlap import WAITING
from eventmill.runtime.router import Router
from eventmill.sensors.afterwards import Processed

_WELL: Final = {"SUCCEEDED"}
_DELIVERIES_MAX: Final = 10_000  # one for each trigger at most


class EventEnds:
    """Tells those who ask for it that an execution has ended which an event started.

    It is the engine's `Listener`, and passes on to another one what it hears.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self._heard: dict[str, list[Callable[[str], None]]] = {}

    def hear(self, source: str, heard: Callable[[str], None]) -> None:
        """See `Processing.hear`."""
        self._heard.setdefault(source, []).append(heard)

    def started(self, row: ExecutionRow) -> None:
        """See `Listener.started`."""
        if self._listener is not None:
            self._listener.started(row)

    def ended(self, row: ExecutionRow, last: HistoryEvent) -> None:
        """See `Listener.ended`."""
        if self._listener is not None:
            self._listener.ended(row, last)
        if row.event is not None:
            source, event_id = row.event
            for heard in self._heard.get(source, ()):
                heard(event_id)


class LoggedProcessing:
    """The `Processing` of a server: what the log holds, and what is about to be started."""

    def __init__(self, log: EventLog, ends: EventEnds, router: Router) -> None:
        self._events = log
        self._overlaps = router.overlaps
        self.hear = ends.hear

    async def of(self, source: str, event_id: str) -> Processed:
        """See `Processing.of`."""
        # What waits no longer is in the log, so look there last.
        if self._overlaps.holds_back(source, event_id):
            return Processed.RUNNING
        deliveries = await self._events.deliveries(event=(source, event_id), limit=_DELIVERIES_MAX)
        if any(each.status == WAITING for each in deliveries):
            return Processed.HELD
        found = await self._events.event(source, event_id)
        own = set() if found is None else {*found.executions.values()}
        # The execution of a batch names its first event only.
        shared = {each.execution for each in deliveries if each.execution is not None} - own
        statuses = await self._statuses(own)
        together = await self._statuses(shared)
        if RUNNING in statuses:
            return Processed.RUNNING
        if RUNNING in together:
            return Processed.HELD
        if not statuses | together:
            return Processed.NOTHING
        return Processed.SUCCEEDED if statuses | together == _WELL else Processed.FAILED

    async def _statuses(self, arns: Iterable[str]) -> set[str]:
        rows = [await self._events.execution(arn) for arn in arns]
        return {row.status for row in rows if row is not None}
