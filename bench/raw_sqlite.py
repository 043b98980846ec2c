"""The reference: the same rows, in the same tables and batches, written by SQLite and nothing else.

It has the event log's schema and its settings (WAL, `synchronous=FULL`). It encodes nothing, hashes
nothing and waits for nobody: what it takes is what SQLite and the disk take.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from bench.recording import Batch
from eventmill.log.database import open_for_writing
from eventmill.log.records import encode_event
from eventmill.ports import Transaction

_Row: TypeAlias = tuple[int | str | bytes | None, ...]
_Statement: TypeAlias = tuple[str, list[_Row]]

# As large as those of the chain, which the reference does not compute.
_HASH: Final = bytes(32)

_INSERT_EVENT: Final = (
    "INSERT INTO inbox (position, source, event_id, received_ms, body, hash) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_INSERT_EXECUTION: Final = (
    "INSERT INTO executions (position, id, arn, state_machine_arn, name, definition, status, "
    "start_ms, event_source, event_id, trigger, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_STEP: Final = (
    "INSERT INTO steps (position, execution, step, body, hash) VALUES (?, ?, ?, ?, ?)"
)
_INSERT_PAYLOAD: Final = "INSERT OR IGNORE INTO payloads (digest, body) VALUES (?, ?)"
_USE_PAYLOAD: Final = "INSERT OR IGNORE INTO payload_uses (execution, digest) VALUES (?, ?)"
_FINISH: Final = "UPDATE executions SET status = ?, stop_ms = ? WHERE id = ?"
_SET_TIMER: Final = "INSERT OR REPLACE INTO timers (execution, due_ms) VALUES (?, ?)"
_REMOVE_TIMER: Final = "DELETE FROM timers WHERE execution = ?"
_REMEMBER: Final = "INSERT OR REPLACE INTO sensor_state (sensor, key, value) VALUES (?, ?, ?)"
_FORGET: Final = "DELETE FROM sensor_state WHERE sensor = ? AND key = ?"
_DEFINE: Final = "INSERT OR IGNORE INTO definitions (digest, text) VALUES (?, ?)"


def write_raw(folder: Path, batches: Sequence[Batch]) -> list[float]:
    """Write the batches into a new file in `folder`; return how many seconds each took."""
    with TemporaryDirectory(dir=folder) as own_folder:
        connection = open_for_writing(Path(own_folder) / "raw.db", busy_timeout_ms=5_000)
        with closing(connection):
            return write_batches(connection, batches)


def write_batches(connection: sqlite3.Connection, batches: Sequence[Batch]) -> list[float]:
    """Write each batch in one commit; return how many seconds each took."""
    seconds = []
    for statements in list(_prepare(batches)):
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in statements:
            connection.executemany(statement, rows)
        connection.execute("COMMIT")
        seconds.append(time.perf_counter() - began)
    return seconds


def _prepare(batches: Iterable[Batch]) -> Iterator[list[_Statement]]:
    position = 0
    for batch in batches:
        rows: dict[str, list[_Row]] = {}
        for transaction in batch:
            for statement, row in _rows(transaction):
                if statement in (_INSERT_EVENT, _INSERT_EXECUTION, _INSERT_STEP):
                    position += 1
                    row = (position, *row, _HASH)
                rows.setdefault(statement, []).append(row)
        yield list(rows.items())


def _rows(transaction: Transaction) -> Iterator[tuple[str, _Row]]:
    for event in transaction.events:
        body = encode_event(event, transaction.received_ms)
        yield _INSERT_EVENT, (event.source, event.id, transaction.received_ms, body)
    for row in transaction.created:
        settled = (row.id, row.arn, row.state_machine_arn, row.name, row.definition)
        source, event_id = row.event or (None, None)
        cause = (source, event_id, row.trigger)
        yield _INSERT_EXECUTION, (*settled, row.status, row.start_ms, *cause)
    for step in transaction.steps:
        yield _INSERT_STEP, (step.execution, step.step, step.body)
        for digest, payload in (step.payloads or {}).items():
            yield _INSERT_PAYLOAD, (digest, payload.text)
            yield _USE_PAYLOAD, (step.execution, digest)
    for execution, (status, stop_ms) in (transaction.finished or {}).items():
        yield _FINISH, (status, stop_ms, execution)
    for execution, due_ms in (transaction.timers or {}).items():
        if due_ms is None:
            yield _REMOVE_TIMER, (execution,)
        else:
            yield _SET_TIMER, (execution, due_ms)
    for key, value in (transaction.sensor_state or {}).items():
        if value is None:
            yield _FORGET, key
        else:
            yield _REMEMBER, (*key, value)
    for digest, text in (transaction.definitions or {}).items():
        yield _DEFINE, (digest, text)
