"""Notes what an engine commits, batch by batch, so that the reference can write the same."""

import asyncio
from pathlib import Path
from typing import TypeAlias

from eventmill.log.connection import Connection
from eventmill.log.group_commit import GroupCommit
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction

Batch: TypeAlias = list[Transaction]
"""What became durable in one commit of the database, in order."""


class RecordingEventLog(SqliteEventLog):
    """An event log that remembers its batches. It is used in a run of its own, beside the timed."""

    def __init__(self, path: Path, reader: Connection, writing: GroupCommit | None) -> None:
        super().__init__(path, reader, writing)
        self.batches: list[Batch] = []
        self._is_open = False

    def commit(self, transaction: Transaction) -> "asyncio.Future[None]":
        durable = super().commit(transaction)
        durable.add_done_callback(lambda _: self._note(transaction))
        return durable

    def _note(self, transaction: Transaction) -> None:
        if not self._is_open:
            # All transactions of one commit are reported in the same turn of the event loop.
            self._is_open = True
            self.batches.append([])
            asyncio.get_running_loop().call_soon(self._close)
        self.batches[-1].append(transaction)

    def _close(self) -> None:
        self._is_open = False
