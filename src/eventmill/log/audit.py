"""The offline audit of a log: every row of the chain, read from the file itself."""

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any, Final

from eventmill.log import queries, records
from eventmill.log.chain import Link, Problem, verify
from eventmill.log.connection import Error, refusal
from eventmill.log.database import open_for_reading
from eventmill.model import record
from eventmill.ports import Child, ExecutionRow

_ROWS_PER_READ: Final = 1_000
_BUSY_TIMEOUT_MS: Final = 5_000

_RANGE: Final = "WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
_EVENTS: Final = (
    f"SELECT position, body, digest, hash, source, event_id, received_ms FROM inbox {_RANGE}"
)
_EXECUTIONS: Final = f"""
SELECT position, id, arn, state_machine_arn, name, definition, status, start_ms,
    event_source, event_id, trigger, parent, map_run, child_index, items, hash
FROM executions {_RANGE}
"""
_STEPS: Final = f"SELECT position, execution, step, body, digest, hash FROM steps {_RANGE}"


@record
class Audit:
    """What an audit found.

    `position` and `hash` are those of the chain's last row; noted somewhere else, they show later
    whether rows at the end were removed. The counts are of the rows that were read.
    """

    events: int
    executions: int
    steps: int
    purged: int  # events and steps whose bodies were removed, leaving their digests
    position: int
    hash: bytes
    problem: Problem | None


def audit_database(path: str | PathLike[str]) -> Audit:
    """Verify the log at `path`, from its first row to the one that is the last now.

    Every event of the inbox, every execution and every step must be as it was written, in its
    place in the chain. The audit ends at the first row that is not. It only reads the file, which
    may be a copy or the log of a server at work.

    Raises:
        LogUnavailable: There is no such file, or it cannot be read.
        LogDamaged: It is no event log, or damaged beyond reading.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    path = Path(path)
    with closing(open_for_reading(path, _BUSY_TIMEOUT_MS)) as connection:
        try:
            return _Auditor(connection).audit()
        except Error as error:
            raise refusal(path, "read", error) from error


class _Auditor:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._position, self._hash = queries.tail(connection)
        self._events = self._executions = self._steps = self._purged = 0
        self._mislabelled: Problem | None = None

    def audit(self) -> Audit:
        links = heapq.merge(
            self._event_links(),
            self._execution_links(),
            self._step_links(),
            key=attrgetter("position"),
        )
        found = (verify(links), self._mislabelled)
        problems = [each for each in found if each is not None]
        return Audit(
            events=self._events,
            executions=self._executions,
            steps=self._steps,
            purged=self._purged,
            position=self._position,
            hash=self._hash,
            problem=min(problems, key=attrgetter("position"), default=None),
        )

    def _event_links(self) -> Iterator[Link]:
        for position, body, digest, hash_, *labels in self._rows(_EVENTS):
            self._events += 1
            if self._mislabelled is None and body is not None and _labels(body) != labels:
                what = "its source, id or time of receipt is not that of its body"
                self._mislabelled = Problem(position=position, execution=0, step=0, what=what)
            yield self._link(position, 0, 0, body, digest, hash_)

    def _execution_links(self) -> Iterator[Link]:
        for position, *columns, hash_ in self._rows(_EXECUTIONS):
            self._executions += 1
            id_, arn, state_machine_arn, name, definition, status, start_ms = columns[:7]
            source, event_id, trigger, parent, map_run, index, items = columns[7:]
            row = ExecutionRow(
                id=id_,
                arn=arn,
                state_machine_arn=state_machine_arn,
                name=name,
                definition=definition,
                status=status,
                start_ms=start_ms,
                event=None if event_id is None else (source, event_id),
                trigger=trigger,
                child=None
                if parent is None
                else Child(execution=parent, map_run=map_run, index=index, items=items),
            )
            yield self._link(position, id_, 0, records.encode_execution(row), None, hash_)

    def _step_links(self) -> Iterator[Link]:
        for position, execution, step, body, digest, hash_ in self._rows(_STEPS):
            self._steps += 1
            yield self._link(position, execution, step, body, digest, hash_)

    def _link(
        self,
        position: int,
        execution: int,
        step: int,
        body: bytes | None,
        digest: bytes | None,
        hash_: bytes,
    ) -> Link:
        if body is None:
            self._purged += 1
        return Link(
            position=position,
            execution=execution,
            step=step,
            digest=(digest or b"") if body is None else sha256(body).digest(),
            hash=hash_,
        )

    def _rows(self, select: str) -> Iterator[tuple[Any, ...]]:
        # Rows never change, so each page can be a read of its own: a long one would keep the
        # write-ahead log of a server at work from shrinking.
        after = 0
        while page := self._connection.execute(
            select, (after, self._position, _ROWS_PER_READ)
        ).fetchall():
            yield from page
            after = page[-1][0]


def _labels(body: bytes) -> list[Any]:
    """What the columns of an event's row must be; nothing when the body is no event's."""
    try:
        event, received_ms = records.decode_event(body)
    except ValueError:
        return []
    return [event.source, event.id, received_ms]
