"""What can be asked of the log: a function for each question, on an open connection."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final

from eventmill.errors import LogDamaged
from eventmill.log import records, snapshots
from eventmill.log.chain import GENESIS
from eventmill.log.payloads import PayloadReader
from eventmill.machine.execution import RUNNING
from eventmill.rows import (
    Child,
    ChildHistory,
    ExecutionHistory,
    ExecutionRow,
    InboxEvent,
    MapRunRow,
    Progress,
    Snapshot,
    StepRow,
    StoredStep,
)

_EXECUTION: Final = """
SELECT id, arn, state_machine_arn, name, definition, status, start_ms, stop_ms,
    (SELECT coalesce(max(step), 0) FROM steps WHERE execution = executions.id),
    event_source, event_id, trigger, parent, map_run, child_index, items
FROM executions
"""
_CHILDREN: Final = "parent = ? AND map_run = ?"
# Of a child that is no longer there, the condition on ids alone has to do.
_BEFORE_CHILD: Final = (
    "child_index < coalesce((SELECT child_index FROM executions WHERE id = ?), 9e15)"
)
_MAP_RUN: Final = """
SELECT execution, map_run, arn, max_concurrency, tolerated_count, tolerated_percentage, start_ms,
    status, stop_ms, items
FROM map_runs
"""
_TAIL: Final = """
SELECT position, hash FROM (SELECT position, hash FROM inbox ORDER BY position DESC LIMIT 1)
UNION ALL
SELECT position, hash FROM (SELECT position, hash FROM executions ORDER BY position DESC LIMIT 1)
UNION ALL
SELECT position, hash FROM (SELECT position, hash FROM steps ORDER BY position DESC LIMIT 1)
UNION ALL
SELECT position, hash FROM (SELECT position, hash FROM removals ORDER BY position DESC LIMIT 1)
ORDER BY position DESC LIMIT 1
"""
_EVENT: Final = "SELECT position, source, event_id, body FROM inbox"


def read(connection: sqlite3.Connection, execution: int, after_step: int) -> Sequence[StepRow]:
    """See `EventLog.read`."""
    with _one_instant(connection):
        payloads = PayloadReader(connection)
        return [
            StepRow(execution=execution, step=step, body=body, payloads=payloads.of(body))
            for step, body in _steps(connection, execution, after_step)
        ]


def _steps(
    connection: sqlite3.Connection, execution: int, after_step: int
) -> Iterator[tuple[int, bytes]]:
    return connection.execute(
        "SELECT step, body FROM steps WHERE execution = ? AND step > ? ORDER BY step",
        (execution, after_step),
    )


def execution(connection: sqlite3.Connection, arn: str) -> ExecutionRow | None:
    """See `EventLog.execution`."""
    found = connection.execute(f"{_EXECUTION} WHERE arn = ?", (arn,)).fetchone()
    return found and _execution(found)


def execution_by_id(connection: sqlite3.Connection, id_: int) -> ExecutionRow | None:
    """See `EventLog.execution_by_id`."""
    found = connection.execute(f"{_EXECUTION} WHERE id = ?", (id_,)).fetchone()
    return found and _execution(found)


def executions(
    connection: sqlite3.Connection,
    state_machine_arn: str | None,
    status: str | None,
    map_run: tuple[int, int] | None,
    before_id: int | None,
    limit: int,
) -> Sequence[ExecutionRow]:
    """See `EventLog.executions`."""
    asked = {
        "state_machine_arn = ?": state_machine_arn,
        "status = ?": status,
        "id < ?": before_id,
    }
    narrowed = {term: value for term, value in asked.items() if value is not None}
    whose, order = "parent IS NULL", "id"
    if map_run is not None:
        whose = _CHILDREN
        if status != RUNNING:
            # The order is the same, and here is the index for it. Few children run, of a million.
            order = "child_index"
            if before_id is not None:
                narrowed[_BEFORE_CHILD] = before_id
    found = connection.execute(
        f"{_EXECUTION} WHERE {' AND '.join((whose, *narrowed))} ORDER BY {order} DESC LIMIT ?",
        (*(map_run or ()), *narrowed.values(), limit),
    )
    return [_execution(each) for each in found]


def newest_id(connection: sqlite3.Connection) -> int:
    """See `EventLog.newest_id`."""
    newest: int | None = connection.execute("SELECT max(id) FROM executions").fetchone()[0]
    return newest or 0


def map_run(connection: sqlite3.Connection, arn: str) -> MapRunRow | None:
    """See `EventLog.map_run`."""
    found = connection.execute(f"{_MAP_RUN} WHERE arn = ?", (arn,)).fetchone()
    return found and _map_run(found)


def map_runs(connection: sqlite3.Connection, execution: int) -> Sequence[MapRunRow]:
    """See `EventLog.map_runs`."""
    found = connection.execute(
        f"{_MAP_RUN} WHERE execution = ? ORDER BY map_run DESC", (execution,)
    )
    return [_map_run(each) for each in found]


def progress(connection: sqlite3.Connection, map_run: tuple[int, int]) -> Progress:
    """See `EventLog.progress`."""
    # Each statement sees the log at its own instant, so one statement asks for everything.
    found = connection.execute(
        "SELECT status, count(*), sum(items), "
        "json_group_array(json_array(id, items)) FILTER (WHERE status = 'RUNNING') "
        f"FROM executions WHERE {_CHILDREN} GROUP BY status",
        map_run,
    ).fetchall()
    running: list[tuple[int, int]] = next(
        (json.loads(ids) for status, _, _, ids in found if status == "RUNNING"), []
    )
    return Progress(
        ended={status: (count, items) for status, count, items, _ in found if status != "RUNNING"},
        running=dict(running),
        started=sum(count for _, count, _, _ in found),
    )


def children(
    connection: sqlite3.Connection, map_run: tuple[int, int], after_index: int, limit: int
) -> Sequence[ChildHistory]:
    """See `EventLog.children`."""
    with _one_instant(connection):
        payloads = PayloadReader(connection)
        found = connection.execute(
            f"{_EXECUTION} WHERE {_CHILDREN} AND child_index > ? ORDER BY child_index LIMIT ?",
            (*map_run, after_index, limit),
        ).fetchall()
        return [_child(connection, _execution(each), payloads) for each in found]


def _child(
    connection: sqlite3.Connection, row: ExecutionRow, payloads: PayloadReader
) -> ChildHistory:
    first, last = (
        connection.execute(
            "SELECT body FROM steps WHERE execution = ? AND step = ?", (row.id, step)
        ).fetchone()[0]
        for step in (1, row.steps)
    )
    found = payloads.of(first, last)
    return ChildHistory(row=row, first=first, last=last, payloads=found)


def orphans(connection: sqlite3.Connection, limit: int) -> Sequence[ExecutionRow]:
    """See `EventLog.orphans`."""
    found = connection.execute(
        f"{_EXECUTION} WHERE status = 'RUNNING' AND parent IS NOT NULL AND EXISTS ("
        "SELECT 1 FROM map_runs WHERE map_runs.execution = parent "
        "AND map_runs.map_run = executions.map_run AND map_runs.status != 'RUNNING') "
        "ORDER BY id LIMIT ?",
        (limit,),
    )
    return [_execution(each) for each in found]


def unfinished(connection: sqlite3.Connection) -> Sequence[int]:
    """See `EventLog.unfinished`."""
    found = connection.execute(
        "SELECT id FROM executions WHERE status = 'RUNNING' "
        "AND NOT EXISTS (SELECT 1 FROM timers WHERE execution = executions.id) ORDER BY id"
    )
    return [id_ for (id_,) in found]


def histories(
    connection: sqlite3.Connection, ids: Sequence[int], bytes_max: int
) -> tuple[Sequence[ExecutionHistory], int]:
    """The first of some executions, in order of `ids`, and the last id that was looked at.

    No further one is begun once their steps, snapshots and payloads have `bytes_max` bytes.
    """
    with _one_instant(connection):
        payloads = PayloadReader(connection)
        bodies, restored, last = _bodies(connection, ids, bytes_max, payloads)
        seen = [id_ for id_ in ids if id_ <= last]
        marks = ", ".join("?" * len(seen))
        found = connection.execute(f"{_EXECUTION} WHERE id IN ({marks}) ORDER BY id", seen)
        rows = [_execution(each) for each in found]
        due_ms = dict(
            connection.execute(
                f"SELECT execution, due_ms FROM timers WHERE execution IN ({marks})", seen
            )
        )
        return [
            ExecutionHistory(
                row=row,
                bodies=bodies.get(row.id, []),
                due_ms=due_ms.get(row.id),
                snapshot=restored.get(row.id),
                payloads=payloads.of(*bodies.get(row.id, ())),
            )
            for row in rows
        ], last


def _bodies(
    connection: sqlite3.Connection, ids: Sequence[int], bytes_max: int, payloads: PayloadReader
) -> tuple[dict[int, list[bytes]], dict[int, Snapshot], int]:
    """Of each execution the steps to be folded, the snapshot before them, and the last id."""
    bodies: dict[int, list[bytes]] = {}
    restored: dict[int, Snapshot] = {}
    size = 0
    for id_, part in _parts(connection, ids):
        if id_ not in bodies:
            if size + payloads.bytes >= bytes_max:
                return bodies, restored, next(reversed(bodies))
            bodies[id_] = []
        if isinstance(part, Snapshot):
            restored[id_] = part
            size += len(part.body)
        else:
            bodies[id_].append(part)
            size += len(part)
            payloads.of(part)
    return bodies, restored, ids[-1]


def _parts(
    connection: sqlite3.Connection, ids: Sequence[int]
) -> Iterator[tuple[int, Snapshot | bytes]]:
    """In order of `ids`, the snapshot of each execution, if any, and the steps after it."""
    shortened = snapshots.known(connection, ids)
    for is_shortened, run in groupby(ids, shortened.__contains__):
        if not is_shortened:
            asked = [*run]
            yield from connection.execute(
                "SELECT execution, body FROM steps "
                f"WHERE execution IN ({', '.join('?' * len(asked))}) ORDER BY execution, step",
                asked,
            )
            continue
        for id_ in run:
            snapshot = snapshots.read(connection, id_)
            if snapshot is not None:
                yield id_, snapshot
            after = 0 if snapshot is None else snapshot.step
            yield from ((id_, body) for _, body in _steps(connection, id_, after))


@contextmanager
def _one_instant(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all statements of the block see the log as it is at the first."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # after some errors SQLite has ended it by itself
            connection.execute("COMMIT")


def due(connection: sqlite3.Connection, now_ms: int, limit: int) -> Sequence[tuple[int, int]]:
    """See `EventLog.due`."""
    return connection.execute(
        "SELECT due_ms, execution FROM timers WHERE due_ms <= ? ORDER BY due_ms, execution LIMIT ?",
        (now_ms, limit),
    ).fetchall()


def next_due_ms(connection: sqlite3.Connection) -> int | None:
    """See `EventLog.next_due_ms`."""
    soonest: int | None = connection.execute("SELECT min(due_ms) FROM timers").fetchone()[0]
    return soonest


def definition(connection: sqlite3.Connection, digest: str) -> str | None:
    """See `EventLog.definition`."""
    found = connection.execute("SELECT text FROM definitions WHERE digest = ?", (digest,))
    for (text,) in found:
        return str(text)
    return None


def sensor_state(
    connection: sqlite3.Connection, sensor: str, limit: int | None
) -> Mapping[str, bytes]:
    """See `EventLog.sensor_state`."""
    found = connection.execute(
        "SELECT key, value FROM sensor_state WHERE sensor = ? LIMIT ?",
        (sensor, -1 if limit is None else limit),  # a negative limit is none
    )
    return dict(found.fetchall())


def event(connection: sqlite3.Connection, source: str, event_id: str) -> InboxEvent | None:
    """See `EventLog.event`."""
    found = connection.execute(
        f"{_EVENT} WHERE source = ? AND event_id = ?", (source, event_id)
    ).fetchone()
    return found and _received(connection, found)


def inbox(
    connection: sqlite3.Connection,
    before_position: int | None,
    limit: int,
    source: str | None = None,
    event_id: str | None = None,
    id_prefix: str | None = None,
) -> Sequence[InboxEvent]:
    """See `EventLog.inbox`."""
    conditions, values = ["1"], list[int | str]()
    if before_position is not None:
        conditions.append("position < ?")
        values.append(before_position)
    if source is not None:
        conditions.append("source = ?")
        values.append(source)
    # Ids are found in the index, which is much smaller than the table with its bodies.
    if event_id is not None:
        conditions.append("position IN (SELECT position FROM inbox WHERE event_id = ?)")
        values.append(event_id)
    if id_prefix is not None:
        conditions.append(
            "position IN (SELECT position FROM inbox WHERE substr(event_id, 1, ?) = ?)"
        )
        values += (len(id_prefix), id_prefix)
    found = connection.execute(
        f"{_EVENT} WHERE {' AND '.join(conditions)} ORDER BY position DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    return [_received(connection, each) for each in found]


def stored_steps(
    connection: sqlite3.Connection, after_position: int, limit: int, bytes_max: int
) -> Sequence[StoredStep]:
    """The first `limit` step rows after a position, or fewer once they have `bytes_max` bytes."""
    page: list[StoredStep] = []
    with _one_instant(connection):
        payloads = PayloadReader(connection)
        for position, execution, step, body, hash_ in connection.execute(
            "SELECT position, execution, step, body, hash FROM steps "
            "WHERE position > ? ORDER BY position LIMIT ?",
            (after_position, limit),
        ):
            row = StepRow(execution=execution, step=step, body=body, payloads=payloads.of(body))
            page.append(StoredStep(position=position, row=row, hash=hash_))
            if payloads.bytes >= bytes_max:
                break
    return page


def tail(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """The position and the hash of the last row of the chain."""
    last: tuple[int, bytes] | None = connection.execute(_TAIL).fetchone()
    return last or (0, GENESIS)


def _execution(found: tuple[Any, ...]) -> ExecutionRow:
    return ExecutionRow(
        id=found[0],
        arn=found[1],
        state_machine_arn=found[2],
        name=found[3],
        definition=found[4],
        status=found[5],
        start_ms=found[6],
        stop_ms=found[7],
        steps=found[8],
        event=None if found[10] is None else (found[9], found[10]),
        trigger=found[11],
        child=None
        if found[12] is None
        else Child(execution=found[12], map_run=found[13], index=found[14], items=found[15]),
    )


def _map_run(found: tuple[Any, ...]) -> MapRunRow:
    return MapRunRow(
        execution=found[0],
        map_run=found[1],
        arn=found[2],
        max_concurrency=found[3],
        tolerated_count=found[4],
        tolerated_percentage=found[5],
        start_ms=found[6],
        status=found[7],
        stop_ms=found[8],
        items=found[9],
    )


def _received(connection: sqlite3.Connection, found: tuple[int, str, str, bytes]) -> InboxEvent:
    position, source, event_id, body = found
    try:
        trigger_event, received_ms = records.decode_event(body)
    except ValueError as error:
        what = f"position {position} of the inbox holds no event: {error}"
        raise LogDamaged(what) from error
    # Of several executions of one trigger, the first.
    started = connection.execute(
        "SELECT trigger, arn FROM executions "
        "WHERE event_source = ? AND event_id = ? AND trigger IS NOT NULL ORDER BY id DESC",
        (source, event_id),
    )
    return InboxEvent(
        position=position,
        event=trigger_event,
        received_ms=received_ms,
        executions=dict(started.fetchall()),
    )
