"""kafka_to_handler: from a message that the broker has taken to the handler that it starts.

In between lie the request for messages that was waiting for it, the trigger, the commit of event,
offset and execution, and the call of the handler. One message at a time, in an idle system.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from bench.kafka_source import PARTITIONS, broker_in, message, reading
from bench.rounds import Figures, latency
from eventmill.executors.inline import InlineExecutor

_DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Arrived",
    "States": {
        "Arrived": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "arrived", "Payload.$": "$.value.number"},
            "End": True,
        }
    },
}
_MATCHES: Final = {"detail-type": ["Kafka Message Received"]}
_PATIENCE_SECONDS: Final = 30.0
# The next message comes when the last execution has surely ended.
_PAUSE_SECONDS: Final = 0.02


async def measure(folder: Path, *, quick: bool) -> Figures:
    messages = 5 if quick else 300
    arrived: asyncio.Queue[tuple[int, float]] = asyncio.Queue()

    async def handler(event: Any, context: Any) -> None:
        arrived.put_nowait((event, time.perf_counter()))

    took = []
    async with (
        broker_in(folder) as broker,
        InlineExecutor({"arrived": handler}) as executor,
        AIOKafkaProducer(bootstrap_servers=broker.address) as producer,
    ):
        await broker.create_topic("measured", PARTITIONS)
        async with reading(folder, broker, "measured", executor, _DEFINITION, _MATCHES):
            # However long the sensor takes to begin, after the first message it is there.
            for number in range(messages + 1):
                await asyncio.sleep(_PAUSE_SECONDS)
                sent = time.perf_counter()
                await producer.send_and_wait(
                    "measured", message(number), partition=number % PARTITIONS
                )
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    came, at = await arrived.get()
                if came != number:
                    raise RuntimeError(f"{came} came where {number} was due: nothing counts")
                took.append(at - sent)
    return latency(took[1:])
