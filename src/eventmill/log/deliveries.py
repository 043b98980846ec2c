"""What can be asked of the deliveries in the log, on an open connection."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from eventmill.rows import DeliveryRow

_DELIVERY: Final = """
SELECT event_source, event_id, trigger, status, reason, since_ms, attempts, due_ms, decided_ms,
    execution, dedup_key, content_key, content, id
FROM deliveries
"""


def listed(
    connection: sqlite3.Connection,
    event: tuple[str, str] | None,
    trigger: str | None,
    status: str | None,
    before_id: int | None,
    limit: int,
) -> Sequence[DeliveryRow]:
    """See `EventLog.deliveries`."""
    source, event_id = event or (None, None)
    given = {
        "event_source = ?": source,
        "event_id = ?": event_id,
        "trigger = ?": trigger,
        "status = ?": status,
        "id < ?": before_id,
    }
    asked = {condition: value for condition, value in given.items() if value is not None}
    where = f"WHERE {' AND '.join(asked)}" if asked else ""
    found = connection.execute(
        f"{_DELIVERY} {where} ORDER BY id DESC LIMIT ?", (*asked.values(), limit)
    )
    return [_delivery(each) for each in found]


def due(
    connection: sqlite3.Connection, now_ms: int, trigger: str | None, limit: int
) -> Sequence[DeliveryRow]:
    """See `EventLog.due_deliveries`."""
    narrowed = "" if trigger is None else "AND trigger = ?3"
    found = connection.execute(
        f"{_DELIVERY} WHERE status = 'WAITING' AND due_ms <= ?1 {narrowed} "
        "ORDER BY due_ms, id LIMIT ?2",
        (now_ms, limit) if trigger is None else (now_ms, limit, trigger),
    )
    return [_delivery(each) for each in found]


def accepted(
    connection: sqlite3.Connection,
    trigger: str,
    before_id: int,
    dedup_key: str | None,
    content_key: str | None,
) -> DeliveryRow | None:
    """See `EventLog.accepted_delivery`."""
    given = {"dedup_key = ?": dedup_key, "content_key = ?": content_key}
    asked = {condition: value for condition, value in given.items() if value is not None}
    where = "".join(f" AND {condition}" for condition in asked)
    found = connection.execute(
        f"{_DELIVERY} WHERE trigger = ? AND id < ? AND status IN ('STARTED', 'WAITING'){where} "
        "ORDER BY id DESC LIMIT 1",
        (trigger, before_id, *asked.values()),
    ).fetchone()
    return None if found is None else _delivery(found)


def waiting_triggers(connection: sqlite3.Connection) -> Mapping[str, int]:
    """See `EventLog.waiting_triggers`."""
    found = connection.execute(
        "SELECT trigger, min(due_ms) FROM deliveries "
        "WHERE status = 'WAITING' AND due_ms IS NOT NULL GROUP BY trigger"
    )
    return dict(found.fetchall())


def _delivery(found: tuple[Any, ...]) -> DeliveryRow:
    source, event_id, *rest, id_ = found
    names = (
        "trigger", "status", "reason", "since_ms", "attempts", "due_ms", "decided_ms",
        "execution", "dedup_key", "content_key", "content",
    )  # fmt: skip
    return DeliveryRow(event=(source, event_id), id=id_, **dict(zip(names, rest, strict=True)))
