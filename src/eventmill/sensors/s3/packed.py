"""What a listing found, packed: 100,000 keys take some MiB and not some dozen."""

import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

ENTRIES_PER_PAGE: Final = 1_000

_Entries = list[tuple[str, bytes]]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Entries).decode


class Packed:
    """Keys with their versions, in the order in which they were added; read as often as wanted."""

    def __init__(self) -> None:
        self._pages: list[bytes] = []
        self._last: _Entries = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for page in self._pages:
            yield from _decode(zlib.decompress(page))
        yield from self._last

    def add(self, key: str, version: bytes) -> None:
        """Add a key, behind all others."""
        self._last.append((key, version))
        if len(self._last) == ENTRIES_PER_PAGE:
            # Keys that follow each other begin alike.
            self._pages.append(zlib.compress(_encode(self._last), 1))
            self._last = []
