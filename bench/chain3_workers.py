"""chain3_workers: chain3 with its handlers in worker processes, which is how a server runs them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import chain3
from bench.rounds import Figures
from eventmill.executors.pool import WorkerPool

HANDLERS: Final = f"""\
from eventmill.handler import handler


@handler
async def {chain3.HANDLER}(event, context):
    return event
"""


async def measure(folder: Path, *, quick: bool) -> Figures:
    with TemporaryDirectory(dir=folder) as handlers:
        (Path(handlers) / "measured.py").write_text(HANDLERS, encoding="utf-8")
        async with WorkerPool(Path(handlers)) as executor:
            size = chain3.SMALL if quick else chain3.FULL
            return await chain3.throughput(folder, executor, size)
