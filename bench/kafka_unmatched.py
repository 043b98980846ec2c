"""kafka_unmatched: the same as kafka_intake, with messages that start nothing.

Every event is kept, so each becomes durable all the same.
"""

from pathlib import Path
from typing import Final

from bench.kafka_intake import per_second
from bench.rounds import Figures

_MATCHES_NOTHING: Final = {"detail": {"value": {"kind": ["alarm"]}}}


async def measure(folder: Path, *, quick: bool) -> Figures:
    return await per_second(folder, 60 if quick else 60_000, 1 if quick else 3, _MATCHES_NOTHING)
