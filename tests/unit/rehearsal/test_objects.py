"""The objects of a rehearsal: read, listed and written as in S3."""

from collections.abc import AsyncIterator

import pytest

from eventmill.errors import ObjectDoesNotExist
from eventmill.rehearsal.objects import MemoryObjectStore


@pytest.fixture
def store() -> MemoryObjectStore:
    return MemoryObjectStore({"b/ä": b"1", "b/a/2": b"22", "b/a/10": b"", "c/x": b"x"}, 5)


async def content(store: MemoryObjectStore, bucket: str, key: str) -> bytes:
    return b"".join([piece async for piece in store.read(bucket, key)])


async def test_reads_what_it_was_given(store: MemoryObjectStore) -> None:
    assert await content(store, "b", "a/2") == b"22"
    assert await content(store, "b", "a/10") == b""


async def test_lists_in_the_order_of_bytes(store: MemoryObjectStore) -> None:
    every = [each async for each in store.list("b")]

    assert [(each.key, each.size, each.modified_ms) for each in every] == [
        ("a/10", 0, 5), ("a/2", 2, 5), ("ä", 1, 5)
    ]  # fmt: skip
    assert every[0].etag == '"d41d8cd98f00b204e9800998ecf8427e"'  # the digest of nothing
    assert [each.key async for each in store.list("b", "a/1")] == ["a/10"]


async def test_large_objects_come_in_pieces() -> None:
    store = MemoryObjectStore({"b/large": bytes(3_000_000)}, 0)

    pieces = [len(piece) async for piece in store.read("b", "large")]

    assert (sum(pieces), max(pieces)) == (3_000_000, 1_048_576)


async def test_writes_take_the_place_of_what_was_there(store: MemoryObjectStore) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"new "
        yield b"one"

    assert await store.write("b", "a/2", pieces()) == 7
    assert await store.write("new", "x", pieces()) == 7
    assert (store.objects["b/a/2"], store.objects["new/x"]) == (b"new one", b"new one")


async def test_what_is_not_there_does_not_exist(store: MemoryObjectStore) -> None:
    with pytest.raises(ObjectDoesNotExist, match="specified key does not exist: b/none"):
        await content(store, "b", "none")
    with pytest.raises(ObjectDoesNotExist, match="specified bucket does not exist: 'd'"):
        await content(store, "d", "x")
    with pytest.raises(ObjectDoesNotExist, match="bucket"):
        [each async for each in store.list("d")]
    with pytest.raises(ObjectDoesNotExist, match="key"):
        [piece async for piece in store.read("b", "a/2", version="7")]
