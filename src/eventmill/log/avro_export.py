"""Writes the log, or a part of it, into an Avro object container."""

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

from eventmill.errors import ExecutionDoesNotExist
from eventmill.log import queries
from eventmill.log.avro import (
    BEFORE,
    END,
    KIND,
    LAYOUT,
    NAMESPACE,
    PART,
    TABLES,
    WHOLE,
    Digest,
    Table,
    columns,
    fastavro,
    schema,
)
from eventmill.log.backup import new_file
from eventmill.log.connection import Error, refusal
from eventmill.log.database import open_for_reading
from eventmill.log.migrations import migrations
from eventmill.record import record

_BUSY_TIMEOUT_MS: Final = 5_000
_CODEC: Final = "deflate"  # the one that every reader of Avro knows
_LEVEL: Final = 3
_BLOCK_BYTES: Final = 262_144
_TOLD_EVERY: Final = 10_000

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the position that was written and the last one."""

_Record: TypeAlias = tuple[str, tuple[Any, ...]]


@record
class Exported:
    """What was written: all records, and the chain's position and hash that the log had then."""

    records: int
    position: int
    hash: bytes


@record
class Part:
    """Rows of the chain from a position to another, or those of the execution with this ARN."""

    first: int = 1
    last: int | None = None
    execution: str | None = None


def export_log(
    log: Path, container: Path, part: Part | None = None, progress: Progress = lambda at, end: None
) -> Exported:
    """Write the log into the new file `container`, as it is at one instant.

    The file is on the disk when this returns, and until then it is not there. A server may be at
    work on the log, whose write-ahead log cannot shrink meanwhile. With `part`, only those rows of
    the chain and the definitions they name are written; such a container cannot be imported.

    Raises:
        FileExistsError: There is a file at `container`.
        ExecutionDoesNotExist: There is no execution with the ARN of `part`.
        LogUnavailable: The log cannot be read.
        LogDamaged: It is no event log, or damaged beyond reading.
        OSError: The container cannot be written.
    """
    with closing(open_for_reading(log, _BUSY_TIMEOUT_MS)) as connection:
        try:
            connection.execute("BEGIN")
            with new_file(container) as partial:
                return _Export(connection, part, progress).write(partial)
        except Error as error:
            raise refusal(log, "read", error) from error


class _Export:
    def __init__(
        self, connection: sqlite3.Connection, part: Part | None, progress: Progress
    ) -> None:
        self._connection = connection
        self._part = part
        self._progress = progress
        self._position, self._hash = queries.tail(connection)
        self._digest = Digest()

    def write(self, path: Path) -> Exported:
        header = {KIND: PART if self._part else WHOLE, LAYOUT: str(migrations()[-1][0])}
        if self._part and self._part.execution is None:
            header[BEFORE] = self._hash_before(self._part.first).hex()
        with path.open("wb") as file:
            avro = fastavro()
            avro.writer(
                file,
                avro.parse_schema(list(schema())),
                self._avro(self._records()),
                codec=_CODEC,
                codec_compression_level=_LEVEL,
                sync_interval=_BLOCK_BYTES,
                metadata=header,
            )
        return Exported(records=self._digest.records, position=self._position, hash=self._hash)

    def _avro(self, records: Iterator[_Record]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The records as fastavro takes them, and the end after them."""
        names = {
            table.record: (f"{NAMESPACE}.{table.record}", columns(table.record)) for table in TABLES
        }
        for name, cells in records:
            self._digest.add(name, cells)
            full, fields = names[name]
            yield full, dict(zip(fields, cells, strict=True))
        end = (self._digest.records, self._digest.value(), self._position, self._hash)
        yield f"{NAMESPACE}.{END}", dict(zip(columns(END), end, strict=True))

    def _records(self) -> Iterator[_Record]:
        if self._part is None:
            yield from self._chain("1")
            for table in TABLES:
                if not table.chained:
                    yield from self._table(table, "1")
        elif self._part.execution is None:
            yield from self._range(self._part)
        else:
            yield from self._execution(self._part.execution)

    def _range(self, part: Part) -> Iterator[_Record]:
        last = self._position if part.last is None else part.last
        within = f"{{0}} BETWEEN {int(part.first)} AND {int(last)}"
        yield from self._chain(within)
        named = f"SELECT definition FROM executions WHERE {within.format('position')}"
        yield from self._of("Definition", f"digest IN ({named})")
        stepped = f"SELECT execution FROM steps WHERE {within.format('position')}"
        yield from self._used(f"execution IN ({stepped})")
        yield from self._of("Checkpoint", within.format("position"))

    def _execution(self, arn: str) -> Iterator[_Record]:
        row = queries.execution(self._connection, arn)
        if row is None:
            raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
        if row.event is not None:
            yield from self._of("Event", "source = ? AND event_id = ?", *row.event)
        yield from self._of("Execution", "id = ?", row.id)
        yield from self._of("Step", "execution = ?", row.id)
        yield from self._of("Definition", "digest = ?", row.definition)
        yield from self._of("MapRun", "execution = ?", row.id)
        yield from self._of("Timer", "execution = ?", row.id)
        yield from self._used("execution = ?", row.id)

    def _used(self, where: str, *cells: int) -> Iterator[_Record]:
        """Payloads that executions use."""
        used = f"SELECT digest FROM payload_uses WHERE {where}"
        yield from self._of("Payload", f"digest IN ({used})", *cells)

    def _chain(self, where: str) -> Iterator[_Record]:
        """Rows of the chain, and the gaps between them, in order of position."""
        merged = heapq.merge(
            *(
                self._placed(table, where.format("last" if table.name == "gaps" else "position"))
                for table in TABLES
                if table.chained
            ),
            key=itemgetter(0),
        )
        for count, (position, found) in enumerate(merged):
            yield found
            if count % _TOLD_EVERY == 0:
                self._progress(position, self._position)
        self._progress(self._position, self._position)

    def _placed(self, table: Table, where: str) -> Iterator[tuple[int, _Record]]:
        # The first column is the position; of a gap, that of its last row.
        for name, cells in self._table(table, where):
            yield cells[0], (name, cells)

    def _of(self, record_name: str, where: str, *cells: str | int) -> Iterator[_Record]:
        (table,) = (each for each in TABLES if each.record == record_name)
        yield from self._table(table, where, cells)

    def _table(
        self, table: Table, where: str, cells: Sequence[str | int] = ()
    ) -> Iterator[_Record]:
        found = self._connection.execute(
            f"SELECT {', '.join(columns(table.record))} FROM {table.name} "
            f"WHERE {where} ORDER BY {table.order}",
            cells,
        )
        for row in found:
            yield table.record, row

    def _hash_before(self, first: int) -> bytes:
        """The hash of the row before a position: what the rows from there are verified with."""
        for table in TABLES:
            if table.chained:
                key = columns(table.record)[0]
                asked = f"SELECT hash FROM {table.name} WHERE {key} = ?"
                for (hash_,) in self._connection.execute(asked, (first - 1,)):
                    return bytes(hash_)
        return bytes(32)
