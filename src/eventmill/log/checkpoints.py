"""Checkpoints: what the chain had come to at a position, kept in the log and outside of it.

A chain that was cut at its end, or computed anew, is still a chain. A checkpoint that was noted
somewhere else shows both. In a file it is one line of JSON:

    {"position": 12, "hash": "…", "time": "2026-01-01T00:00:00.000Z", "events": 2, "executions": 2,
     "steps": 8, "key": "…", "signature": "…"}

`key` and `signature` (log/signing.py) are there when it is signed: over `Checkpoint.statement`.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from eventmill.errors import LogDamaged
from eventmill.instant import format_instant, parse_instant
from eventmill.log import queries
from eventmill.log.writer import Writer
from eventmill.record import record

_COLUMNS: Final = "position, hash, at_ms, events, executions, steps, key, signature"
_LAST: Final = f"SELECT {_COLUMNS} FROM checkpoints ORDER BY position DESC LIMIT 1"
_ALL: Final = f"SELECT {_COLUMNS} FROM checkpoints ORDER BY position"
_INSERT: Final = f"INSERT OR REPLACE INTO checkpoints ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@record
class Checkpoint:
    """At `at_ms` the chain's row at `position` had this `hash`.

    The counts are of all rows up to there. `key` names the key of `signature`; both are None in
    one that is not signed.
    """

    position: int
    hash: bytes
    at_ms: int
    events: int
    executions: int
    steps: int
    key: str | None = None
    signature: bytes | None = None

    def statement(self) -> bytes:
        """What a signature covers: everything else, as JSON."""
        return msgspec.json.encode(
            [
                "eventmill checkpoint",
                self.position,
                self.hash.hex(),
                self.at_ms,
                self.events,
                self.executions,
                self.steps,
            ]
        )


Sign: TypeAlias = Callable[[bytes], tuple[str, bytes]]
"""Sign a statement: the name of the key, and the signature."""


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    position: int
    hash: str
    time: str
    events: int
    executions: int
    steps: int
    key: str | None = None
    signature: str | None = None


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The line of a checkpoint in a file, without its end."""
    signature = checkpoint.signature
    line = _Line(
        position=checkpoint.position,
        hash=checkpoint.hash.hex(),
        time=format_instant(checkpoint.at_ms),
        events=checkpoint.events,
        executions=checkpoint.executions,
        steps=checkpoint.steps,
        key=checkpoint.key,
        signature=None if signature is None else signature.hex(),
    )
    return msgspec.json.encode(line)


def decode_checkpoint(line: bytes) -> Checkpoint:
    """The checkpoint that `encode_checkpoint` wrote.

    Raises:
        ValueError: `line` is something else.
    """
    read = msgspec.json.decode(line, type=_Line)
    hash_ = bytes.fromhex(read.hash)
    if len(hash_) != 32 or read.position < 0:
        raise ValueError("a checkpoint has a position and a hash of 64 hexadecimal digits")
    return Checkpoint(
        position=read.position,
        hash=hash_,
        at_ms=parse_instant(read.time),
        events=read.events,
        executions=read.executions,
        steps=read.steps,
        key=read.key,
        signature=None if read.signature is None else bytes.fromhex(read.signature),
    )


def read_checkpoints(path: Path) -> Sequence[Checkpoint]:
    """The checkpoints of a file, by position.

    Raises:
        LogDamaged: A line is no checkpoint; the message names it.
        OSError: The file cannot be read.
    """
    found: list[Checkpoint] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            try:
                found.append(decode_checkpoint(line))
            except ValueError as error:
                raise LogDamaged(f"{path}:{number}: this is no checkpoint: {error}") from error
    return sorted(found, key=lambda each: each.position)


def append_checkpoints(path: Path, checkpoints: Iterable[Checkpoint]) -> None:
    """Add lines to a file, which is made when it is missing; they are on the disk afterwards.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("ab") as file:
        file.writelines(encode_checkpoint(each) + b"\n" for each in checkpoints)
        file.flush()
        os.fsync(file.fileno())


def stored_checkpoints(connection: sqlite3.Connection) -> Sequence[Checkpoint]:
    """The checkpoints in the log, by position."""
    return [_checkpoint(found) for found in connection.execute(_ALL)]


def checkpoint_of(
    connection: sqlite3.Connection, at_ms: int, sign: Sign | None = None
) -> Checkpoint:
    """A checkpoint of the chain's end as it is now, which is not stored."""
    position, hash_ = queries.tail(connection)
    before = _last(connection)
    after = 0 if before is None else before.position

    def new_rows(table: str) -> int:
        counted = connection.execute(f"SELECT count(*) FROM {table} WHERE position > ?", (after,))
        number: int = counted.fetchone()[0]
        return number

    events, executions, removals = map(new_rows, ("inbox", "executions", "removals"))
    made = Checkpoint(
        position=position,
        hash=hash_,
        at_ms=at_ms,
        events=events + (0 if before is None else before.events),
        executions=executions + (0 if before is None else before.executions),
        # Every position is a row of one kind. To count the steps would mean to read them.
        steps=position
        - after
        - (events + executions + removals)
        + (0 if before is None else before.steps),
    )
    return made if sign is None else signed(made, sign)


def signed(checkpoint: Checkpoint, sign: Sign) -> Checkpoint:
    """The same checkpoint, signed."""
    key, signature = sign(checkpoint.statement())
    return replace(checkpoint, key=key, signature=signature)


def store_checkpoint(
    writer: Writer, at_ms: int, sign: Sign | None = None, *, rows_min: int = 1
) -> Checkpoint | None:
    """Store a checkpoint, within the transaction that is open.

    None, and nothing is stored, when fewer than `rows_min` rows were added since the last one.
    """
    last = _last(writer.connection)
    if writer.position - (0 if last is None else last.position) < rows_min:
        return None
    made = checkpoint_of(writer.connection, at_ms, sign)
    insert_checkpoint(writer.connection, made)
    return made


def insert_checkpoint(connection: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Store a checkpoint as it is, in the place of any other at its position."""
    cells = (
        checkpoint.position,
        checkpoint.hash,
        checkpoint.at_ms,
        checkpoint.events,
        checkpoint.executions,
        checkpoint.steps,
        checkpoint.key,
        checkpoint.signature,
    )
    connection.execute(_INSERT, cells)


def last_position(connection: sqlite3.Connection) -> int:
    """The position of the last checkpoint; 0 when there is none."""
    last = _last(connection)
    return 0 if last is None else last.position


def _last(connection: sqlite3.Connection) -> Checkpoint | None:
    found = connection.execute(_LAST).fetchone()
    return None if found is None else _checkpoint(found)


def _checkpoint(found: tuple[Any, ...]) -> Checkpoint:
    position, hash_, at_ms, events, executions, steps, key, signature = found
    return Checkpoint(
        position=position,
        hash=hash_,
        at_ms=at_ms,
        events=events,
        executions=executions,
        steps=steps,
        key=key,
        signature=signature,
    )
