"""Makes a log of an Avro object container, or refuses it at the first row that does not hold."""

import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

from eventmill.errors import LogDamaged, LogFromTheFuture
from eventmill.log import lock, records
from eventmill.log.audit import Audit, audit_database
from eventmill.log.avro import (
    END,
    KIND,
    LAYOUT,
    PART,
    TABLES,
    WHOLE,
    Digest,
    columns,
    fastavro,
    schema_of,
)
from eventmill.log.avro_export import Progress
from eventmill.log.backup import new_file
from eventmill.log.chain import EVENT_STEP, REMOVAL_STEP, Gap, Link, verify
from eventmill.log.connection import Error, IntegrityError, refusal
from eventmill.log.database import open_for_writing
from eventmill.log.migrations import migrations
from eventmill.rows import Child, ExecutionRow

_BUSY_TIMEOUT_MS: Final = 5_000
_ROWS_PER_INSERT: Final = 1_000
_BYTES_WAITING_MAX: Final = 8_388_608
_TOLD_EVERY: Final = 10_000

# What fastavro raises when the bytes are not those that were written.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    AttributeError,
    AssertionError,
    StopIteration,
)


def import_log(container: Path, log: Path, progress: Progress = lambda at, end: None) -> Audit:
    """Make the new log `log` of a container that `export_log` wrote whole, and return its audit.

    Every row is where it was, with the same hash, or there is no log afterwards. A server goes on
    with what the container says was under way, so no other one should.

    Raises:
        FileExistsError: There is a file at `log`.
        LogInUse: A server holds the data folder.
        LogDamaged: The container is no whole log, is damaged or truncated; the message says at
            which position.
        LogFromTheFuture: A newer version of Eventmill wrote it.
        OSError: The container cannot be read, or the log not written.
    """
    with container.open("rb") as file, lock.held(log), new_file(log) as partial:
        with closing(open_for_writing(partial, _BUSY_TIMEOUT_MS)) as connection:
            try:
                _prepare(connection)
                _Import(connection, container, file, progress).run()
                connection.execute("PRAGMA journal_mode = DELETE")
            except Error as error:
                raise refusal(partial, "write", error) from error
        audit = audit_database(partial)
        if audit.problem is not None:
            raise LogDamaged(f"{container} is damaged at {audit.problem}")
    return audit


def _prepare(connection: sqlite3.Connection) -> None:
    # A file that fails is thrown away, so nothing needs to be undone or flushed before the end.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")


class _Import:
    def __init__(
        self, connection: sqlite3.Connection, container: Path, file: BinaryIO, progress: Progress
    ) -> None:
        self._connection = connection
        self._container = container
        self._file = file
        self._progress = progress
        self._position = 0
        self._digest = Digest()
        self._ended: dict[str, Any] | None = None
        self._waiting: dict[str, list[tuple[Any, ...]]] = {table.record: [] for table in TABLES}
        self._waiting_bytes = 0
        self._inserts = {table.record: _insert(table.record, table.name) for table in TABLES}

    def run(self) -> None:
        self._connection.execute("BEGIN")
        problem = verify(self._links())
        if problem is not None:
            raise LogDamaged(f"{self._container} is damaged at {problem}")
        self._store_all()
        self._check_end()
        self._connection.execute("COMMIT")
        self._progress(self._position, self._position)

    def _links(self) -> Iterator[Link | Gap]:
        """Keep all rows, and yield those of the chain."""
        chained = {table.record for table in TABLES if table.chained}
        for name, row in self._rows():
            cells = tuple(row.values())
            self._digest.add(name, cells)
            waiting = self._waiting[name]
            waiting.append(cells)
            self._waiting_bytes += sum(len(cell) for cell in cells if isinstance(cell, bytes))
            if len(waiting) >= _ROWS_PER_INSERT or self._waiting_bytes >= _BYTES_WAITING_MAX:
                self._store_all()
            if name in chained:
                self._position = cells[0]
                yield _link(name, row)

    def _rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for count, (full, values) in enumerate(self._read()):
            name = full.rpartition(".")[2]
            if self._ended is not None:
                raise self._damaged("there are records after its end")
            if name == END:
                self._ended = values
                continue
            yield name, values
            if count % _TOLD_EVERY == 0:
                self._progress(self._position, 0)

    def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        avro = fastavro()
        schema_errors = (avro.schema.SchemaParseException, avro.read.SchemaResolutionError)
        try:
            reader = avro.reader(self._file, return_record_name=True)
            self._check_header(reader.metadata)
            canonical = avro.schema.to_parsing_canonical_form
            expected = list(schema_of(int(reader.metadata[LAYOUT])))
            if canonical(reader.writer_schema) != canonical(avro.parse_schema(expected)):
                raise self._damaged("its schema is not that of its version")
            yield from reader
        except (*_UNREADABLE, *schema_errors) as error:
            raise self._damaged(f"it cannot be read: {error or type(error).__name__}") from error

    def _check_header(self, header: dict[str, str]) -> None:
        if header.get(KIND) == PART:
            raise LogDamaged(
                f"{self._container} is a part of a log, exported with --from, --to or --execution: "
                "only a whole log can be imported"
            )
        if header.get(KIND) != WHOLE:
            raise LogDamaged(f"{self._container} is no log that was exported by Eventmill")
        newest = migrations()[-1][0]
        if int(header[LAYOUT]) > newest:
            raise LogFromTheFuture(
                f"{self._container} has version {header[LAYOUT]}, this Eventmill knows versions up "
                f"to {newest}: import it with the newer Eventmill that wrote it"
            )

    def _check_end(self) -> None:
        if self._ended is None:
            raise self._damaged("it was truncated: its end is missing")
        end = self._ended
        if (end["records"], end["digest"]) != (self._digest.records, self._digest.value()):
            raise self._damaged("its records are not those that its end tells of")

    def _store_all(self) -> None:
        for name in self._waiting:
            self._store(name)
        self._waiting_bytes = 0

    def _store(self, name: str) -> None:
        try:
            self._connection.executemany(self._inserts[name], self._waiting[name])
        except (IntegrityError, OverflowError, ValueError) as error:
            raise self._damaged(f"the log refuses a record {name}: {error}") from error
        self._waiting[name].clear()

    def _damaged(self, what: str) -> LogDamaged:
        after = f"after position {self._position}" if self._position else "at its beginning"
        return LogDamaged(f"{self._container} is damaged {after}: {what}")


def _insert(record_name: str, table: str) -> str:
    names = columns(record_name)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _link(name: str, row: dict[str, Any]) -> Link | Gap:
    """A record of the chain as the chain sees it."""
    if name == "Gap":
        return Gap(position=row["first"], last=row["last"], hash=row["hash"])
    execution, step, body = 0, EVENT_STEP, row.get("body")
    if name == "Removal":
        step = REMOVAL_STEP
    elif name == "Step":
        execution, step = row["execution"], row["step"]
    elif name == "Execution":
        execution, body = row["id"], records.encode_execution(_execution(row))
    digest = (row.get("digest") or b"") if body is None else sha256(body).digest()
    return Link(
        position=row["position"], execution=execution, step=step, digest=digest, hash=row["hash"]
    )


def _execution(row: dict[str, Any]) -> ExecutionRow:
    event_id, parent = row["event_id"], row["parent"]
    return ExecutionRow(
        id=row["id"],
        arn=row["arn"],
        state_machine_arn=row["state_machine_arn"],
        name=row["name"],
        definition=row["definition"],
        status=row["status"],
        start_ms=row["start_ms"],
        event=None if event_id is None else (row["event_source"], event_id),
        trigger=row["trigger"],
        child=None
        if parent is None
        else Child(
            execution=parent, map_run=row["map_run"], index=row["child_index"], items=row["items"]
        ),
    )
