"""Notes what an engine commits, batch by batch, so that the reference can write the same."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from eventmill.log.sqlite import SqliteEventLog
from eventmill.log.writer import Writer
from eventmill.ports import Transaction

Batch: TypeAlias = Sequence[Transaction]
"""What became durable in one commit of the database, in order."""


class _RecordingWriter(Writer):
    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        self.batches: list[Batch] = []

    def commit(self, batch: Sequence[Transaction]) -> Sequence[Exception | None]:
        refusals = super().commit(batch)
        self.batches.append(batch)
        return refusals


class RecordingEventLog(SqliteEventLog):
    """An event log that remembers its batches. It is used in a run of its own, beside the timed."""

    kind_of_writer = _RecordingWriter

    async def batches(self) -> Sequence[Batch]:
        """What was committed so far."""

        def noted(writer: Writer) -> Sequence[Batch]:
            assert isinstance(writer, _RecordingWriter)
            return writer.batches

        return await self.carry_out(noted)
