"""Datasets in a folder, and what is read of them."""

from pathlib import Path
from typing import Any

import pytest

from eventmill.datasets.reading import read_items
from eventmill.errors import AuthorError
from eventmill.machine.map_run import Item, Reading
from eventmill.model import Failure, Json
from eventmill.objects.filesystem import FilesystemObjectStore

BUCKET = "data"


class Bucket:
    """A bucket in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root / BUCKET
        self.root.mkdir()
        self.store = FilesystemObjectStore(root)

    def put(self, key: str, content: str | bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def reading(self, key: str = "", **how: Any) -> Reading:
        return Reading(**{"action": "getObject", "bucket": BUCKET, "key": key} | how)

    def listing(self, prefix: str = "", **how: Any) -> Reading:
        return self.reading(action="listObjectsV2", prefix=prefix, **how)

    async def items(self, reading: Reading) -> list[Item]:
        return [item async for item in read_items(self.store, reading)]

    async def values(self, reading: Reading) -> list[Json]:
        return [item.value for item in await self.items(reading)]

    async def read(self, content: str | bytes, **how: Any) -> list[Json]:
        """The items of an object with this content."""
        self.put("object", content)
        return await self.values(self.reading("object", **how))

    async def csv(self, content: str | bytes, **how: Any) -> list[Json]:
        return await self.read(content, input_type="CSV", **how)

    async def failure(self, reading: Reading) -> Failure:
        """How a reading fails, which it must."""
        with pytest.raises(AuthorError) as caught:
            await self.items(reading)
        assert not caught.value.located, "AWS tells of the Map Run, not of the state"
        return caught.value.failure

    async def cause(self, content: str | bytes, **how: Any) -> str:
        """Why the items of an object with this content cannot be read."""
        self.put("object", content)
        failure = await self.failure(self.reading("object", **how))
        assert failure.error == "States.ItemReaderFailed"
        assert failure.cause is not None
        return failure.cause


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)
