"""The offline audit of a log: every row of the chain, read from the file itself.

It follows the chain over the gaps that retention left, and compares it with checkpoints: those in
the log, and those that were kept outside of it.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Sequence, Set
from contextlib import closing, contextmanager
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any, Final

from eventmill.codec import references
from eventmill.errors import LogDamaged
from eventmill.log import queries, records, snapshots
from eventmill.log.chain import REMOVAL_STEP, Gap, Link, Problem, verify
from eventmill.log.checkpoints import Checkpoint, Sign, checkpoint_of, stored_checkpoints
from eventmill.log.comparison import Comparison
from eventmill.log.connection import Error, refusal
from eventmill.log.database import open_for_reading
from eventmill.log.removal import decode_removal
from eventmill.record import record
from eventmill.rows import Child, ExecutionRow

_ROWS_PER_READ: Final = 1_000
_BUSY_TIMEOUT_MS: Final = 5_000
_REMOVALS_KEPT: Final = 64

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
_FIRST_WITH: Final = (
    "SELECT position, id FROM executions WHERE definition = ? ORDER BY position LIMIT 1"
)
_HAS_PAYLOAD: Final = """
SELECT EXISTS (SELECT 1 FROM payloads WHERE digest = :digest),
    EXISTS (SELECT 1 FROM payload_uses WHERE execution = :execution AND digest = :digest)
"""
_REMOVALS: Final = f"SELECT position, body, hash FROM removals {_RANGE}"
_GAPS: Final = (
    "SELECT last, first, hash, removal FROM gaps WHERE last > ? AND last <= ? ORDER BY last LIMIT ?"
)


@record
class Audit:
    """What an audit found.

    `position` and `hash` are those of the chain's last row; noted somewhere else, they show later
    whether rows at the end were removed. The counts are of the rows that were read. `checkpoints`
    were compared with the chain, `unreachable` could not be: their rows are among the removed.
    `snapshots` are a cache beside the chain; those that are `unsound` cost time, and nothing else.
    """

    events: int
    executions: int
    steps: int
    purged: int  # events and steps whose bodies were removed, leaving their digests
    position: int
    hash: bytes
    problem: Problem | None
    removed: int = 0  # rows of the chain that retention removed
    checkpoints: int = 0
    unreachable: int = 0
    snapshots: int = 0
    unsound: int = 0


def audit_database(path: str | PathLike[str], checkpoints: Sequence[Checkpoint] = ()) -> Audit:
    """Verify the log at `path`, from its first row to the one that is the last now.

    Every event of the inbox, every execution with its definition and every step with its payloads
    must be as it was written, in its place in the chain, which must agree with `checkpoints` and
    with those in the log. The audit ends at the first row that is not. It only reads the file,
    which may be a copy or the log of a server at work, whose write-ahead log cannot shrink
    meanwhile.

    Raises:
        LogUnavailable: There is no such file, or it cannot be read.
        LogDamaged: It is no event log, or damaged beyond reading.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    with _reading(Path(path)) as connection:
        return _Auditor(connection, checkpoints).audit()


def noted_database(path: Path, at_ms: int, sign: Sign | None = None) -> Checkpoint:
    """Verify the log at `path` like `audit_database`, and return a checkpoint of its last row.

    Raises:
        LogDamaged: The chain is broken, or the file damaged beyond reading.
        LogUnavailable: There is no such file, or it cannot be read.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    with _reading(path) as connection:
        found = _Auditor(connection, ()).audit()
        if found.problem is not None:
            raise LogDamaged(f"the chain of {path} is broken at {found.problem}")
        return checkpoint_of(connection, at_ms, sign)


def noted_checkpoints(path: Path) -> Sequence[Checkpoint]:
    """The checkpoints that are stored in the log at `path`, by position.

    Raises:
        LogUnavailable: There is no such file, or it cannot be read.
        LogDamaged: It is no event log, or damaged beyond reading.
        LogFromTheFuture: A newer version of Eventmill wrote it.
    """
    with _reading(path) as connection:
        return stored_checkpoints(connection)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The log as it is at one instant: retention may remove rows while it is read."""
    with closing(open_for_reading(path, _BUSY_TIMEOUT_MS)) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except Error as error:
            raise refusal(path, "read", error) from error


class _Auditor:
    def __init__(self, connection: sqlite3.Connection, given: Sequence[Checkpoint]) -> None:
        self._connection = connection
        self._position, self._hash = queries.tail(connection)
        self._events = self._executions = self._steps = self._purged = self._removed = 0
        self._mislabelled: Problem | None = None
        self._unstated: Problem | None = None
        self._other_payload: Problem | None = None
        self._changed_payloads = frozenset(_changed_payloads(connection))
        self._stated = lru_cache(_REMOVALS_KEPT)(self._gaps_stated_by)
        self._against = Comparison([*stored_checkpoints(connection), *given])

    def audit(self) -> Audit:
        links: Iterator[Link | Gap] = heapq.merge(
            self._event_links(),
            self._execution_links(),
            self._step_links(),
            self._removal_links(),
            self._gap_links(),
            key=attrgetter("position"),
        )
        found = [verify(self._against.following(links))]
        found += [self._mislabelled, self._unstated, self._other_payload]
        if not any(found):
            found.append(self._against.cut(self._position))
        found += [self._against.problem, self._other_text()]
        problems = [each for each in found if each is not None]
        snapshots_found, unsound = snapshots.count(self._connection)
        return Audit(
            events=self._events,
            executions=self._executions,
            steps=self._steps,
            purged=self._purged,
            position=self._position,
            hash=self._hash,
            problem=min(problems, key=attrgetter("position"), default=None),
            removed=self._removed,
            checkpoints=self._against.compared,
            unreachable=self._against.unreachable,
            snapshots=snapshots_found,
            unsound=unsound,
        )

    def _removal_links(self) -> Iterator[Link]:
        for position, body, hash_ in self._rows(_REMOVALS):
            yield self._link(position, 0, REMOVAL_STEP, body, None, hash_)

    def _gap_links(self) -> Iterator[Gap]:
        for last, first, hash_, removal in self._rows(_GAPS):
            self._removed += last - first + 1
            gap = Gap(position=first, last=last, hash=hash_)
            if gap not in self._stated(removal):
                self._unstated = self._unstated or _unexplained(gap)
            yield gap

    def _gaps_stated_by(self, removal: int) -> Set[Gap]:
        """What a removal says, whose place in the chain is verified when it comes to it."""
        asked = "SELECT body FROM removals WHERE position = ?"
        found = self._connection.execute(asked, (removal,)).fetchone()
        try:
            return frozenset() if found is None else frozenset(decode_removal(found[0]))
        except ValueError:
            return frozenset()

    def _other_text(self) -> Problem | None:
        """The first execution whose definition has another text than the chain says by its digest.

        Definitions are read one by one, since each may have a mebibyte.
        """
        problems: list[Problem] = []
        for digest, text in self._connection.execute("SELECT digest, text FROM definitions"):
            if sha256(text.encode()).hexdigest() == digest:
                continue
            for position, id_ in self._connection.execute(_FIRST_WITH, (digest,)):
                what = "the text of its definition was changed"
                problems.append(Problem(position=position, execution=id_, step=0, what=what))
        return min(problems, key=attrgetter("position"), default=None)

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
            if body is not None and self._other_payload is None:
                self._other_payload = self._payload_problem(position, execution, step, body)
            yield self._link(position, execution, step, body, digest, hash_)

    def _payload_problem(
        self, position: int, execution: int, step: int, body: bytes
    ) -> Problem | None:
        """What is wrong with a payload that a step refers to."""
        for digest in references(body):
            given = {"execution": execution, "digest": digest}
            is_there, is_used = self._connection.execute(_HAS_PAYLOAD, given).fetchone()
            if not is_there:
                what = "a payload that it refers to is missing"
            elif digest in self._changed_payloads:
                what = "a payload that it refers to was changed"
            elif not is_used:
                what = "nothing says that it uses a payload that it refers to"
            else:
                continue
            return Problem(position=position, execution=execution, step=step, what=what)
        return None

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
        after = 0
        while page := self._connection.execute(
            select, (after, self._position, _ROWS_PER_READ)
        ).fetchall():
            yield from page
            after = page[-1][0]


def _changed_payloads(connection: sqlite3.Connection) -> Iterator[str]:
    """The digests of payloads that have another text than these say."""
    for digest, body in connection.execute("SELECT digest, body FROM payloads"):
        if sha256(body).hexdigest() != digest:
            yield digest


def _labels(body: bytes) -> list[Any]:
    """What the columns of an event's row must be; nothing when the body is no event's."""
    try:
        event, received_ms = records.decode_event(body)
    except ValueError:
        return []
    return [event.source, event.id, received_ms]


def _unexplained(gap: Gap) -> Problem:
    rows = "the row is" if gap.last == gap.position else f"the rows up to {gap.last} are"
    what = f"{rows} missing, and no removal in the chain states it"
    return Problem(position=gap.position, execution=None, step=None, what=what)
