"""The `Datasets` that lie in an object store."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from eventmill.datasets.reading import read_items
from eventmill.datasets.results import transformed, write_results
from eventmill.machine.map_run import Item, Reading, Writing
from eventmill.model import Payload
from eventmill.ports import ObjectStore
from eventmill.rows import ChildResult


class StoredDatasets:
    """Reads items from objects and writes results to them."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def read(self, reading: Reading) -> AsyncGenerator[Item, None]:
        """See `Datasets.read`."""
        async with aclosing(read_items(self._store, reading)) as items:
            async for item in items:
                yield item

    async def write(
        self, writing: Writing, map_run_arn: str, folder: str, results: AsyncIterator[ChildResult]
    ) -> str:
        """See `Datasets.write`."""
        return await write_results(self._store, writing, map_run_arn, folder, results)

    async def gather(
        self,
        writing: Writing | None,
        results: AsyncIterator[ChildResult],
        *,
        bytes_max: int,
        cause: str,
    ) -> Payload:
        """See `Datasets.gather`."""
        return await transformed(writing, results, bytes_max=bytes_max, cause=cause)
