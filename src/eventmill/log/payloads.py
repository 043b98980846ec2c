"""Payloads that are kept apart from the steps that refer to them, as they are read again."""

import sqlite3
from typing import Final

from eventmill.codec import references
from eventmill.errors import LogDamaged
from eventmill.model import Payload, Payloads

_PAYLOAD: Final = "SELECT body FROM payloads WHERE digest = ?"


class PayloadReader:
    """Reads what bodies refer to, each payload once, within a transaction that is open.

    `bytes` counts the sizes of all that were read so far.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._found: dict[str, Payload] = {}
        self.bytes = 0

    def of(self, *bodies: bytes) -> Payloads | None:
        """The payloads that bodies of steps refer to; None when they refer to none.

        Raises:
            LogDamaged: The log does not have one of them.
        """
        return {
            digest: self._read(digest) for body in bodies for digest in references(body)
        } or None

    def _read(self, digest: str) -> Payload:
        payload = self._found.get(digest)
        if payload is None:
            row = self._connection.execute(_PAYLOAD, (digest,)).fetchone()
            if row is None:
                raise LogDamaged(f"the log lacks the payload {digest}, which a step refers to")
            payload = self._found[digest] = Payload(row[0])
            self.bytes += len(payload)
        return payload
