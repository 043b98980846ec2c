"""The `Datasets` of a simulation: items and results in memory."""

from collections.abc import AsyncGenerator, AsyncIterator

from eventmill.datasets.results import transformed
from eventmill.machine.map_run import Item, Reading, Writing
from eventmill.model import Payload
from eventmill.rows import ChildResult
from tests.simulation.timeline import Chaos, SimulatedClock


class SimulatedDatasets:
    """A dataset named by a number has so many items; results are counted and forgotten."""

    def __init__(self, clock: SimulatedClock, chaos: Chaos) -> None:
        self._clock, self._chaos = clock, chaos

    async def read(self, reading: Reading) -> AsyncGenerator[Item, None]:
        """See `Datasets.read`."""
        for number in range(int(reading.key)):
            await self._clock.pass_ms(self._chaos.moment_ms())
            yield Item(value=number, source=f"s3://{reading.bucket}/{reading.key}")

    async def write(
        self, writing: Writing, map_run_arn: str, folder: str, results: AsyncIterator[ChildResult]
    ) -> str:
        """See `Datasets.write`."""
        count = 0
        async for _ in results:
            await self._clock.pass_ms(self._chaos.moment_ms())
            count += 1
        return f"{writing.prefix}/{folder}/{count}"

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
