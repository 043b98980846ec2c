"""An `ObjectStore` in Amazon S3, or in anything that speaks its protocol (MinIO, Ceph, R2 …).

Every call is made by boto3 in one of a few threads; credentials are found where boto3 looks for
them: environment variables, `~/.aws`, the role of the machine.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from tempfile import SpooledTemporaryFile
from typing import Any, Final, Self, TypeVar

from botocore.exceptions import (  # type: ignore[import-untyped]  # botocore has no types
    BotoCoreError,
    ClientError,
)

from eventmill.errors import ObjectDoesNotExist, ObjectStoreError
from eventmill.ports import StoredObject

_T = TypeVar("_T")

_PIECE_BYTES: Final = 64 * 1024
_IN_MEMORY_BYTES_MAX: Final = 8 * 1024 * 1024  # of an object to be written; more goes to disk
_ABSENT: Final = {"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "404"}


class S3ObjectStore:
    """The buckets of one account, region or server. Open it with `S3ObjectStore.open`."""

    def __init__(self, client: Any, threads: ThreadPoolExecutor, transfer: object) -> None:
        """Use `S3ObjectStore.open`."""
        self._client = client
        self._threads = threads
        self._transfer = transfer

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        connections: int = 8,
    ) -> AsyncIterator[Self]:
        """The store at `endpoint`, or Amazon's; `connections` calls at once at most.

        Raises:
            ObjectStoreError: The endpoint is no URL, or no region is known.
        """
        threads = ThreadPoolExecutor(connections, thread_name_prefix="s3")
        try:
            client, transfer = await asyncio.get_running_loop().run_in_executor(
                threads, _connect, endpoint, region, connections
            )
            try:
                yield cls(client, threads, transfer)
            finally:
                client.close()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def read(
        self, bucket: str, key: str, *, version: str | None = None
    ) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`."""
        place = f"{bucket}/{key}"
        wanted = {"Bucket": bucket, "Key": key}
        if version is not None:
            wanted["VersionId"] = version
        body = (await self._call(place, partial(self._client.get_object, **wanted)))["Body"]
        try:
            while piece := await self._call(place, partial(body.read, _PIECE_BYTES)):
                yield piece
        finally:
            body.close()

    async def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        """See `ObjectStore.list`."""
        paginator = self._client.get_paginator("list_objects_v2")
        pages = iter(paginator.paginate(Bucket=bucket, Prefix=prefix))
        while (page := await self._call(bucket, partial(_next_page, pages))) is not None:
            for each in page.get("Contents", ()):
                yield StoredObject(
                    key=each["Key"],
                    size=each["Size"],
                    etag=each["ETag"],
                    modified_ms=round(each["LastModified"].timestamp() * 1000),
                    storage_class=each.get("StorageClass", "STANDARD"),
                )

    async def write(self, bucket: str, key: str, content: AsyncIterable[bytes]) -> int:
        """See `ObjectStore.write`. A large object goes up in several parts."""
        with SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES_MAX) as file:
            size = 0
            async for piece in content:
                size += await self._call(f"{bucket}/{key}", partial(file.write, piece))
            file.seek(0)
            upload = partial(self._client.upload_fileobj, file, bucket, key, Config=self._transfer)
            await self._call(f"{bucket}/{key}", upload)
        return size

    async def _call(self, place: str, call: Callable[[], _T]) -> _T:
        def guarded() -> _T:
            with _translated(place):
                return call()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)


def _connect(endpoint: str | None, region: str | None, connections: int) -> tuple[Any, Any]:
    # boto3 takes a fifth of a second to import: only who uses S3 pays for it.
    boto3, config = import_module("boto3"), import_module("botocore.config")
    transfer = import_module("boto3.s3.transfer")
    settings = config.Config(
        max_pool_connections=connections,
        retries={"mode": "standard", "max_attempts": 4},
        # Servers other than Amazon's know buckets as paths, not as host names.
        s3={"addressing_style": "path" if endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(region_name=region)
    if endpoint and session.region_name is None:
        session = boto3.session.Session(region_name="us-east-1")
    with _translated(endpoint or "S3"):
        try:
            client = session.client("s3", endpoint_url=endpoint, config=settings)
        except ValueError as error:
            raise ObjectStoreError(str(error)) from error
    return client, transfer.TransferConfig(use_threads=False)


def _next_page(pages: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next(pages, None)


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """Turn what boto3 raises into errors of the port, which carry AWS's own text."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code = told.get("Code", "Unknown")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "unknown")
        message = (
            f"{told.get('Message') or code} "
            f"(Service: S3, Status Code: {status}, Error Code: {code}): {place}"
        )
        raise (ObjectDoesNotExist if code in _ABSENT else ObjectStoreError)(message) from error
    except (BotoCoreError, OSError) as error:
        raise ObjectStoreError(f"{error}: {place}") from error
