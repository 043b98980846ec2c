"""Retention: what is old goes, in small transactions between those of the server at work.

Executions that have ended go with their steps, payloads and Map Runs, trigger events that no
execution refers to, definitions that none runs on, what sensors remember that are no longer there,
and checkpoints. What runs is never touched. docs/decisions/0006-retention.md says why in this way.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence, Set
from functools import partial
from typing import Final, TypeVar

from eventmill.log.checkpoints import Sign
from eventmill.log.connection import Connection, connected
from eventmill.log.database import open_for_reading
from eventmill.log.removal import Removed, remove
from eventmill.log.sqlite import SqliteEventLog
from eventmill.log.writer import Writer
from eventmill.record import record

_T = TypeVar("_T")

_BUSY_TIMEOUT_MS: Final = 5_000
_EXECUTIONS_PER_BATCH: Final = 50
_EVENTS_PER_BATCH: Final = 250
_ROWS_PER_BATCH: Final = 250
_PAGES_PER_BATCH: Final = 256
# What is free is used again first; a file that shrinks and grows in turns only costs.
_FREE_SHARE_KEPT: Final = 0.1

# An execution that has just ended may still be asked for, whatever room it takes.
ENDED_MS_MIN: Final = 3_600_000

# Ids and positions grow with time: where the first young one is, there is no need to look on.
_ENDED_BOUND: Final = """
SELECT min(
    (SELECT max(id) FROM executions),
    coalesce(
        (SELECT id FROM executions WHERE start_ms >= ? ORDER BY id LIMIT 1), 9223372036854775807
    )
)
"""
_ENDED: Final = """
SELECT id FROM executions AS ended
WHERE id > :after AND id < :bound AND status != 'RUNNING' AND stop_ms < :before_ms
    AND NOT EXISTS (SELECT 1 FROM executions WHERE id = ended.parent)
    AND NOT EXISTS (SELECT 1 FROM executions WHERE parent = ended.id AND status = 'RUNNING')
ORDER BY id LIMIT :limit
"""
_RECEIVED_BOUND: Final = """
SELECT coalesce(
    (SELECT position FROM inbox WHERE received_ms >= ? ORDER BY position LIMIT 1),
    9223372036854775807
)
"""
_RECEIVED: Final = """
SELECT position FROM inbox
WHERE position > :after AND position < :bound AND received_ms < :before_ms AND NOT EXISTS (
    SELECT 1 FROM executions WHERE event_source = inbox.source AND event_id = inbox.event_id
) AND NOT EXISTS (
    SELECT 1 FROM deliveries
    WHERE event_source = inbox.source AND event_id = inbox.event_id AND status = 'WAITING'
)
ORDER BY position LIMIT :limit
"""
_UNUSED: Final = """
SELECT digest FROM definitions WHERE digest NOT IN (SELECT definition FROM executions)
"""
_USED_SINCE: Final = "SELECT definition FROM executions WHERE position > ?"


@record
class Limits:
    """How long things are kept, in milliseconds, and how large the log may be; None is for ever.

    `executions_ms` counts from the end of an execution, `events_ms` from the receipt of an event,
    `sensors_ms` from when a sensor was last there. An event that comes again after it was removed
    is a new one. Above `bytes_max` the oldest goes, however young it is, but for executions and
    events of the last hour.
    """

    executions_ms: int | None = None
    events_ms: int | None = None
    sensors_ms: int | None = None
    checkpoints_ms: int | None = None
    bytes_max: int | None = None


@record
class Swept:
    """What a sweep removed, and the bytes of the file in use after it."""

    removed: Removed
    definitions: int
    sensor_keys: int
    checkpoints: int
    bytes_used: int


async def sweep(
    log: SqliteEventLog,
    limits: Limits,
    now_ms: int,
    *,
    definitions: Collection[str] = (),
    sensors: Collection[str] = (),
    sign: Sign | None = None,
) -> Swept:
    """Remove from an open log what is beyond its limits, and give the disk back what is not needed.

    `definitions` are digests that are kept even when no execution runs on them: those which the
    server takes for stored. `sensors` are the names of those that are there. Checkpoints that
    become necessary are signed with `sign`. It may be cancelled at any time; the next sweep goes on
    where this one ended.

    Raises:
        LogUnavailable: The disk refuses, or the log is closed.
        LogDamaged: The file is damaged.
    """
    opened = connected(log.path, partial(open_for_reading, log.path, _BUSY_TIMEOUT_MS))
    async with opened as reader:
        return await _Sweep(log, reader, now_ms, sign).run(limits, definitions, sensors)


class _Sweep:
    def __init__(
        self, log: SqliteEventLog, reader: Connection, now_ms: int, sign: Sign | None
    ) -> None:
        self._log = log
        self._reader = reader
        self._now_ms = now_ms
        self._sign = sign
        self._removed = Removed()

    async def run(
        self, limits: Limits, definitions: Collection[str], sensors: Collection[str]
    ) -> Swept:
        await self._remove()  # what a sweep before has left
        if limits.executions_ms is not None:
            await self._remove_executions(self._now_ms - limits.executions_ms)
        if limits.events_ms is not None:
            await self._remove_events(self._now_ms - limits.events_ms)
        if limits.bytes_max is not None:
            await self._make_room(limits.bytes_max)
        if self._removed:
            await self._remove(superseded_before=self._removed.last)
        unused = await self._remove_definitions(definitions)
        forgotten = await self._forget_sensors(sensors, limits.sensors_ms)
        checkpoints = await self._remove_checkpoints(limits.checkpoints_ms)
        await self._shrink()
        return Swept(
            removed=self._removed,
            definitions=unused,
            sensor_keys=forgotten,
            checkpoints=checkpoints,
            bytes_used=await self._reader.run(_bytes_used),
        )

    async def _remove_executions(
        self, before_ms: int, enough: Callable[[sqlite3.Connection], bool] | None = None
    ) -> None:
        """Remove what ended before an instant, oldest first, until it is enough."""
        # Children of an execution that goes can only go after it, so one pass may not do.
        bound = await self._reader.run(_bound, _ENDED_BOUND, before_ms)
        found = True
        while found:
            found, after = False, 0
            while ids := await self._reader.run(
                _keys, _ENDED, after, bound, before_ms, _EXECUTIONS_PER_BATCH
            ):
                if enough is not None and await self._reader.run(enough):
                    return
                found |= bool(await self._remove(executions=ids))
                after = ids[-1]

    async def _remove_events(
        self, before_ms: int, enough: Callable[[sqlite3.Connection], bool] | None = None
    ) -> None:
        bound = await self._reader.run(_bound, _RECEIVED_BOUND, before_ms)
        after = 0
        while positions := await self._reader.run(
            _keys, _RECEIVED, after, bound, before_ms, _EVENTS_PER_BATCH
        ):
            if enough is not None and await self._reader.run(enough):
                return
            await self._remove(events=positions)
            after = positions[-1]

    async def _make_room(self, bytes_max: int) -> None:
        def fits(connection: sqlite3.Connection) -> bool:
            return _bytes_used(connection) <= bytes_max

        before_ms = self._now_ms - ENDED_MS_MIN
        if not await self._reader.run(fits):
            await self._remove_executions(before_ms, fits)
            await self._remove_events(before_ms, fits)

    async def _remove(
        self,
        *,
        executions: Sequence[int] = (),
        events: Sequence[int] = (),
        superseded_before: int = 0,
    ) -> Removed:
        total = Removed()
        first = True
        while True:
            batch = partial(
                remove,
                at_ms=self._now_ms,
                executions=executions if first else (),
                events=events if first else (),
                superseded_before=superseded_before,
                steps_max=_ROWS_PER_BATCH,
                sign=self._sign,
            )
            removed = await self._carry_out(batch)
            if not removed:
                break
            total += removed
            self._removed += removed
            first = False
            if removed.steps + removed.removals < _ROWS_PER_BATCH and not removed.payload_uses:
                break
        return total

    async def _remove_definitions(self, kept: Collection[str]) -> int:
        unused, position = await self._reader.run(_unused_definitions)
        given = set(unused).difference(kept)
        if not given:
            return 0
        return await self._carry_out(partial(forget_definitions, unused=given, position=position))

    async def _forget_sensors(self, present: Collection[str], limit_ms: int | None) -> int:
        if limit_ms is None:
            return 0
        known = await self._reader.run(_sensors)
        seen = [(name, self._now_ms) for name in known]

        def see(writer: Writer) -> list[str]:
            for name, now_ms in seen:
                refresh = "used_ms = excluded.used_ms" if name in present else "used_ms = used_ms"
                writer.connection.execute(
                    "INSERT INTO sensors (sensor, used_ms) VALUES (?, ?) "
                    f"ON CONFLICT (sensor) DO UPDATE SET {refresh}",
                    (name, now_ms),
                )
            old = writer.connection.execute(
                "SELECT sensor FROM sensors WHERE used_ms < ?", (self._now_ms - limit_ms,)
            )
            return [name for (name,) in old if name not in present]

        keys = 0
        for name in await self._carry_out(see) if seen else []:
            while taken := await self._carry_out(partial(_forget_some, sensor=name)):
                keys += taken
        return keys

    async def _remove_checkpoints(self, limit_ms: int | None) -> int:
        if limit_ms is None:
            return 0

        def forget(writer: Writer) -> int:
            return writer.connection.execute(
                "DELETE FROM checkpoints WHERE position IN (SELECT position FROM checkpoints "
                "WHERE at_ms < ? AND position < (SELECT max(position) FROM checkpoints) LIMIT ?)",
                (self._now_ms - limit_ms, _ROWS_PER_BATCH),
            ).rowcount

        total = 0
        while taken := await self._carry_out(forget):
            total += taken
        return total

    async def _shrink(self) -> None:
        while await self._reader.run(_can_shrink):
            await self._carry_out(_give_pages_back)

    async def _carry_out(self, work: Callable[[Writer], _T]) -> _T:
        clock = asyncio.get_running_loop().time
        began = clock()
        result = await self._log.carry_out(work)
        # As long again for everybody else.
        await asyncio.sleep(clock() - began)
        return result


def _bound(connection: sqlite3.Connection, select: str, before_ms: int) -> int:
    bound: int | None = connection.execute(select, (before_ms,)).fetchone()[0]
    return bound or 0


def _keys(
    connection: sqlite3.Connection, select: str, after: int, bound: int, before_ms: int, limit: int
) -> list[int]:
    given = {"after": after, "bound": bound, "before_ms": before_ms, "limit": limit}
    return [key for (key,) in connection.execute(select, given)]


def _unused_definitions(connection: sqlite3.Connection) -> tuple[list[str], int]:
    """Definitions that no execution up to the position runs on."""
    # Asked first: an execution that comes after it is looked for again.
    (position,) = connection.execute("SELECT max(position) FROM executions").fetchone()
    return [digest for (digest,) in connection.execute(_UNUSED)], position or 0


def forget_definitions(writer: Writer, unused: Set[str], position: int) -> int:
    """Remove definitions that no execution up to `position` ran on, and none after it either."""
    connection = writer.connection
    since = {digest for (digest,) in connection.execute(_USED_SINCE, (position,))}
    rows = [(digest,) for digest in unused - since]
    connection.executemany("DELETE FROM definitions WHERE digest = ?", rows)
    return len(rows)


def _sensors(connection: sqlite3.Connection) -> list[str]:
    """The names of all sensors that remember something."""
    names: list[str] = []
    name: str | None = ""
    while name is not None:
        asked = "SELECT min(sensor) FROM sensor_state WHERE sensor > ?"
        (name,) = connection.execute(asked, (name,)).fetchone()
        if name is not None:
            names.append(name)
    return names


def _forget_some(writer: Writer, sensor: str) -> int:
    taken = writer.connection.execute(
        "DELETE FROM sensor_state WHERE sensor = ?1 AND key IN "
        "(SELECT key FROM sensor_state WHERE sensor = ?1 LIMIT ?2)",
        (sensor, _ROWS_PER_BATCH),
    ).rowcount
    if not taken:
        writer.connection.execute("DELETE FROM sensors WHERE sensor = ?", (sensor,))
    return taken


def _bytes_used(connection: sqlite3.Connection) -> int:
    size, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return size * (pages - free)


def _can_shrink(connection: sqlite3.Connection) -> bool:
    pages, free, vacuum = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "auto_vacuum")
    )
    return vacuum == 2 and free > _FREE_SHARE_KEPT * pages + _PAGES_PER_BATCH


def _give_pages_back(writer: Writer) -> None:
    # Only in a script is this statement run to its end, and Python commits what is open before one:
    # nothing is. The writer commits afterwards, and so needs a transaction.
    script = f"PRAGMA incremental_vacuum({_PAGES_PER_BATCH}); BEGIN IMMEDIATE"
    writer.connection.executescript(script)
