"""The chain of hashes through everything that is recorded, and how it is verified.

One chain links the events of the inbox, the records of new executions and all their steps, in the
order in which they became durable. Each row counts one `position`, from 1 and without gaps, and
its hash covers the hash before it, so no row can be changed, removed, inserted or moved unnoticed.

    hash = SHA-256(previous hash ‖ execution ‖ step ‖ SHA-256(body))

The hash before the first row is 32 zero bytes; `execution` and `step` are 8 bytes each, most
significant first. An event of the inbox is linked as execution 0, step 0; the record of a new
execution as its step 0. The body enters through its digest, so it can be purged while the digest
keeps the chain whole.

A chain cannot show that rows are missing at its end: compare the last position and hash with ones
noted earlier, somewhere else.
"""

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct
from typing import Final

from eventmill.record import record

GENESIS: Final = bytes(32)
EVENT_STEP: Final = 0  # the step as which events of the inbox are linked, of execution 0
REMOVAL_STEP: Final = 1  # the step as which removals are linked, of execution 0

_numbers: Final = Struct(">qq").pack


def link(previous: bytes, execution: int, step: int, digest: bytes) -> bytes:
    """The hash of a row: `previous` is the hash of the row before, `digest` that of its body."""
    return sha256(previous + _numbers(execution, step) + digest).digest()


@record
class Link:
    """A row as the chain sees it."""

    position: int
    execution: int
    step: int
    digest: bytes
    hash: bytes


@record
class Gap:
    """Rows that retention removed, from `position` to `last`, which had this hash."""

    position: int
    last: int
    hash: bytes


@record
class Problem:
    """The first row that breaks the chain; a row that is missing has no execution and step."""

    position: int
    execution: int | None
    step: int | None
    what: str

    def __str__(self) -> str:
        if self.execution is None:
            row = ""
        elif self.execution == 0 and self.step == REMOVAL_STEP:
            row = " (a removal)"
        elif self.execution == 0:
            row = " (an event of the inbox)"
        elif self.step == 0:
            row = f" (the record of execution {self.execution})"
        else:
            row = f" (execution {self.execution}, step {self.step})"
        return f"position {self.position}{row}: {self.what}"


def verify(links: Iterable[Link | Gap]) -> Problem | None:
    """Follow the chain from its first row and return the first problem, or None.

    Holds two rows in memory, however long the chain.
    """
    return verify_from(1, GENESIS, links)


def verify_from(first: int, previous: bytes, links: Iterable[Link | Gap]) -> Problem | None:
    """Follow a part of the chain that begins at position `first`, after the hash `previous`."""
    position = first
    rows = iter(links)
    for row in rows:
        if row.position != position:
            return _misplaced(row, position)
        if isinstance(row, Gap):
            previous, position = row.hash, row.last + 1
            continue
        expected = link(previous, row.execution, row.step, row.digest)
        if row.hash != expected:
            what = _difference(row, expected, next(rows, None))
            return Problem(position=position, execution=row.execution, step=row.step, what=what)
        previous, position = expected, position + 1
    return None


def _misplaced(row: Link | Gap, position: int) -> Problem:
    if row.position < position:
        if isinstance(row, Gap):
            what = "the log holds rows here that it says were removed"
            return Problem(position=row.position, execution=None, step=None, what=what)
        what = "it comes a second time or in another order"
        return Problem(position=row.position, execution=row.execution, step=row.step, what=what)
    last = row.position - 1
    what = "the row is missing" if last == position else f"the rows up to {last} are missing"
    return Problem(position=position, execution=None, step=None, what=what)


def _difference(row: Link, expected: bytes, following: Link | Gap | None) -> str:
    """What was done to `row`: the row that follows shows which hash it was chained to."""
    if not isinstance(following, Link):
        return "its execution, step, body or hash was changed"
    if _follows(following, row.hash):
        return "its execution, step or body was changed"
    if _follows(following, expected):
        return "its hash was changed"
    return (
        "it does not follow from the row before it: "
        "rows were changed, removed, inserted or put in another order here"
    )


def _follows(row: Link, previous: bytes) -> bool:
    return row.hash == link(previous, row.execution, row.step, row.digest)
