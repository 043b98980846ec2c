"""alone: one chain3 at a time, from the wish to start it until its end is durable and known."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench import chain3
from bench.raw_sqlite import write_raw
from bench.recording import Batch
from bench.rounds import Figures, alternate, latency, percentile
from bench.server import serving
from eventmill.executors.inline import InlineExecutor


async def measure(folder: Path, *, quick: bool) -> Figures:
    executions, rounds = (5, 1) if quick else (300, 5)
    async with InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as executor:
        batches = await chain3.recorded(folder, executor, executions, in_flight=1)

        async def ours() -> Figures:
            async with serving(folder, executor, chain3.DEFINITION) as server:
                await chain3.run(server, executions // 10, 1, "warm-up")
                return latency(await chain3.run(server, executions, 1, "timed"))

        return await alternate(rounds, "p50_ms", ours, lambda: raw_p50_ms(folder, batches))


def raw_p50_ms(folder: Path, batches: Sequence[Batch]) -> float:
    """The median time in which SQLite alone writes what one execution commits."""
    of_execution: defaultdict[int, float] = defaultdict(float)
    for batch, seconds in zip(batches, write_raw(folder, batches), strict=True):
        of_execution[batch[0].steps[0].execution] += seconds
    return percentile(list(of_execution.values()), 50) * 1_000
