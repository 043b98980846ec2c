"""From the items of a Map Run to the inputs of its children, one for an item or one for a batch."""

from collections.abc import AsyncGenerator, AsyncIterator

from eventmill.asl.error_names import DATA_LIMIT_EXCEEDED
from eventmill.errors import AuthorError
from eventmill.machine.commands import RunMap
from eventmill.machine.map_run import Batching, Item
from eventmill.model import Payload
from eventmill.record import record


@record
class Batch:
    """The input of one child, and how many items are in it."""

    input: Payload
    items: int


async def batches(
    command: RunMap, items: AsyncIterator[Item], *, skip: int, bytes_max: int
) -> AsyncGenerator[Batch, None]:
    """The batches of a Map Run after the first `skip`; the same items give the same batches.

    Raises:
        AuthorError: An ItemSelector fails, or the input of one child would be over `bytes_max`.
    """
    if command.batching is None:
        async for batch in _single_items(command, items, skip, bytes_max):
            yield batch
        return
    packed = 0
    async for batch in _packed(command, command.batching, items, bytes_max):
        packed += 1
        if packed > skip:
            yield batch


async def _single_items(
    command: RunMap, items: AsyncIterator[Item], skip: int, bytes_max: int
) -> AsyncGenerator[Batch, None]:
    index = 0
    async for item in items:
        if index >= skip:
            given = command.item_input(index, item)
            if len(given) > bytes_max:
                raise _too_large(index, bytes_max)
            yield Batch(input=given, items=1)
        index += 1


async def _packed(
    command: RunMap, batching: Batching, items: AsyncIterator[Item], bytes_max: int
) -> AsyncGenerator[Batch, None]:
    """Batches as full as both limits allow; an item over the limit of bytes gets one alone."""
    around = _around(batching)
    limit = min(batching.bytes_max or bytes_max, bytes_max)
    texts: list[bytes] = []
    size, index = len(around), 0
    async for item in items:
        text = command.item_input(index, item).text
        if len(around) + len(text) > bytes_max:
            raise _too_large(index, bytes_max)
        if texts and size + len(text) + 1 > limit:
            yield _pack(around, texts)
            texts, size = [], len(around)
        texts.append(text)
        size += len(text) + 1
        if len(texts) == batching.items_max:
            yield _pack(around, texts)
            texts, size = [], len(around)
        index += 1
    if texts:
        yield _pack(around, texts)


def _around(batching: Batching) -> bytes:
    """The text of a batch without its items, which go between the last two brackets."""
    if batching.input is None:
        return b'{"Items":[]}'
    return b'{"BatchInput":%b,"Items":[]}' % batching.input.text


def _pack(around: bytes, texts: list[bytes]) -> Batch:
    return Batch(input=Payload(around[:-2] + b",".join(texts) + around[-2:]), items=len(texts))


def _too_large(index: int, bytes_max: int) -> AuthorError:
    cause = f"The input for the item at index {index} is larger than {bytes_max} bytes."
    return AuthorError(DATA_LIMIT_EXCEEDED, cause, located=False)
