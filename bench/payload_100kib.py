"""payload_100kib: chain3 with an input of 100 KiB, which each of the three tasks hands on.

Every execution has an input of its own.
"""

from pathlib import Path
from typing import Final

from bench import chain3
from bench.rounds import Figures
from eventmill.executors.inline import InlineExecutor
from eventmill.model import Json, Payload

_BYTES: Final = 100 * 1_024
_ROW: Final[Json] = {"station": "seattle", "date": "2015-01-01", "temp_max": 5.6, "rain": True}


def payload(name: str) -> Payload:
    """Rows of JSON, 100 KiB or a little more; each name gives others."""
    rows: list[Json] = [_ROW] * (_BYTES // len(Payload.of(_ROW)) + 1)
    return Payload.of([name, *rows])


async def measure(folder: Path, *, quick: bool) -> Figures:
    size = chain3.SMALL if quick else chain3.Size(executions=200, in_flight=50, rounds=5)
    async with InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as executor:
        return await chain3.throughput(folder, executor, size, payload)
