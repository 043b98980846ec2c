"""What every `ObjectStore` promises, sentence by sentence of the port."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from eventmill.errors import ObjectDoesNotExist, ObjectStoreError
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.objects.s3 import S3ObjectStore
from eventmill.ports import ObjectStore
from tests.conformance.object_stores import (
    BUCKET,
    FolderWorld,
    S3World,
    World,
    breaking_off,
    keys,
    listed,
    pieces,
    read,
    write,
)

MIB = 1024 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> FolderWorld:
    return FolderWorld(tmp_path)


@pytest.fixture(params=["folder", "s3"])
def world(request: pytest.FixtureRequest) -> World:
    chosen: World = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
async def store(world: World) -> AsyncIterator[ObjectStore]:
    async with world.open() as opened:
        yield opened


# Reading and writing


async def test_keeps_contents_byte_for_byte(store: ObjectStore) -> None:
    content = bytes(range(256)) * 16
    assert await write(store, "a/b.bin", content) == len(content)
    assert await read(store, "a/b.bin") == content


async def test_joins_the_pieces_of_a_content(store: ObjectStore) -> None:
    size = await store.write(BUCKET, "a", pieces(b"one ", b"", b"two ", b"three"))
    assert size == 13
    assert await read(store, "a") == b"one two three"


async def test_keeps_an_empty_object(store: ObjectStore) -> None:
    assert await store.write(BUCKET, "empty", pieces()) == 0
    assert await read(store, "empty") == b""
    assert [each.size for each in await listed(store)] == [0]


async def test_keeps_a_large_object_and_gives_it_in_pieces(store: ObjectStore) -> None:
    parts = [os.urandom(MIB) for _ in range(11)]
    assert await store.write(BUCKET, "large", pieces(*parts)) == 11 * MIB
    got = [piece async for piece in store.read(BUCKET, "large")]
    assert b"".join(got) == b"".join(parts)
    assert max(map(len, got)) <= 4 * MIB
    assert [each.size for each in await listed(store)] == [11 * MIB]


async def test_a_write_takes_the_place_of_the_object_before(store: ObjectStore) -> None:
    await write(store, "a", b"the first, which is longer")
    await write(store, "a", b"the second")
    assert await read(store, "a") == b"the second"
    assert await keys(store) == ["a"]


@pytest.mark.parametrize(
    "key",
    ["straße/größe 1.csv", "日本/データ.json", "😀/😀", "a b+c&d=e?f#g%20h", "..a/b..", "a\\b"],
)
async def test_keeps_keys_of_any_characters(store: ObjectStore, key: str) -> None:
    await write(store, key, b"here")
    assert await read(store, key) == b"here"
    assert await keys(store) == [key]


async def test_stops_reading_when_nobody_goes_on(store: ObjectStore) -> None:
    await write(store, "large", bytes(3 * MIB))
    async for piece in store.read(BUCKET, "large"):
        assert piece
        break
    assert len(await read(store, "large")) == 3 * MIB


# What is not there


async def test_an_object_that_is_not_there(store: ObjectStore) -> None:
    await write(store, "a", b"x")
    for key in ("b", "a/b", "a.txt"):
        with pytest.raises(ObjectDoesNotExist, match=r"The specified key does not exist"):
            await read(store, key)


async def test_a_bucket_that_is_not_there(store: ObjectStore) -> None:
    with pytest.raises(ObjectDoesNotExist, match=r"The specified bucket does not exist"):
        [piece async for piece in store.read("nowhere", "a")]
    with pytest.raises(ObjectDoesNotExist, match=r"The specified bucket does not exist"):
        [each async for each in store.list("nowhere")]
    with pytest.raises(ObjectDoesNotExist, match=r"The specified bucket does not exist"):
        await store.write("nowhere", "a", pieces(b"x"))


async def test_a_version_that_is_not_there(store: ObjectStore) -> None:
    await write(store, "a", b"x")
    with pytest.raises(ObjectDoesNotExist):
        await read(store, "a", version="3HL4kqtJvjVBH40Nrjfkd")


# Writes that fail


async def test_a_write_whose_source_breaks_off_leaves_nothing(
    store: ObjectStore, world: World
) -> None:
    with pytest.raises((BrokenPipeError, ObjectStoreError)):
        await store.write(BUCKET, "new/a", breaking_off(b"half", bytes(9 * MIB)))
    assert await keys(store) == []
    assert world.leftovers() == []


async def test_a_write_whose_source_breaks_off_leaves_the_object_before(
    store: ObjectStore, world: World
) -> None:
    await write(store, "a", b"before")
    with pytest.raises((BrokenPipeError, ObjectStoreError)):
        await store.write(BUCKET, "a", breaking_off(b"half"))
    assert await read(store, "a") == b"before"
    assert world.leftovers() == []


async def test_a_write_that_is_cancelled_leaves_nothing(store: ObjectStore, world: World) -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.write(BUCKET, "a", endless()))
    await started.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await keys(store) == []
    assert world.leftovers() == []


# Listing


async def test_an_empty_bucket_lists_nothing(store: ObjectStore) -> None:
    assert await listed(store) == []


async def test_lists_in_the_order_of_the_bytes_of_the_keys(store: ObjectStore) -> None:
    # `-` and `.` come before `/`; capitals before small letters; U+FF5E before U+1F600 in UTF-8,
    # though not in UTF-16.
    ordered = ["B", "a-b", "a.b", "a/b", "a/b.c/d", "a/b/c", "a0", "b", "ä", "\uff5e", "\U0001f600"]
    there = [key for key in ordered if key != "a/b"]
    for key in reversed(there):
        await write(store, key)
    assert await keys(store) == there
    assert sorted(there, key=str.encode) == there


async def test_lists_only_what_begins_with_the_prefix(store: ObjectStore) -> None:
    for key in ("in/a.csv", "in/ab/c.csv", "in/b.csv", "inner/a.csv", "z"):
        await write(store, key)
    assert await keys(store, "in") == ["in/a.csv", "in/ab/c.csv", "in/b.csv", "inner/a.csv"]
    assert await keys(store, "in/") == ["in/a.csv", "in/ab/c.csv", "in/b.csv"]
    assert await keys(store, "in/a") == ["in/a.csv", "in/ab/c.csv"]
    assert await keys(store, "in/ab/c.csv") == ["in/ab/c.csv"]
    for prefix in ("x", "in/x", "in/a.csv/", "/in", "../", "in/../in/", "in//", "./in", "a\0"):
        assert await keys(store, prefix) == [], prefix


async def test_tells_of_each_object(store: ObjectStore) -> None:
    await write(store, "a", b"12345")
    await write(store, "b", b"1")
    first, second = await listed(store)
    assert (first.key, first.size, first.storage_class) == ("a", 5, "STANDARD")
    assert first.etag[0] == first.etag[-1] == '"'
    assert len(first.etag) == 34
    assert first.etag != second.etag
    # Within a day of the other clock: both are the same machine's.
    assert abs(first.modified_ms - second.modified_ms) < 86_400_000
    assert first.modified_ms > 1_700_000_000_000
    assert (await listed(store))[0] == first


async def test_the_etag_changes_with_the_content(store: ObjectStore) -> None:
    await write(store, "a", b"12345")
    (before,) = await listed(store)
    await write(store, "a", b"123456")
    (after,) = await listed(store)
    assert before.etag != after.etag


async def test_lists_more_objects_than_fit_into_a_page(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")  # objects of a page; 1,000 in S3
    wanted = [f"n/{number:02d}" for number in range(12)]
    for key in wanted:
        await write(store, key, b"x")
    assert await keys(store, "n/") == wanted


async def test_a_folder_marker_is_an_object_of_no_size(store: ObjectStore) -> None:
    assert await write(store, "empty/") == 0
    (marker,) = await listed(store)
    assert (marker.key, marker.size) == ("empty/", 0)
    assert await keys(store, "empty/") == ["empty/"]
    assert await read(store, "empty/") == b""


# S3


async def test_s3_reads_the_version_asked_for(s3: S3World) -> None:
    s3.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    async with s3.open() as store:
        await write(store, "a", b"first")
        first = s3.client.head_object(Bucket=BUCKET, Key="a")["VersionId"]
        await write(store, "a", b"second")
        assert await read(store, "a", version=first) == b"first"
        assert await read(store, "a") == b"second"


async def test_s3_tells_what_aws_says(s3: S3World) -> None:
    async with s3.open() as store:
        with pytest.raises(ObjectDoesNotExist) as caught:
            await read(store, "a")
    assert str(caught.value) == (
        "The specified key does not exist. "
        "(Service: S3, Status Code: 404, Error Code: NoSuchKey): data/a"
    )


async def test_s3_that_cannot_be_reached(endpoint: str) -> None:
    async with S3ObjectStore.open(endpoint="http://127.0.0.1:1", region="eu-west-1") as store:
        with pytest.raises(ObjectStoreError, match=r"127\.0\.0\.1:1") as caught:
            [each async for each in store.list(BUCKET)]
    assert not isinstance(caught.value, ObjectDoesNotExist)


async def test_s3_at_an_endpoint_that_is_no_url(endpoint: str) -> None:
    with pytest.raises(ObjectStoreError, match="nonsense"):
        async with S3ObjectStore.open(endpoint="nonsense"):
            pass


async def test_s3_without_a_region(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    async with S3ObjectStore.open(endpoint=endpoint) as store:
        with pytest.raises(ObjectDoesNotExist):
            [each async for each in store.list("nowhere")]


# Folders


@pytest.mark.parametrize(
    "key", ["../secret", "a/../../secret", "/etc/passwd", "a//b", "./a", "a/.", "..", "", "a\0b"]
)
async def test_a_folder_is_never_left(folder: FolderWorld, key: str) -> None:
    (folder.root / "secret").write_text("secret")
    store = FilesystemObjectStore(folder.root)
    with pytest.raises(ObjectDoesNotExist, match="does not exist"):
        await read(store, key)
    with pytest.raises(ObjectStoreError):
        await write(store, key, b"overwritten")
    assert (folder.root / "secret").read_text() == "secret"
    assert await keys(store) == []


@pytest.mark.parametrize("bucket", ["..", ".", "", "a/b", "/", "data\0", "../data"])
async def test_a_bucket_is_a_folder_of_the_root(folder: FolderWorld, bucket: str) -> None:
    store = FilesystemObjectStore(folder.root / BUCKET)
    (folder.root / BUCKET / "a" / "b").mkdir(parents=True)
    with pytest.raises(ObjectDoesNotExist, match="bucket does not exist"):
        [each async for each in store.list(bucket)]
    with pytest.raises(ObjectDoesNotExist, match="bucket does not exist"):
        await store.write(bucket, "x", pieces(b"x"))


async def test_a_folder_cannot_be_a_file_too(folder: FolderWorld) -> None:
    store = FilesystemObjectStore(folder.root)
    await write(store, "a/b", b"x")
    with pytest.raises(ObjectStoreError, match="data/a: "):
        await write(store, "a", b"y")
    with pytest.raises(ObjectStoreError, match="data/a/b/c: "):
        await write(store, "a/b/c", b"y")
    with pytest.raises(ObjectDoesNotExist):
        await read(store, "a")
    with pytest.raises(ObjectDoesNotExist):
        await read(store, "a/b/")
    with pytest.raises(ObjectStoreError, match="a folder can have no content"):
        await write(store, "c/", b"y")
    assert (await keys(store), folder.leftovers()) == (["a/b"], [])


async def test_files_put_there_by_hand_are_objects(folder: FolderWorld) -> None:
    store = FilesystemObjectStore(folder.root)
    bucket = folder.root / BUCKET
    (bucket / "in" / "deep").mkdir(parents=True)
    (bucket / "in" / "deep" / "a.csv").write_bytes(b"by hand")
    (bucket / "in" / "link.csv").symlink_to(bucket / "in" / "deep" / "a.csv")
    (bucket / "in" / "nowhere").symlink_to(bucket / "gone")
    (bucket / "loop").symlink_to(bucket)
    os.mkfifo(bucket / "pipe")
    assert await keys(store) == ["in/deep/a.csv", "in/link.csv"]
    assert await read(store, "in/link.csv") == b"by hand"
    with pytest.raises(ObjectDoesNotExist):
        await read(store, "pipe")


async def test_the_null_version_is_the_only_one_of_a_folder(folder: FolderWorld) -> None:
    store = FilesystemObjectStore(folder.root)
    await write(store, "a", b"x")
    assert await read(store, "a", version="null") == b"x"


async def test_a_name_that_is_not_utf_8_is_told(folder: FolderWorld) -> None:
    (folder.root / BUCKET / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    with pytest.raises(ObjectStoreError, match="not UTF-8"):
        await keys(FilesystemObjectStore(folder.root))


async def test_a_name_that_is_too_long_is_told(folder: FolderWorld) -> None:
    store = FilesystemObjectStore(folder.root)
    with pytest.raises(ObjectDoesNotExist):
        await read(store, "n" * 300)
    with pytest.raises(ObjectStoreError, match="File name too long"):
        await write(store, "n" * 300, b"x")
    assert await keys(store, "n" * 300 + "/") == []
    with pytest.raises(ObjectDoesNotExist, match="bucket does not exist"):
        await store.write("n" * 300, "a", pieces(b"x"))
    assert folder.leftovers() == []
