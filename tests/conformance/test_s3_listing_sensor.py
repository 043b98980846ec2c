"""The sensor that lists a bucket: of folders, and of a server that speaks S3's protocol."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from eventmill.arn import Home
from eventmill.errors import LogUnavailable, SensorError
from eventmill.ports import Delivery, ObjectStore, StoredObject
from eventmill.sensors.s3.listed import DELIVERIES_MAX, REMEMBERED_MAX, S3ListingSensor
from eventmill.sensors.s3.packed import ENTRIES_PER_PAGE, Packed
from eventmill.triggers.s3 import S3ListingSource
from tests.conformance.object_stores import BUCKET, FolderWorld, S3World, World
from tests.conformance.watched_folder import NOW_MS, Log, MovableClock

SCAN_MS = 60_000


@pytest.fixture(params=["folder", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "folder":
        return FolderWorld(tmp_path)
    chosen: World = request.getfixturevalue("s3")
    return chosen


@pytest.fixture
def bucket(world: World) -> "Bucket":
    return Bucket(world)


class Bucket:
    """What is in the bucket, changed from outside."""

    def __init__(self, world: World) -> None:
        self.open = world.open
        self._world = world

    def put(self, key: str, body: bytes = b"x") -> None:
        if isinstance(self._world, S3World):
            self._world.client.put_object(Bucket=BUCKET, Key=key, Body=body)
        else:
            assert isinstance(self._world, FolderWorld)
            path = self._world.root / BUCKET / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def delete(self, key: str) -> None:
        if isinstance(self._world, S3World):
            self._world.client.delete_object(Bucket=BUCKET, Key=key)
        else:
            assert isinstance(self._world, FolderWorld)
            path = self._world.root / BUCKET / key
            path.unlink()
            # A folder that is empty is an object of its own.
            with suppress(OSError):
                path.parent.rmdir()


class Watch:
    """A running sensor with its clock and its log."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.clock = MovableClock()
        self.running: asyncio.Task[None]

    async def listed(self) -> None:
        """Let the next listing begin, and wait until it has ended."""
        now_ms = self.clock.now_ms() + SCAN_MS
        self.clock.move_to(now_ms)
        await self.clock.somebody_sleeps_until(now_ms + SCAN_MS)

    def told(self) -> list[tuple[str, str]]:
        """The detail types and keys that were told since this was last asked."""
        told = [_told(each.event.detail_type, each.event.detail) for each in self.log.deliveries]
        self.log.deliveries.clear()
        return sorted(told)


def _told(detail_type: str, detail: dict[str, Any]) -> tuple[str, str]:
    return detail_type, detail["object"]["key"]


@asynccontextmanager
async def watching(
    open_store: Any, log: Log, *, bucket: str = BUCKET, **fields: Any
) -> AsyncIterator[Watch]:
    """A sensor that has listed once, and waits; leaving it is a crash."""
    watch = Watch(log)

    async def remember(state: Mapping[str, bytes | None]) -> None:
        for key, value in state.items():
            if value is None:
                del log.state[key]
            else:
                log.state[key] = value

    source = S3ListingSource(bucket=bucket, **{"prefix": "in/", **fields})
    sensor = S3ListingSensor(
        source, home=Home(), clock=watch.clock, open_store=open_store, remember=remember
    )
    async with asyncio.timeout(30):
        watch.running = asyncio.create_task(sensor.run(log.publish, dict(log.state)))
        ready = asyncio.create_task(watch.clock.somebody_sleeps_until(NOW_MS + SCAN_MS))
        await asyncio.wait({watch.running, ready}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if watch.running.done():
                watch.running.result()
            yield watch
        finally:
            ready.cancel()
            watch.running.cancel()
            await asyncio.wait({watch.running})


async def test_tells_of_an_object_as_s3_would(bucket: Bucket) -> None:
    log = Log()
    bucket.put("in/day 1/a+b é.csv", b"hello")
    bucket.put("out/b.csv")
    async with watching(bucket.open, log):
        pass

    (delivery,) = log.deliveries
    event = delivery.event
    etag = "5d41402abc4b2a76b9719d911017c592"
    told = event.detail["object"]
    assert isinstance(told, dict)
    if told["etag"] != etag:  # of a folder, which keeps none
        etag = str(told["etag"])
    assert event.envelope() == {
        "version": "0",
        "id": event.id,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": event.envelope()["time"],
        "region": "local",
        "resources": ["arn:aws:s3:::data"],
        "detail": {
            "version": "0",
            "bucket": {"name": "data"},
            "object": {"key": "in/day 1/a+b é.csv", "size": 5, "etag": etag},
        },
    }
    assert delivery.state == {"in/day 1/a+b é.csv": f"{etag}-5-{event.at_ms}".encode()}


async def test_what_is_new_or_another_is_told_and_nothing_else(bucket: Bucket) -> None:
    log = Log()
    bucket.put("in/a.csv")
    bucket.put("in/b.csv")
    async with watching(bucket.open, log) as watch:
        assert watch.told() == [("Object Created", "in/a.csv"), ("Object Created", "in/b.csv")]
        bucket.put("in/b.csv", b"another")
        bucket.put("in/c.csv")
        await watch.listed()
        assert watch.told() == [("Object Created", "in/b.csv"), ("Object Created", "in/c.csv")]
        await watch.listed()
        assert watch.told() == []
    bucket.put("in/d.csv")
    async with watching(bucket.open, log) as watch:
        assert watch.told() == [("Object Created", "in/d.csv")]


async def test_keys_that_come_between_others_delete_none(bucket: Bucket) -> None:
    log = Log()
    for key in ("in/b", "in/d", "in/f"):
        bucket.put(key)
    async with watching(bucket.open, log, deletion_events=True) as watch:
        watch.told()
        for key in ("in/a", "in/c", "in/g"):
            bucket.put(key)
        bucket.delete("in/d")
        await watch.listed()
        assert watch.told() == [
            ("Object Created", "in/a"),
            ("Object Created", "in/c"),
            ("Object Created", "in/g"),
            ("Object Deleted", "in/d"),
        ]
        assert log.state.keys() == {"", "in/a", "in/b", "in/c", "in/f", "in/g"}
        await watch.listed()
        assert watch.told() == []


async def test_deletions_are_told_when_asked_for(bucket: Bucket) -> None:
    log = Log()
    for key in ("in/a.csv", "in/b.csv", "in/c.csv"):
        bucket.put(key)
    async with watching(bucket.open, log, deletion_events=True) as watch:
        watch.told()
        bucket.delete("in/a.csv")
        bucket.delete("in/c.csv")
        await watch.listed()
        assert watch.told() == [("Object Deleted", "in/a.csv"), ("Object Deleted", "in/c.csv")]
        assert log.state.keys() == {"", "in/b.csv"}
    bucket.delete("in/b.csv")
    async with watching(bucket.open, log, deletion_events=True) as watch:
        assert watch.told() == [("Object Deleted", "in/b.csv")]


async def test_deletions_are_only_forgotten_when_nobody_asks(bucket: Bucket) -> None:
    log = Log()
    bucket.put("in/a.csv")
    async with watching(bucket.open, log) as watch:
        watch.told()
        bucket.delete("in/a.csv")
        await watch.listed()
        assert watch.told() == []
        assert log.state.keys() == {""}
        bucket.put("in/a.csv", b"again")
        await watch.listed()
        assert watch.told() == [("Object Created", "in/a.csv")]


async def test_existing_objects_are_told_to_nobody_when_asked_for(bucket: Bucket) -> None:
    log = Log()
    bucket.put("in/a.csv")
    async with watching(bucket.open, log, existing_objects=False) as watch:
        assert watch.told() == []
        bucket.put("in/b.csv")
        await watch.listed()
        assert watch.told() == [("Object Created", "in/b.csv")]
    bucket.put("in/c.csv")
    async with watching(bucket.open, log, existing_objects=False) as watch:
        assert watch.told() == [("Object Created", "in/c.csv")]


async def test_once_all_were_told_the_next_are_new_whatever_is_asked_then(bucket: Bucket) -> None:
    log = Log()
    bucket.put("in/a.csv")
    async with watching(bucket.open, log) as watch:
        watch.told()
    bucket.put("in/b.csv")
    async with watching(bucket.open, log, existing_objects=False) as watch:
        assert watch.told() == [("Object Created", "in/b.csv")]


async def test_what_was_not_stored_is_told_again(bucket: Bucket) -> None:
    log = Log()
    log.fails = True
    bucket.put("in/a.csv")
    with pytest.raises(LogUnavailable):
        async with watching(bucket.open, log):
            pass
    assert log.state == {}

    log.fails = False
    async with watching(bucket.open, log) as watch:
        assert watch.told() == [("Object Created", "in/a.csv")]


async def test_a_bucket_that_is_missing_is_an_error_and_nothing_is_forgotten(
    bucket: Bucket,
) -> None:
    log = Log({"": b"complete", "in/a.csv": b"e-1-2"})
    with pytest.raises(SensorError, match=r"^the bucket none: "):
        async with watching(bucket.open, log, bucket="none", deletion_events=True):
            pass

    assert log.deliveries == []
    assert log.state.keys() == {"", "in/a.csv"}


class Shelf:
    """A store that lists what a test says, and breaks off where it says."""

    def __init__(self, keys: list[str], breaks_after: int | None = None) -> None:
        self.keys = keys
        self.breaks_after = breaks_after

    async def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        for number, key in enumerate(self.keys):
            if number == self.breaks_after:
                raise SensorError("the store has gone")
            yield StoredObject(key=key, size=1, etag=f'"{key[-6:]:0>32}"', modified_ms=NOW_MS)

    def open(self) -> AbstractAsyncContextManager[ObjectStore]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Any]:
            yield self

        return opened()


def numbered(count: int, folder: str = "in") -> list[str]:
    return [f"{folder}/{number:06}" for number in range(count)]


async def test_a_listing_that_breaks_off_deletes_nothing_and_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    log, count = Log(), 3 * DELIVERIES_MAX
    with pytest.raises(SensorError):
        async with watching(Shelf(numbered(count), count - 1).open, log, deletion_events=True):
            pass
    assert len(log.state) == 2 * DELIVERIES_MAX

    async with watching(Shelf(numbered(count)).open, log, deletion_events=True):
        pass
    told = [each.event.id for each in log.deliveries]
    assert len(told) == len(set(told)) == count
    with pytest.raises(SensorError):
        async with watching(Shelf(numbered(count), 1).open, log, deletion_events=True):
            pass
    assert len(log.deliveries) == count


async def test_a_crash_amid_the_first_listing_makes_no_object_new(tmp_path: Path) -> None:
    log, count = Log(), 2 * REMEMBERED_MAX + 1
    with pytest.raises(SensorError):
        async with watching(Shelf(numbered(count), count - 1).open, log, existing_objects=False):
            pass
    assert len(log.state) == 2 * REMEMBERED_MAX

    shelf = Shelf(numbered(count))
    async with watching(shelf.open, log, existing_objects=False) as watch:
        assert watch.told() == []
        shelf.keys.append("in/last")
        await watch.listed()
        assert watch.told() == [("Object Created", "in/last")]


async def test_keys_are_compared_in_the_order_of_their_bytes() -> None:
    # U+FF5E comes before U+1F600 in UTF-8, and after it in UTF-16.
    keys = ["in/A", "in/a", "in/é", "in/～", "in/😀"]
    log = Log()
    async with watching(Shelf(keys).open, log):
        pass
    shelf = Shelf(keys[1:-1])
    async with watching(shelf.open, log, deletion_events=True) as watch:
        assert watch.told() == [("Object Created", key) for key in keys] + [
            ("Object Deleted", "in/A"),
            ("Object Deleted", "in/😀"),
        ]


async def test_listing_takes_a_tenth_of_the_time_at_most_and_telling_does_not_count() -> None:
    clock = MovableClock()

    class Slow(Shelf):
        async def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
            clock.move_to(clock.now_ms() + SCAN_MS)
            async for stored in super().list(bucket, prefix):
                yield stored

    async def publish(deliveries: Sequence[Delivery]) -> None:
        clock.move_to(clock.now_ms() + 1_000 * SCAN_MS)

    async def remember(state: Mapping[str, bytes | None]) -> None:
        clock.move_to(clock.now_ms() + 1_000 * SCAN_MS)

    sensor = S3ListingSensor(
        S3ListingSource(bucket=BUCKET),
        home=Home(),
        clock=clock,
        open_store=Slow(numbered(1)).open,
        remember=remember,
    )
    async with asyncio.timeout(30):
        running = asyncio.create_task(sensor.run(publish, {}))
        await clock.somebody_sleeps_until(NOW_MS + 2_001 * SCAN_MS + 10 * SCAN_MS)
        running.cancel()
        await asyncio.wait({running})


async def test_a_store_that_lists_in_no_order_is_refused_and_nothing_is_deleted() -> None:
    log = Log()
    async with watching(Shelf(numbered(3)).open, log):
        pass
    log.deliveries.clear()
    for keys in (["in/000001", "in/000000", "in/000002"], ["in/000000", "in/000000"]):
        with pytest.raises(SensorError, match="does not list its keys in order"):
            async with watching(Shelf(keys).open, log, deletion_events=True):
                pass

    assert log.deliveries == []
    assert log.state.keys() == {"", *numbered(3)}


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_keys_are_packed_to_some_bytes_each(traced: None) -> None:
    keys = numbered(20_000, "in/2026/11/25/measurements-of-the-station")

    def entries() -> Iterator[tuple[str, bytes]]:
        for number, key in enumerate(keys):
            yield key, f"{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}-5-{NOW_MS}".encode()

    before = tracemalloc.get_traced_memory()[0]
    packed = Packed()
    for key, version in entries():
        packed.add(key, version)
    assert tracemalloc.get_traced_memory()[0] - before < 40 * len(keys)
    assert list(packed) == list(entries())


@pytest.mark.parametrize("count", [0, 1, ENTRIES_PER_PAGE, ENTRIES_PER_PAGE + 1])
def test_packed_keys_are_read_as_often_as_wanted(count: int) -> None:
    packed = Packed()
    for key in numbered(count):
        packed.add(key, b"1")

    assert [*packed] == [*packed] == [(key, b"1") for key in numbered(count)]
