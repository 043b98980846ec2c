"""Contents that come in pieces of any size."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import TypeVar

_T = TypeVar("_T")


async def in_pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def joined(batches: AsyncIterable[list[_T]]) -> list[_T]:
    return [each async for batch in batches for each in batch]
