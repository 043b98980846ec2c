"""The content of an object on its way to a reader: pieces of bytes, decompressed by its name."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import zstandard

_T = TypeVar("_T")

ITEM_BYTES_MAX: Final = 8 * 1024 * 1024  # AWS reads items of up to 8 MB
_PIECE_BYTES: Final = 64 * 1024
# A block of four bytes can stand for 128 KiB in Zstandard: what goes in at once must be small for
# what comes out at once to be bounded.
_ZSTANDARD_INPUT_BYTES: Final = 512


@asynccontextmanager
async def closing(pieces: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close a generator at the end of the block, also when it was not read to its end."""
    try:
        yield pieces
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def decompressed(key: str, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content of the object `key`: that of `….gz`, `….zst` and `….zstd` decompressed.

    Raises:
        ValueError: It is not compressed as its name says, or breaks off.
    """
    if key.endswith(".gz"):
        pieces = _gunzipped(content)
    elif key.endswith((".zst", ".zstd")):
        pieces = _unzstandarded(content)
    else:
        pieces = content
    async for piece in pieces:
        yield piece
        if pieces is not content:
            await asyncio.sleep(0)  # One piece that was read may be thousands here: let others run.


async def whole(content: AsyncIterator[bytes], bytes_max: int) -> bytes:
    """All of a small object.

    Raises:
        ValueError: It is larger than `bytes_max`.
    """
    read = bytearray()
    async for piece in content:
        read += piece
        if len(read) > bytes_max:
            raise ValueError(f"it is larger than {bytes_max} bytes")
    return bytes(read)


async def _gunzipped(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    member = _gzip_member()
    begun = False  # a member that has begun must also end
    async for piece in content:
        rest = piece
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")  # what some writers put between members
                if not rest:
                    break
                member, begun = _gzip_member(), False
            try:
                inflated = member.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise ValueError(f"it is no gzip file: {error}") from error
            begun = True
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if inflated:
                yield inflated
        while not member.eof and (inflated := member.decompress(b"", _PIECE_BYTES)):
            yield inflated
    if begun and not member.eof:
        raise ValueError("the gzip file breaks off")


def _gzip_member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=31)


async def _unzstandarded(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    begun = False
    ready = bytearray()
    async for piece in content:
        rest = piece
        while rest:
            if frame.eof:
                frame, begun = decompressor.decompressobj(), False
            taken, rest = rest[:_ZSTANDARD_INPUT_BYTES], rest[_ZSTANDARD_INPUT_BYTES:]
            try:
                ready += frame.decompress(taken)
            except zstandard.ZstdError as error:
                raise ValueError(f"it is no Zstandard file: {error}") from error
            begun = True
            rest = frame.unused_data + rest if frame.eof else rest
            if len(ready) >= _PIECE_BYTES:
                yield bytes(ready)
                ready.clear()
    if begun and not frame.eof:
        raise ValueError("the Zstandard file breaks off")
    if ready:
        yield bytes(ready)
