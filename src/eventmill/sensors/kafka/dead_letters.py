"""Copies of rejected messages in a topic, beside the events that tell of them in the inbox."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from eventmill.sensors.kafka.messages import Message

_log: Final = logging.getLogger(__name__)


class DeadLetters:
    """Writes rejected messages to a topic; without a topic it does nothing."""

    def __init__(self, producer: Any = None, topic: str = "") -> None:
        """Write to `topic` by `producer`."""
        self._producer = producer
        self._topic = topic

    async def send(self, message: Message, reason: str) -> None:
        """Copy a message as it was, with headers that tell its position and the reason.

        One that the brokers do not take is told in an error and no more: the inbox has it.
        """
        if self._producer is None:
            return
        headers = [
            *((name, value or b"") for name, value in message.headers),
            ("eventmill-reason", reason.encode()),
            ("eventmill-topic", message.topic.encode()),
            ("eventmill-partition", b"%d" % message.partition),
            ("eventmill-offset", b"%d" % message.offset),
        ]
        try:
            await self._producer.send_and_wait(
                self._topic, message.value, key=message.key, headers=headers
            )
        except KafkaError as error:
            _log.error(
                "the message %d of %s/%d is only in the inbox, not in the DeadLetterTopic %s: %s",
                message.offset,
                message.topic,
                message.partition,
                self._topic,
                error,
            )


@asynccontextmanager
async def dead_letters(client: Mapping[str, Any], topic: str) -> AsyncIterator[DeadLetters]:
    """A writer to `topic` with the settings of `client`, for as long as the block.

    Raises:
        KafkaError: No broker answers.
    """
    if not topic:
        yield DeadLetters()
        return
    producer = AIOKafkaProducer(**client, enable_idempotence=True)
    try:
        await producer.start()
        yield DeadLetters(producer, topic)
    finally:
        await producer.stop()
