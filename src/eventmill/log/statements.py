"""The statements that write, each for many rows at once, and the rows of one batch.

Python's `sqlite3` gives up the interpreter lock around every statement, and a busy event loop gives
it back only after a turn of milliseconds. With `executemany`, which runs a statement for every row,
that slows the writer to a hundredth; so rows go in by hundreds.
"""

import sqlite3
from typing import Final, TypeAlias

from eventmill.log import snapshots
from eventmill.model import Payload, Payloads
from eventmill.rows import DeliveryRow, ExecutionRow, MapRunChange, MapRunRow, Snapshot

Cell: TypeAlias = "int | float | str | bytes | None"

_ROWS_MAX: Final = 512


class Bulk:
    """A statement about a list of rows, prepared for 512, 256, … 2, 1 of them."""

    def __init__(self, before: str, row: str, after: str = "") -> None:
        self._width = row.count("?")
        sizes = (_ROWS_MAX >> halvings for halvings in range(_ROWS_MAX.bit_length()))
        self._statements = [(size, f"{before}{', '.join([row] * size)}{after}") for size in sizes]

    def run(self, connection: sqlite3.Connection, cells: list[Cell]) -> None:
        """Run it for all rows; `cells` holds them one after the other."""
        start, end = 0, len(cells)
        for size, statement in self._statements:
            width = size * self._width
            while end - start >= width:
                connection.execute(statement, cells[start : start + width])
                start += width


_INSERT_EVENTS: Final = Bulk(
    "INSERT INTO inbox (position, source, event_id, received_ms, body, hash) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
)
_INSERT_EXECUTIONS: Final = Bulk(
    "INSERT INTO executions (position, id, arn, state_machine_arn, name, definition, status, "
    "start_ms, stop_ms, event_source, event_id, trigger, hash, parent, map_run, child_index, "
    "items) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
_INSERT_STEPS: Final = Bulk(
    "INSERT INTO steps (position, execution, step, body, hash) VALUES ", "(?, ?, ?, ?, ?)"
)
_FINISH_EXECUTIONS: Final = Bulk(
    "UPDATE executions SET status = column2, stop_ms = column3 FROM (VALUES ",
    "(?, ?, ?)",
    ") WHERE id = column1",
)
_INSERT_MAP_RUNS: Final = Bulk(
    "INSERT INTO map_runs (execution, map_run, arn, max_concurrency, tolerated_count, "
    "tolerated_percentage, start_ms, status, stop_ms, items) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
_CHANGE_MAP_RUNS: Final = Bulk(
    "UPDATE map_runs SET status = coalesce(column3, status), stop_ms = coalesce(column4, stop_ms), "
    "items = coalesce(column5, items) FROM (VALUES ",
    "(?, ?, ?, ?, ?)",
    ") WHERE execution = column1 AND map_run = column2",
)
_SET_TIMERS: Final = Bulk(
    "INSERT INTO timers (execution, due_ms) VALUES ",
    "(?, ?)",
    " ON CONFLICT (execution) DO UPDATE SET due_ms = excluded.due_ms",
)
_REMOVE_TIMERS: Final = Bulk("DELETE FROM timers WHERE execution IN (", "?", ")")
_REMEMBER: Final = Bulk(
    "INSERT INTO sensor_state (sensor, key, value) VALUES ",
    "(?, ?, ?)",
    " ON CONFLICT (sensor, key) DO UPDATE SET value = excluded.value",
)
_FORGET: Final = Bulk("DELETE FROM sensor_state WHERE (sensor, key) IN (VALUES ", "(?, ?)", ")")
_DECIDE: Final = Bulk(
    "INSERT INTO deliveries (event_source, event_id, trigger, status, reason, attempts, since_ms, "
    "due_ms, decided_ms, execution, dedup_key, content_key, content) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (event_source, event_id, trigger) DO UPDATE SET status = excluded.status, "
    "reason = excluded.reason, attempts = excluded.attempts, since_ms = excluded.since_ms, "
    "due_ms = excluded.due_ms, decided_ms = excluded.decided_ms, "
    "execution = excluded.execution, dedup_key = excluded.dedup_key, "
    "content_key = excluded.content_key, content = excluded.content",
)
_REMOVE_SNAPSHOTS: Final = Bulk("DELETE FROM snapshots WHERE execution IN (", "?", ")")
_INSERT_DEFINITIONS: Final = Bulk(
    "INSERT INTO definitions (digest, text) VALUES ", "(?, ?)", " ON CONFLICT (digest) DO NOTHING"
)
_INSERT_PAYLOAD: Final = "INSERT INTO payloads (digest, body) VALUES (?, ?)"
_HAS_PAYLOAD: Final = "SELECT 1 FROM payloads WHERE digest = ?"
_USE_PAYLOADS: Final = Bulk(
    "INSERT INTO payload_uses (execution, digest) VALUES ", "(?, ?)", " ON CONFLICT DO NOTHING"
)


class Rows:
    """What a batch changes, table by table; of changes to one row the last counts."""

    __slots__ = (
        "definitions",
        "deliveries",
        "events",
        "executions",
        "finished",
        "map_run_changes",
        "map_runs",
        "payload_uses",
        "payloads",
        "sensor_state",
        "snapshots",
        "steps",
        "timers",
    )

    def __init__(self) -> None:
        self.events: list[Cell] = []
        self.executions: list[Cell] = []
        self.steps: list[Cell] = []
        self.map_runs: list[Cell] = []
        self.map_run_changes: list[tuple[tuple[int, int], MapRunChange]] = []
        self.finished: dict[int, tuple[str, int]] = {}
        self.timers: dict[int, int | None] = {}
        self.sensor_state: dict[tuple[str, str], bytes | None] = {}
        self.definitions: dict[str, str] = {}
        self.snapshots: list[Snapshot] = []
        self.deliveries: list[Cell] = []
        self.payloads: dict[str, Payload] = {}
        self.payload_uses: dict[tuple[int, str], None] = {}

    def add_execution(self, row: ExecutionRow, position: int, hash: bytes) -> None:
        """Add a new execution."""
        source, event_id = row.event or (None, None)
        self.executions += (
            position,
            row.id,
            row.arn,
            row.state_machine_arn,
            row.name,
            row.definition,
            row.status,
            row.start_ms,
            row.stop_ms,
            source,
            event_id,
            row.trigger,
            hash,
        )
        child = row.child
        self.executions += (
            (None, None, None, None)
            if child is None
            else (child.execution, child.map_run, child.index, child.items)
        )

    def add_map_run(self, row: MapRunRow) -> None:
        """Add a new Map Run."""
        self.map_runs += (
            row.execution,
            row.map_run,
            row.arn,
            row.max_concurrency,
            row.tolerated_count,
            row.tolerated_percentage,
            row.start_ms,
            row.status,
            row.stop_ms,
            row.items,
        )

    def add_delivery(self, row: DeliveryRow) -> None:
        """Add a delivery, or what is new about it."""
        self.deliveries += (
            *row.event,
            row.trigger,
            row.status,
            row.reason,
            row.attempts,
            row.since_ms,
            row.due_ms,
            row.decided_ms,
            row.execution,
            row.dedup_key,
            row.content_key,
            row.content,
        )

    def add_payloads(self, execution: int, payloads: Payloads) -> None:
        """Add payloads that a step of an execution refers to."""
        self.payloads.update(payloads)
        self.payload_uses.update(dict.fromkeys((execution, digest) for digest in payloads))

    def store(self, connection: sqlite3.Connection) -> None:
        """Write everything, within the transaction that is open."""
        _INSERT_EVENTS.run(connection, self.events)
        _INSERT_EXECUTIONS.run(connection, self.executions)
        _INSERT_STEPS.run(connection, self.steps)
        snapshots.store(connection, self.snapshots)
        if self.finished:
            _FINISH_EXECUTIONS.run(
                connection, [cell for id_, end in self.finished.items() for cell in (id_, *end)]
            )
            _REMOVE_SNAPSHOTS.run(connection, [*self.finished])
        _INSERT_MAP_RUNS.run(connection, self.map_runs)
        for (execution, map_run), change in self.map_run_changes:
            cells: list[Cell] = [execution, map_run, change.status, change.stop_ms, change.items]
            _CHANGE_MAP_RUNS.run(connection, cells)
        if self.timers:
            self._store_timers(connection)
        if self.sensor_state:
            self._store_sensor_state(connection)
        if self.definitions:
            _INSERT_DEFINITIONS.run(
                connection, [cell for pair in self.definitions.items() for cell in pair]
            )
        _DECIDE.run(connection, self.deliveries)
        if self.payloads:
            self._store_payloads(connection)

    def _store_payloads(self, connection: sqlite3.Connection) -> None:
        for digest, payload in self.payloads.items():
            # Asked before, since the text would be copied only to be found there already.
            if connection.execute(_HAS_PAYLOAD, (digest,)).fetchone() is None:
                connection.execute(_INSERT_PAYLOAD, (digest, payload.text))
        _USE_PAYLOADS.run(connection, [cell for use in self.payload_uses for cell in use])

    def _store_timers(self, connection: sqlite3.Connection) -> None:
        due: list[Cell] = []
        removed: list[Cell] = []
        for execution, due_ms in self.timers.items():
            if due_ms is None:
                removed.append(execution)
            else:
                due += (execution, due_ms)
        _SET_TIMERS.run(connection, due)
        _REMOVE_TIMERS.run(connection, removed)

    def _store_sensor_state(self, connection: sqlite3.Connection) -> None:
        kept: list[Cell] = []
        forgotten: list[Cell] = []
        for key, value in self.sensor_state.items():
            if value is None:
                forgotten += key
            else:
                kept += (*key, value)
        _REMEMBER.run(connection, kept)
        _FORGET.run(connection, forgotten)
