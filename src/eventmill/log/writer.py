"""Writes batches of transactions, each batch in one commit of SQLite. Knows nothing of asyncio."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final, TypeVar

from eventmill.errors import AppendConflict, DuplicateEvent, EventmillError
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.log import queries, records
from eventmill.log.chain import GENESIS, REMOVAL_STEP, link
from eventmill.log.connection import Error, IntegrityError, refusal, twice
from eventmill.log.statements import Rows
from eventmill.ports import Transaction

_T = TypeVar("_T")

_ENDS_MAX: Final = 65_536

# What can be wrong with one transaction; anything else concerns the disk, or is our mistake.
# ValueError is text that UTF-8 cannot hold, OverflowError an integer of more than 64 bits.
_REFUSED: Final = (EventmillError, IntegrityError, ValueError, OverflowError)

_END: Final = """
SELECT coalesce((SELECT max(step) FROM steps WHERE execution = id), 0)
FROM executions WHERE id = ?
"""


class Writer:
    """The one writer of a log. It remembers where the chain and the histories end.

    What it remembers holds as long as nobody else commits; SQLite tells when somebody did, and
    then it looks again. So a second writer costs speed, never correctness.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._version_seen: int | None = None
        self._position = 0
        self._hash = GENESIS
        self._ends: OrderedDict[int, int] = OrderedDict()

    def commit(self, batch: Sequence[Transaction]) -> Sequence[Exception | None]:
        """Make the transactions of a batch durable together, in order.

        Returns for each None, or why it alone was refused.

        Raises:
            LogUnavailable: The disk refuses; none of them is durable, nor will be.
            LogDamaged: The file is damaged; likewise.
        """
        point("before-commit")
        return twice(lambda: self._commit(batch))

    def _commit(self, batch: Sequence[Transaction]) -> Sequence[Exception | None]:
        try:
            self._begin()
            try:
                self._write(batch)
                refusals: Sequence[Exception | None] = [None] * len(batch)
            except _REFUSED:
                self.connection.execute("ROLLBACK")
                self._begin()
                refusals = [self._write_alone(each) for each in batch]
            self._end()
        except BaseException as error:
            self._abandon()
            if isinstance(error, Error):
                raise refusal(self._path, "write", error) from error
            raise
        return refusals

    def carry_out(self, work: Callable[["Writer"], _T]) -> _T:
        """Make what `work` does durable, in a transaction of its own, and return its result.

        Raises:
            LogUnavailable: The disk refuses; nothing of it is durable, nor will be.
            LogDamaged: The file is damaged; likewise.
        """
        try:
            self._begin()
            result = work(self)
            self._end()
        except BaseException as error:
            self._abandon()
            if isinstance(error, Error):
                raise refusal(self._path, "write", error) from error
            raise
        return result

    @property
    def position(self) -> int:
        """The position of the chain's last row, within a transaction."""
        return self._position

    def add_removal(self, body: bytes) -> int:
        """Append a removal to the chain, within `carry_out`, and return its position."""
        self._link(0, REMOVAL_STEP, body)
        self.connection.execute(
            "INSERT INTO removals (position, body, hash) VALUES (?, ?, ?)",
            (self._position, body, self._hash),
        )
        return self._position

    def forget(self, executions: Iterable[int]) -> None:
        """Take note that these executions are no longer in the log."""
        for execution in executions:
            self._ends.pop(execution, None)

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version != self._version_seen:
            self._version_seen = version
            self._ends.clear()
            self._position, self._hash = queries.tail(self.connection)

    def _end(self) -> None:
        try:
            point("inside-commit")
            self.connection.execute("COMMIT")
            point("after-commit")
        except Error:
            self._abandon()
            # A commit that failed while it was flushed may lie complete in the write-ahead log,
            # and come back to life after a crash. The next commit overwrites it: make one now.
            with suppress(Error):
                (layout,) = self.connection.execute("PRAGMA user_version").fetchone()
                self.connection.execute(f"PRAGMA user_version = {layout}")
            raise
        while len(self._ends) > _ENDS_MAX:
            self._ends.popitem(last=False)

    def _abandon(self) -> None:
        self._version_seen = None
        if self.connection.in_transaction:
            # After some errors SQLite has rolled back by itself.
            with suppress(Error):
                self.connection.execute("ROLLBACK")

    def _write_alone(self, transaction: Transaction) -> Exception | None:
        self.connection.execute("SAVEPOINT alone")
        try:
            self._write((transaction,))
            refused = None
        except _REFUSED as error:
            self.connection.execute("ROLLBACK TO alone")
            refused = self._reason(transaction, error)
        self.connection.execute("RELEASE alone")
        return refused

    def _write(self, transactions: Sequence[Transaction]) -> None:
        """Write the transactions, or raise and remember nothing of them."""
        tail = self._position, self._hash
        try:
            rows = Rows()
            for transaction in transactions:
                self._add(transaction, rows)
            rows.store(self.connection)
        except BaseException:
            self._position, self._hash = tail
            for execution in chain.from_iterable(map(_executions, transactions)):
                self._ends.pop(execution, None)
            raise

    def _add(self, transaction: Transaction, rows: Rows) -> None:
        for event in transaction.events:
            self._add_event(event, transaction.received_ms, rows)
        for row in transaction.created:
            assert row.id > 0, "the chain links events of the inbox as execution 0"
            self._link(row.id, 0, records.encode_execution(row))
            rows.add_execution(row, self._position, self._hash)
            self._ends[row.id] = 0
        for step in transaction.steps:
            end = self._end_of(step.execution)
            if step.step != end + 1:
                raise AppendConflict(step.execution, expected=step.step - 1, actual=end)
            self._ends[step.execution] = step.step
            self._link(step.execution, step.step, step.body)
            rows.steps += (self._position, step.execution, step.step, step.body, self._hash)
            if step.payloads:
                rows.add_payloads(step.execution, step.payloads)
        if transaction.finished:
            self._require(transaction.finished)
            rows.finished.update(transaction.finished)
        if transaction.timers:
            self._require(transaction.timers)
            rows.timers.update(transaction.timers)
        if transaction.sensor_state:
            rows.sensor_state.update(transaction.sensor_state)
        for run in transaction.map_runs:
            rows.add_map_run(run)
        if transaction.map_run_changes:
            rows.map_run_changes += transaction.map_run_changes.items()
        if transaction.snapshots:
            rows.snapshots += transaction.snapshots
        for delivery in transaction.deliveries:
            rows.add_delivery(delivery)
        if transaction.definitions:
            for digest, text in transaction.definitions.items():
                rows.definitions.setdefault(digest, text)

    def _add_event(self, event: TriggerEvent, received_ms: int, rows: Rows) -> None:
        body = records.encode_event(event, received_ms)
        self._link(0, 0, body)
        rows.events += (self._position, event.source, event.id, received_ms, body, self._hash)

    def _link(self, execution: int, step: int, body: bytes) -> None:
        self._position += 1
        self._hash = link(self._hash, execution, step, sha256(body).digest())

    def _end_of(self, execution: int) -> int:
        end = self._ends.get(execution)
        if end is None:
            found = self.connection.execute(_END, (execution,)).fetchone()
            if found is None:
                raise records.unknown_execution(execution)
            end = self._ends[execution] = found[0]
        return end

    def _require(self, executions: Iterable[int]) -> None:
        for execution in executions:
            self._end_of(execution)

    def _reason(self, transaction: Transaction, error: Exception) -> Exception:
        """What to tell about a transaction refused with `error`, whose traces are gone."""
        if isinstance(error, (ValueError, OverflowError)):
            return error
        keys = [(event.source, event.id) for event in transaction.events]
        if known := records.taken(
            keys, lambda key: self._exists("inbox WHERE source = ? AND event_id = ?", *key)
        ):
            return DuplicateEvent(known)
        arns = [row.arn for row in transaction.created]
        if known_arns := records.taken(
            arns, lambda arn: self._exists("executions WHERE arn = ?", arn)
        ):
            return records.arns_taken(known_arns)
        ids: set[int] = set()
        for row in transaction.created:
            if row.id in ids or self._exists("executions WHERE id = ?", row.id):
                return records.id_taken(row)
            ids.add(row.id)
        return error

    def _exists(self, where: str, *key: str | int) -> bool:
        found = self.connection.execute(f"SELECT 1 FROM {where}", key).fetchone()
        return found is not None


def _executions(transaction: Transaction) -> Iterable[int]:
    yield from (row.id for row in transaction.created)
    yield from (step.execution for step in transaction.steps)
