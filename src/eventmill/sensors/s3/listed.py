"""Turns what listings of a bucket find into trigger events, for stores that send no notifications.

Each listing is compared with the one before, of which the log remembers every key with its version:
etag, size and time of modification. What is new is remembered in the same commit as its event, so
each version is told once, whatever is restarted or killed. What was written and overwritten between
two listings was never there for it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

from eventmill.arn import Home
from eventmill.errors import ObjectStoreError, SensorError
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.model import Json
from eventmill.ports import Clock, Delivery, ObjectStore, Publish, Pulse, Remember, StoredObject
from eventmill.sensors.s3.notifications import (
    OBJECT_CREATED,
    OBJECT_DELETED,
    SOURCE,
    event_id,
)
from eventmill.sensors.s3.packed import Packed
from eventmill.triggers.s3 import S3ListingSource

DELIVERIES_MAX: Final = 256
REMEMBERED_MAX: Final = 1_000
# Listing may take at most this share of the time, however many objects there are.
LISTING_SHARE_MAX: Final = 0.1

# No object has this key: it says that all that was there at first is remembered.
_COMPLETE: Final = ""

OpenStore: TypeAlias = Callable[[], AbstractAsyncContextManager[ObjectStore]]


class S3ListingSensor:
    """The `Sensor` of the objects in a bucket; `open_store` opens the store that has it."""

    def __init__(
        self,
        source: S3ListingSource,
        *,
        home: Home,
        clock: Clock,
        open_store: OpenStore,
        remember: Remember,
    ) -> None:
        """Watch what `source` says; `remember` makes durable what goes with no event."""
        self.source = source
        self.clock = clock
        self.pulse = Pulse()
        self.open_store = open_store
        self.remember = remember
        self._home = home

    @property
    def name(self) -> str:
        """What is listed; two triggers with equal sources share it."""
        return self.source.name

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """List until cancelled; `state` maps keys to the versions told before.

        Raises:
            SensorError: There is no such bucket, or the store refuses or cannot be reached.
        """
        listings = _Listings(self, publish, state)
        self.pulse.until(self.clock.steady_ms())
        del state  # The caller keeps none either: it is packed now.
        try:
            async with self.open_store() as store:
                while True:
                    took_ms = await listings.compare(store)
                    pause_ms = round(self.source.scan_seconds * 1000)
                    pause_ms = max(pause_ms, round(took_ms / LISTING_SHARE_MAX))
                    self.pulse.until(self.clock.steady_ms() + pause_ms)
                    await self.clock.pause(pause_ms)
        except ObjectStoreError as error:
            raise SensorError(f"the bucket {self.source.bucket}: {error}") from error
        finally:
            self.pulse.until(None)

    def created(self, stored: StoredObject) -> TriggerEvent:
        """The event that tells of an object, as S3 would; its id follows from key and version."""
        told: dict[str, Json] = {
            "key": stored.key,
            "size": stored.size,
            "etag": stored.etag.strip('"'),
        }
        return self._event(OBJECT_CREATED, told, _version(stored), stored.modified_ms)

    def deleted(self, key: str, version: bytes) -> TriggerEvent:
        """The event that tells that an object is there no more."""
        return self._event(OBJECT_DELETED, {"key": key}, version, self.clock.now_ms())

    def _event(
        self, detail_type: str, told: dict[str, Json], version: bytes, at_ms: int
    ) -> TriggerEvent:
        bucket = self.source.bucket
        return TriggerEvent(
            id=event_id(self.name, detail_type, bucket, str(told["key"]), version.decode()),
            source=SOURCE,
            detail_type=detail_type,
            at_ms=at_ms,
            account=self._home.account,
            region=self.source.region or self._home.region,
            resources=(bucket if bucket.startswith("arn:") else f"arn:aws:s3:::{bucket}",),
            detail={"version": "0", "bucket": {"name": bucket}, "object": told},
        )


class _Listings:
    """The listings of one run, each compared with the one before."""

    def __init__(
        self, sensor: S3ListingSensor, publish: Publish, state: Mapping[str, bytes]
    ) -> None:
        self._sensor = sensor
        self._publish = publish
        self._known = Packed()
        for key in sorted(key for key in state if key != _COMPLETE):
            self._known.add(key, state[key])
        self._is_complete = _COMPLETE in state
        self._tells_existing = sensor.source.existing_objects
        self._deliveries: list[Delivery] = []
        self._silent: dict[str, bytes | None] = {}
        self._flushing_ms = 0

    async def compare(self, store: ObjectStore) -> int:
        """List once, tell what is new, and remember it.

        Returns the milliseconds that listing took, without those of telling and remembering.
        """
        began_ms, self._flushing_ms = self._sensor.clock.steady_ms(), 0
        source, found = self._sensor.source, Packed()
        known, last = _Known(self._known), ""
        async for stored in store.list(source.bucket, source.prefix):
            self._sensor.pulse.until(self._sensor.clock.steady_ms())
            if stored.key <= last:
                # As directory buckets do. Keys that come late would count as deleted.
                raise SensorError(
                    f"the bucket {source.bucket} does not list its keys in order: "
                    f"{stored.key!r} comes after {last!r}"
                )
            last, version = stored.key, _version(stored)
            for gone in known.before(stored.key):
                await self._is_gone(*gone)
            if known.take(stored.key) != version:
                await self._is_new(stored, version)
            found.add(stored.key, version)
        for gone in known.rest():
            await self._is_gone(*gone)
        if not self._is_complete:
            self._silent[_COMPLETE] = b"complete"
        await self._flush()
        self._known, self._is_complete = found, True
        return self._sensor.clock.steady_ms() - began_ms - self._flushing_ms

    async def _is_new(self, stored: StoredObject, version: bytes) -> None:
        if self._is_complete or self._tells_existing:
            event = self._sensor.created(stored)
            self._deliveries.append(Delivery(event=event, state={stored.key: version}))
        else:
            self._silent[stored.key] = version
        await self._flush_if_many()

    async def _is_gone(self, key: str, version: bytes) -> None:
        if self._sensor.source.deletion_events:
            event = self._sensor.deleted(key, version)
            self._deliveries.append(Delivery(event=event, state={key: None}))
        else:
            self._silent[key] = None
        await self._flush_if_many()

    async def _flush_if_many(self) -> None:
        if len(self._deliveries) >= DELIVERIES_MAX or len(self._silent) >= REMEMBERED_MAX:
            await self._flush()

    async def _flush(self) -> None:
        """Make durable what was found; if that fails, nothing of this listing counts."""
        deliveries, silent = self._deliveries, self._silent
        self._deliveries, self._silent = [], {}
        began_ms = self._sensor.clock.steady_ms()
        if deliveries:
            await self._publish(deliveries)
        if silent:
            await self._sensor.remember(silent)
        self._flushing_ms += self._sensor.clock.steady_ms() - began_ms
        if deliveries:
            point("after-acknowledge")


class _Known:
    """What the listing before found, passed through in step with this one."""

    def __init__(self, known: Packed) -> None:
        self._entries = iter(known)
        self._next = next(self._entries, None)

    def before(self, key: str) -> Iterator[tuple[str, bytes]]:
        """Pass over what comes before `key`."""
        # Texts are in the order of their code points, which is that of their bytes in UTF-8.
        while self._next is not None and self._next[0] < key:
            yield self._next
            self._next = next(self._entries, None)

    def take(self, key: str) -> bytes | None:
        """The version of `key`, if it is next."""
        if self._next is None or self._next[0] != key:
            return None
        version = self._next[1]
        self._next = next(self._entries, None)
        return version

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """Pass over all that is left."""
        while self._next is not None:
            yield self._next
            self._next = next(self._entries, None)


def _version(stored: StoredObject) -> bytes:
    etag = stored.etag.strip('"')
    return f"{etag}-{stored.size}-{stored.modified_ms}".encode()
