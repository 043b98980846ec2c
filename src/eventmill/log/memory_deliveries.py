"""The deliveries of a log in memory."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from eventmill.rows import DeliveryRow

WAITING: Final = "WAITING"
STARTED: Final = "STARTED"

_Key = tuple[tuple[str, str], str]  # event and trigger


class MemoryDeliveries:
    """What `EventLog` promises about deliveries, kept in a dictionary in order of ids."""

    def __init__(self) -> None:
        self._rows: dict[_Key, DeliveryRow] = {}

    def store(self, rows: Iterable[DeliveryRow]) -> None:
        """See `Transaction.deliveries`."""
        for row in rows:
            known = self._rows.get((row.event, row.trigger))
            id_ = len(self._rows) + 1 if known is None else known.id
            self._rows[row.event, row.trigger] = replace(row, id=id_)

    def listed(
        self,
        event: tuple[str, str] | None,
        trigger: str | None,
        status: str | None,
        before_id: int | None,
        limit: int,
    ) -> Sequence[DeliveryRow]:
        """See `EventLog.deliveries`."""
        matching = (
            row
            for row in reversed(self._rows.values())
            if (event is None or row.event == event)
            and (trigger is None or row.trigger == trigger)
            and (status is None or row.status == status)
            and (before_id is None or row.id < before_id)
        )
        return list(islice(matching, limit))

    def due(self, now_ms: int, trigger: str | None, limit: int) -> Sequence[DeliveryRow]:
        """See `EventLog.due_deliveries`."""
        matching = (
            (row.due_ms, row.id, row)
            for row in self._rows.values()
            if row.status == WAITING
            and row.due_ms is not None
            and row.due_ms <= now_ms
            and (trigger is None or row.trigger == trigger)
        )
        return [row for _, _, row in heapq.nsmallest(limit, matching)]

    def accepted(
        self, trigger: str, before_id: int, dedup_key: str | None, content_key: str | None
    ) -> DeliveryRow | None:
        """See `EventLog.accepted_delivery`."""
        matching = (
            row
            for row in reversed(self._rows.values())
            if row.trigger == trigger
            and row.id < before_id
            and row.status in {WAITING, STARTED}
            and (dedup_key is None or row.dedup_key == dedup_key)
            and (content_key is None or row.content_key == content_key)
        )
        return next(matching, None)

    def waiting_triggers(self) -> Mapping[str, int]:
        """See `EventLog.waiting_triggers`."""
        soonest: dict[str, int] = {}
        for row in self._rows.values():
            if row.status == WAITING and row.due_ms is not None:
                soonest[row.trigger] = min(row.due_ms, soonest.get(row.trigger, row.due_ms))
        return soonest
