"""Messages in a topic of Kafka."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventmill.events import TriggerEvent
from tests.kafka.embedded import EmbeddedBroker
from tests.kafka.reading import producing

_TOPIC = "arrivals"
_PARTITIONS = 3


class Messages:
    """Each event is a message; they are spread over some partitions."""

    environment: Mapping[str, str] = {}

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker
        asyncio.run(broker.create_topic(_TOPIC, _PARTITIONS))
        self.sources: Sequence[Mapping[str, Any]] = (
            {
                "Type": "kafka",
                "BootstrapServers": [broker.address],
                "Topics": [_TOPIC],
                "StartingPosition": "earliest",
                "MaxPollRecords": 8,  # so that there are many commits to be killed in
            },
        )

    def feed(self, numbers: range) -> None:
        asyncio.run(self._send(numbers))

    async def _send(self, numbers: range) -> None:
        async with producing(self._broker.address) as producer:
            await producer.send_many(_TOPIC, [b"%d" % each for each in numbers], _PARTITIONS)

    def number(self, event: TriggerEvent) -> int:
        value = event.detail["value"]
        assert isinstance(value, int)
        return value


@contextmanager
def messages(project: Path, events: int) -> Iterator[Messages]:
    broker = EmbeddedBroker()
    try:
        yield Messages(broker)
    finally:
        broker.close()
