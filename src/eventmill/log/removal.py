"""Removes rows of the chain, a bounded number in one transaction, so that what stays still proves.

Rows that go leave gaps, and the same commit appends a removal to the chain that states them:

    ["removal", at_ms, events, executions, steps, [[first, last, "hash of the last"], …]]

Gaps beside each other become one, which the new removal states. Payloads are no rows of the chain:
they go when the last execution that uses them is gone with all of its steps.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from eventmill.log.chain import Gap
from eventmill.log.checkpoints import Sign, last_position, store_checkpoint
from eventmill.log.statements import Bulk
from eventmill.log.writer import Writer
from eventmill.record import record

_GIVEN: Final = "(SELECT value FROM json_each(?))"
_EXECUTIONS: Final = f"""
SELECT position, hash, id FROM executions WHERE id IN {_GIVEN} AND status != 'RUNNING'
"""
_STEPS: Final = """
SELECT position, hash FROM steps
WHERE execution IN (SELECT execution FROM removing) ORDER BY execution, step LIMIT ?
"""
_EVENTS: Final = f"""
SELECT position, hash FROM inbox WHERE position IN {_GIVEN} AND NOT EXISTS (
    SELECT 1 FROM executions WHERE event_source = inbox.source AND event_id = inbox.event_id
) AND NOT EXISTS (
    SELECT 1 FROM deliveries
    WHERE event_source = inbox.source AND event_id = inbox.event_id AND status = 'WAITING'
)
"""
_DELIVERIES: Final = f"""
DELETE FROM deliveries WHERE (event_source, event_id) IN (
    SELECT source, event_id FROM inbox WHERE position IN {_GIVEN}
)
"""
_SUPERSEDED: Final = """
SELECT position, hash FROM removals
WHERE position < ? AND NOT EXISTS (SELECT 1 FROM gaps WHERE removal = removals.position) LIMIT ?
"""
_REMOVED: Final = """
DELETE FROM removing
WHERE NOT EXISTS (SELECT 1 FROM steps WHERE execution = removing.execution)
    AND NOT EXISTS (SELECT 1 FROM payload_uses WHERE execution = removing.execution)
"""
_RELEASED: Final = """
SELECT execution, digest, (SELECT length(body) FROM payloads WHERE digest = payload_uses.digest)
FROM payload_uses WHERE execution IN (
    SELECT execution FROM removing
    WHERE NOT EXISTS (SELECT 1 FROM steps WHERE execution = removing.execution)
) ORDER BY execution, digest LIMIT ?
"""
_UNUSED_PAYLOADS: Final = f"""
DELETE FROM payloads WHERE digest IN {_GIVEN}
    AND NOT EXISTS (SELECT 1 FROM payload_uses WHERE digest = payloads.digest)
"""
_GAPS_BEFORE: Final = f"SELECT first, last, hash FROM gaps WHERE last IN {_GIVEN}"
_GAPS_AFTER: Final = """
SELECT first, last, hash FROM gaps WHERE last IN (
    SELECT (SELECT min(last) FROM gaps WHERE last > value) FROM json_each(?)
)
"""
_RELEASE: Final = Bulk(
    "DELETE FROM payload_uses WHERE (execution, digest) IN (VALUES ", "(?, ?)", ")"
)
_INSERT_REMOVING: Final = Bulk("INSERT INTO removing (execution) VALUES ", "(?)")
_INSERT_GAPS: Final = Bulk("INSERT INTO gaps (first, last, hash, removal) VALUES ", "(?, ?, ?, ?)")

_PAYLOAD_BYTES_MAX: Final = 4_194_304

_Row = tuple[int, bytes]  # position and hash


@record
class Removed:
    """How many rows of the chain were removed, and the position of the last of them.

    `payload_uses` counts the uses of payloads that ended with them, or with steps removed before.
    """

    events: int = 0
    executions: int = 0
    steps: int = 0
    removals: int = 0
    last: int = 0
    payload_uses: int = 0

    def __bool__(self) -> bool:
        return bool(self.last or self.payload_uses)

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(
            events=self.events + other.events,
            executions=self.executions + other.executions,
            steps=self.steps + other.steps,
            removals=self.removals + other.removals,
            last=max(self.last, other.last),
            payload_uses=self.payload_uses + other.payload_uses,
        )


class _Statement(msgspec.Struct, array_like=True):
    kind: str
    at_ms: int
    events: int
    executions: int
    steps: int
    gaps: list[tuple[int, int, str]]


def decode_removal(body: bytes) -> Sequence[Gap]:
    """The gaps that a removal states.

    Raises:
        ValueError: `body` is no removal's.
    """
    statement = msgspec.json.decode(body, type=_Statement)
    return [
        Gap(position=first, last=last, hash=bytes.fromhex(hash_))
        for first, last, hash_ in statement.gaps
    ]


def remove(
    writer: Writer,
    at_ms: int,
    *,
    executions: Sequence[int] = (),
    events: Sequence[int] = (),
    superseded_before: int = 0,
    steps_max: int,
    sign: Sign | None = None,
) -> Removed:
    """Remove executions by id and events by position, within the transaction that is open.

    A running execution stays, and so does an event while an execution it started is there or a
    delivery of it waits; its other deliveries go with it. Of the steps of executions that were
    removed, now or before, at most `steps_max` go, and then some MiB of their payloads; call again
    until nothing is removed. Removals before a position go, at most as many, when they state no gap
    any more. What goes lies before a checkpoint, which is made when it is missing.
    """
    connection = writer.connection
    ended = connection.execute(_EXECUTIONS, (json.dumps(executions),)).fetchall()
    ids = [id_ for _, _, id_ in ended]
    _INSERT_REMOVING.run(connection, [*ids])
    _delete(connection, "snapshots", "execution", ids)
    going: dict[str, list[_Row]] = {
        "executions": [(position, hash_) for position, hash_, _ in ended],
        "inbox": connection.execute(_EVENTS, (json.dumps(events),)).fetchall(),
        "steps": connection.execute(_STEPS, (steps_max,)).fetchall(),
        "removals": connection.execute(_SUPERSEDED, (superseded_before, steps_max)).fetchall(),
    }
    rows = sorted(row for each in going.values() for row in each)
    if not rows:
        return Removed(payload_uses=_release_payloads(connection, steps_max))
    if rows[-1][0] > last_position(connection):
        # Its counts cannot be made up for once rows are gone.
        store_checkpoint(writer, at_ms, sign)
    gone_events = [position for position, _ in going["inbox"]]
    connection.execute(_DELIVERIES, (json.dumps(gone_events),))
    for table, gone in going.items():
        _delete(connection, table, "position", [position for position, _ in gone])
    for table in ("map_runs", "timers"):
        _delete(connection, table, "execution", ids)
    released = _release_payloads(connection, steps_max)
    writer.forget(ids)
    removed = Removed(
        events=len(going["inbox"]),
        executions=len(ids),
        steps=len(going["steps"]),
        removals=len(going["removals"]),
        last=rows[-1][0],
        payload_uses=released,
    )
    new = [Gap(position=position, last=position, hash=hash_) for position, hash_ in rows]
    _state(writer, at_ms, removed, _grown(connection, _joined(new)))
    return removed


def _release_payloads(connection: sqlite3.Connection, uses_max: int) -> int:
    """End uses of payloads by executions without steps; those that nobody uses any more go."""
    released: list[tuple[int, str]] = []
    size = 0
    for execution, digest, length in connection.execute(_RELEASED, (uses_max,)).fetchall():
        if size >= _PAYLOAD_BYTES_MAX:
            break
        released.append((execution, digest))
        size += length or 0
    _RELEASE.run(connection, [cell for use in released for cell in use])
    digests = sorted({digest for _, digest in released})
    connection.execute(_UNUSED_PAYLOADS, (json.dumps(digests),))
    connection.execute(_REMOVED)
    return len(released)


def _delete(connection: sqlite3.Connection, table: str, key: str, given: Sequence[int]) -> None:
    connection.execute(f"DELETE FROM {table} WHERE {key} IN {_GIVEN}", (json.dumps(given),))


def _state(writer: Writer, at_ms: int, removed: Removed, gaps: Sequence[Gap]) -> None:
    """Append a removal that states the gaps, and keep them."""
    statement = _Statement(
        kind="removal",
        at_ms=at_ms,
        events=removed.events,
        executions=removed.executions,
        steps=removed.steps,
        gaps=[(gap.position, gap.last, gap.hash.hex()) for gap in gaps],
    )
    position = writer.add_removal(msgspec.json.encode(statement))
    _INSERT_GAPS.run(
        writer.connection,
        [cell for gap in gaps for cell in (gap.position, gap.last, gap.hash, position)],
    )


def _grown(connection: sqlite3.Connection, new: Sequence[Gap]) -> list[Gap]:
    """The new gaps, and those in the log that touch them, which are taken out of it."""
    firsts = {gap.last + 1 for gap in new}
    before = connection.execute(_GAPS_BEFORE, (json.dumps([gap.position - 1 for gap in new]),))
    after = connection.execute(_GAPS_AFTER, (json.dumps([gap.last for gap in new]),))
    touching = {
        last: Gap(position=first, last=last, hash=hash_)
        for first, last, hash_ in (*before, *(each for each in after if each[0] in firsts))
    }
    _delete(connection, "gaps", "last", list(touching))
    return _joined(sorted([*new, *touching.values()], key=lambda gap: gap.position))


def _joined(gaps: Sequence[Gap]) -> list[Gap]:
    """Gaps in order of position, those that follow each other made one."""
    joined: list[Gap] = []
    for gap in gaps:
        first = gap.position
        if joined and joined[-1].last == first - 1:
            first = joined.pop().position
        joined.append(Gap(position=first, last=gap.last, hash=gap.hash))
    return joined
