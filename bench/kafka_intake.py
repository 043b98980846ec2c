"""kafka_intake: messages of a topic into durable executions, each started by one of them.

The messages are there before the server begins. Each becomes an event that matches the trigger's
pattern and starts an execution, which waits for a day. `per_s` counts from the start of the sensor
until the offsets of all messages are durable, which they are together with events and executions.
"""

import time
from pathlib import Path
from typing import Any, Final

from bench.kafka_source import broker_in, fill, reading, until_read
from bench.rounds import Figures
from eventmill.executors.inline import InlineExecutor

_DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Rest",
    "States": {"Rest": {"Type": "Wait", "Seconds": 86_400, "End": True}},
}
_MATCHES: Final = {"detail": {"value": {"kind": ["reading"]}}}


async def measure(folder: Path, *, quick: bool) -> Figures:
    return await per_second(folder, 60 if quick else 20_000, 1 if quick else 3, _MATCHES)


async def per_second(folder: Path, messages: int, rounds: int, pattern: dict[str, Any]) -> Figures:
    """The best of some rounds, each with a server and a topic of its own."""
    best: Figures = {"per_s": 0.0}
    async with broker_in(folder) as broker, InlineExecutor({}) as executor:
        for number in range(rounds):
            topic = f"measured-{number}"
            await fill(broker, topic, messages)
            began, cpu = time.perf_counter(), time.process_time()
            async with reading(folder, broker, topic, executor, _DEFINITION, pattern) as reader:
                await until_read(reader, messages)
                took, cpu = time.perf_counter() - began, time.process_time() - cpu
            figures = {"per_s": messages / took, "cpu_ms": cpu / messages * 1_000}
            best = max(best, figures, key=lambda each: each["per_s"])
    return best
