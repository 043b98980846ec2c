"""Object stores to run the suite of the port on, and what its tests do with them."""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.request import Request, urlopen

import boto3  # type: ignore[import-untyped]  # boto3 has no types
import pytest
from moto.server import ThreadedMotoServer

from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.objects.s3 import S3ObjectStore
from eventmill.ports import ObjectStore, StoredObject

BUCKET = "data"


class World(Protocol):
    """A store of one kind, as its owner sees it."""

    def open(self) -> AbstractAsyncContextManager[ObjectStore]:
        """The store, with an empty bucket `BUCKET`."""
        ...

    def leftovers(self) -> list[str]:
        """What is in the bucket beside finished objects."""
        ...


class FolderWorld:
    """Buckets in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / BUCKET).mkdir()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ObjectStore]:
        yield FilesystemObjectStore(self.root)

    def leftovers(self) -> list[str]:
        return [path.name for path in (self.root / BUCKET).iterdir() if path.name.startswith(".")]


class S3World:
    """Buckets in a server that speaks S3's protocol, emptied of what earlier tests left."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        self.client.create_bucket(Bucket=BUCKET)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ObjectStore]:
        async with S3ObjectStore.open(endpoint=self.endpoint, region="us-east-1") as store:
            yield store

    def leftovers(self) -> list[str]:
        uploads = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
        return [each["Key"] for each in uploads]

    def close(self) -> None:
        self.client.close()
        with urlopen(Request(f"{self.endpoint}/moto-api/reset", method="POST")):
            pass  # The server has forgotten everything.


@contextmanager
def s3_server() -> Iterator[str]:
    """A server that speaks S3's protocol in this process; its URL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def write(store: ObjectStore, key: str, content: bytes = b"") -> int:
    return await store.write(BUCKET, key, pieces(content))


async def read(store: ObjectStore, key: str, version: str | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(BUCKET, key, version=version)])


async def listed(store: ObjectStore, prefix: str = "") -> list[StoredObject]:
    return [each async for each in store.list(BUCKET, prefix)]


async def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [each.key for each in await listed(store, prefix)]


async def breaking_off(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    raise BrokenPipeError("the source broke off")
