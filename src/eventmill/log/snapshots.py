"""Snapshots in the database: a cache beside the steps, of which only what is sound is read.

The digest of a snapshot covers the hash of its step, and so all that the chain had come to. One
that was changed, or whose step is another than it was, is as good as none.
"""

import logging
import sqlite3
from collections.abc import Iterable, Sequence, Set
from hashlib import sha256
from typing import Final

from eventmill.rows import Snapshot

_log: Final = logging.getLogger(__name__)

_STORE: Final = """
INSERT INTO snapshots (execution, step, layout, body, digest) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (execution) DO UPDATE SET
    step = excluded.step, layout = excluded.layout, body = excluded.body, digest = excluded.digest
"""
_HASH: Final = "SELECT hash FROM steps WHERE execution = ? AND step = ?"
_ALL: Final = """
SELECT execution, step, layout, body, digest,
    (SELECT hash FROM steps WHERE execution = snapshots.execution AND step = snapshots.step)
FROM snapshots
"""
_ONE: Final = f"{_ALL} WHERE execution = ?"


def store(connection: sqlite3.Connection, snapshots: Iterable[Snapshot]) -> None:
    """Write snapshots of steps that are there by now, in the place of those from before."""
    for each in snapshots:
        found = connection.execute(_HASH, (each.execution, each.step)).fetchone()
        if found is not None:
            digest = _digest(found[0], each.layout, each.body)
            row = (each.execution, each.step, each.layout, each.body, digest)
            connection.execute(_STORE, row)


def known(connection: sqlite3.Connection, executions: Sequence[int]) -> Set[int]:
    """Which of these executions have a snapshot, sound or not."""
    marks = ", ".join("?" * len(executions))
    asked = f"SELECT execution FROM snapshots WHERE execution IN ({marks})"
    return {execution for (execution,) in connection.execute(asked, executions)}


def read(connection: sqlite3.Connection, execution: int) -> Snapshot | None:
    """The snapshot of an execution; None, and a warning, when it is not sound."""
    found = connection.execute(_ONE, (execution,)).fetchone()
    if found is None:
        return None
    _, step, layout, body, digest, hash_ = found
    if hash_ is None or digest != _digest(hash_, layout, body):
        _log.warning(
            "the snapshot of execution %s is not what was written at step %s of it; it is ignored",
            execution,
            step,
        )
        return None
    return Snapshot(execution=execution, step=step, layout=layout, body=body)


def count(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many snapshots there are, and how many of them are not sound."""
    total = unsound = 0
    for _, _, layout, body, digest, hash_ in connection.execute(_ALL):
        total += 1
        unsound += hash_ is None or digest != _digest(hash_, layout, body)
    return total, unsound


def _digest(hash: bytes, layout: int, body: bytes) -> bytes:
    return sha256(hash + layout.to_bytes(8, "big", signed=True) + body).digest()
