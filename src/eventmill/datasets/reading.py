"""ItemReader: the items of a dataset, one after the other, however large it is."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from eventmill.asl.error_names import ITEM_READER_FAILED
from eventmill.datasets.content import closing, decompressed
from eventmill.datasets.delimited import csv_items
from eventmill.datasets.json_document import json_entries
from eventmill.datasets.lines import json_lines
from eventmill.datasets.manifests import read_inventory, read_uris
from eventmill.datasets.parquet import parquet_items
from eventmill.errors import AuthorError, ObjectStoreError
from eventmill.machine.map_run import Item, Reading
from eventmill.model import Json
from eventmill.ports import ObjectStore, StoredObject

MAX_ITEMS: Final = 100_000_000  # AWS reads no more, whatever MaxItems says


async def read_items(store: ObjectStore, reading: Reading) -> AsyncGenerator[Item, None]:
    """The items of a dataset in their order; a few hundred at most are in memory.

    `max_items` 0 means all, as None does. An item may have up to 8 MiB, a row group of a Parquet
    file 256 MiB; for the size of the objects there is no limit.

    Raises:
        AuthorError: `States.ItemReaderFailed`: an object is absent or cannot be read, is not of
            its type, or `max_items` is negative. Items before the mistake may have been given.
    """
    if reading.max_items is not None and reading.max_items < 0:
        raise _failed("field MaxItems must be positive")
    left = min(reading.max_items or MAX_ITEMS, MAX_ITEMS)
    try:
        async with closing(_batches(store, reading)) as batches:
            async for batch in batches:
                for item in batch[:left]:
                    yield item
                left -= len(batch)
                if left <= 0:
                    return
    except ObjectStoreError as error:
        raise _failed(str(error)) from error


def _failed(cause: str) -> AuthorError:
    return AuthorError(ITEM_READER_FAILED, cause, located=False)


async def _batches(store: ObjectStore, reading: Reading) -> AsyncIterator[list[Item]]:
    if reading.action == "listObjectsV2":
        batches = _listed(store, reading)
    elif reading.manifest_type == "ATHENA_DATA":
        batches = _unloaded(store, reading)
    elif reading.manifest_type == "S3_INVENTORY" or reading.input_type == "MANIFEST":
        batches = _inventory(store, reading)
    else:
        batches = _object(store, reading, reading.bucket, reading.key, reading.version)
    async with closing(batches):
        async for batch in batches:
            yield batch


async def _listed(store: ObjectStore, reading: Reading) -> AsyncIterator[list[Item]]:
    """The objects below a prefix, or the items in them."""
    source = f"s3://{reading.bucket}"
    async with closing(store.list(reading.bucket, reading.prefix)) as objects:
        async for each in objects:
            if not reading.flatten:
                yield [Item(value=_listing_item(each), source=source)]
            elif not (each.key.endswith("/") and each.size == 0):  # no folder marker
                async with closing(_object(store, reading, reading.bucket, each.key)) as batches:
                    async for batch in batches:
                        yield batch


def _listing_item(each: StoredObject) -> Json:
    return {
        "Etag": each.etag,
        "Key": each.key,
        "LastModified": float(each.modified_ms // 1000),
        "Size": each.size,
        "StorageClass": each.storage_class,
    }


async def _unloaded(store: ObjectStore, reading: Reading) -> AsyncIterator[list[Item]]:
    """The rows of all files that a manifest of Athena lists."""
    place = f"{reading.bucket}/{reading.key}"
    content = store.read(reading.bucket, reading.key, version=reading.version)
    async with closing(content), closing(read_uris(decompressed(reading.key, content))) as uris:
        while True:
            try:
                bucket, key = await anext(uris)
            except StopAsyncIteration:
                return
            except ValueError as error:
                raise _failed(f"{place}: {error}") from error
            async with closing(_object(store, reading, bucket, key)) as batches:
                async for batch in batches:
                    yield batch


async def _inventory(store: ObjectStore, reading: Reading) -> AsyncIterator[list[Item]]:
    """The objects that an inventory lists: an item for each, with the columns that it has."""
    source = f"s3://{reading.bucket}/{reading.key}"
    try:
        content = store.read(reading.bucket, reading.key, version=reading.version)
        async with closing(content):
            inventory = await read_inventory(decompressed(reading.key, content), reading.bucket)
    except ValueError as error:
        raise _failed(f"{reading.bucket}/{reading.key}: {error}") from error
    for key in inventory.keys:
        try:
            async with closing(store.read(inventory.bucket, key)) as content:
                rows = csv_items(decompressed(key, content), ",", inventory.headers)
                async for values in rows:
                    yield [Item(value=value, source=source) for value in values]
        except ValueError as error:
            raise _failed(f"{inventory.bucket}/{key}: {error}") from error


async def _object(
    store: ObjectStore, reading: Reading, bucket: str, key: str, version: str | None = None
) -> AsyncIterator[list[Item]]:
    """The items of one object, by its type."""
    source = f"s3://{bucket}/{key}"
    try:
        async with closing(store.read(bucket, key, version=version)) as content:
            plain = decompressed(key, content)
            if reading.input_type == "JSON":
                async with closing(json_entries(plain, reading.items_pointer)) as found:
                    async for entries in found:
                        yield [Item(value=each, source=source, key=name) for name, each in entries]
            else:
                async with closing(_values(plain, reading)) as rows:
                    async for values in rows:
                        yield [Item(value=value, source=source) for value in values]
    except ValueError as error:
        raise _failed(f"{bucket}/{key}: {error}") from error


def _values(content: AsyncIterator[bytes], reading: Reading) -> AsyncIterator[list[Json]]:
    match reading.input_type:
        case "CSV":
            return csv_items(content, reading.csv_delimiter, reading.csv_headers)
        case "JSONL":
            return json_lines(content)
        case "PARQUET":
            return parquet_items(content)
        case other:
            raise ValueError(f"an InputType is needed to read items, not {other}")
