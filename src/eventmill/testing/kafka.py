"""Kafka on this machine: `with EmbeddedKafka("orders") as kafka: …`."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, TypeAlias

from eventmill.record import record
from eventmill.testing.child import Child
from eventmill.testing.extra import folder_of, require
from eventmill.testing.service import LocalService

BOOTSTRAP_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"

Text: TypeAlias = str | bytes

_ALL: Final = -1  # brokers
_FROZEN_MS: Final = 600_000
_PATIENCE_SECONDS: Final = 10.0
# Of clients here: they find a broker that is back at once, and say nothing by themselves.
_HASTE: Final = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "log_level": 0}


@record
class Message:
    """One message of a topic, as bytes; a tombstone has no value."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class EmbeddedKafka(LocalService):
    """A Kafka of one broker in a process of its own, which ends with this one.

    It is librdkafka's mock cluster: it speaks Kafka's protocol to every client, but it keeps all in
    memory, the last 5 MB of each partition, knows no timestamps, transactions or logins, takes one
    member in a group, and topics are made by `create_topic`, not by admin clients. It may be
    started again after `stop`, empty and at another port.
    """

    def __init__(self, *topics: str, partitions: int = 1) -> None:
        """With these `topics` from the start, each of so many `partitions`."""
        self._topics = topics
        self._partitions = partitions
        self._child: Child | None = None
        self._producer: Any = None
        self._lock = threading.Lock()

    @property
    def bootstrap_servers(self) -> str:
        """host:port, as clients take it.

        Raises:
            RuntimeError: It is not running.
        """
        return self._running.told

    @property
    def pid(self) -> int:
        """The number of its process.

        Raises:
            RuntimeError: It is not running.
        """
        return self._running.pid

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables from which a project learns where Kafka is."""
        return {BOOTSTRAP_VARIABLE: self.bootstrap_servers}

    def start(self) -> Self:
        """Start it, if it is not running.

        Raises:
            SettingsError: The extra `eventmill[testing]` is not installed.
        """
        if self._child is None:
            folder_of("confluent_kafka")
            self._child = Child("eventmill.testing.kafka_process")
            for topic in self._topics:
                self.create_topic(topic, self._partitions)
        return self

    def stop(self) -> None:
        """End it, and forget what it holds; nothing if it is not running."""
        child, self._child, self._producer = self._child, None, None
        if child is not None:
            child.end()

    def kill(self) -> None:
        """Break all connections and take no new ones, as when the broker dies.

        What it holds stays, for `restart`.
        """
        self._call("broker_set_down", _ALL)

    def restart(self) -> None:
        """Take connections again after `kill`, at the same port, with all it held."""
        self._call("broker_set_up", _ALL)
        self._producer = None  # a new one is connected sooner than the old one tries again

    def freeze(self) -> None:
        """Answer nobody, but stay connected, as when the broker hangs."""
        self._call("broker_set_rtt", _ALL, _FROZEN_MS)

    def thaw(self) -> None:
        """Answer again after `freeze`."""
        self._call("broker_set_rtt", _ALL, 0)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Make a topic.

        Raises:
            ValueError: There is one of this name.
        """
        self._call("topic_create", name, partitions, 1)

    def delete_topic(self, name: str) -> None:
        """Remove a topic and its messages.

        Raises:
            ValueError: There is none of this name.
        """
        self._call("topic_delete", name)

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Remove the messages of a partition that lie before an offset.

        Raises:
            ValueError: There is no such partition or offset.
        """
        self._call("partition_delete_records", topic, partition, before)

    def publish(
        self,
        topic: str,
        *values: Text | None,
        key: Text | None = None,
        partition: int | None = None,
        headers: Mapping[str, Text] | None = None,
    ) -> None:
        """Write one message for each of `values`, in order, and wait until the broker has them.

        Raises:
            TimeoutError: It does not take them within 10 seconds.
        """
        producer = self._producing()
        where = {} if partition is None else {"partition": partition}
        failed: list[str] = []

        def on_delivery(error: object, _: object) -> None:
            if error is not None:
                failed.append(str(error))

        for value in values:
            producer.produce(
                topic, value, key, headers=dict(headers or {}), on_delivery=on_delivery, **where
            )
        left = producer.flush(_PATIENCE_SECONDS)
        if left or failed:
            producer.purge()
            reason = failed[0] if failed else "it does not answer"
            raise TimeoutError(f"Kafka did not take {left or len(failed)} messages: {reason}")

    def messages(self, topic: str) -> list[Message]:
        """All messages that a topic has now, partition by partition.

        Raises:
            TimeoutError: The broker does not give them within 10 seconds.
            ValueError: There is no such topic.
        """
        kafka = require("confluent_kafka")
        consumer = kafka.Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": "eventmill.testing",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                **_HASTE,
            }
        )
        try:
            found = consumer.list_topics(topic, _PATIENCE_SECONDS).topics[topic]
            if found.error is not None:
                raise ValueError(f"Kafka has no topic {topic}: {found.error.str()}")
            return [
                message
                for number in sorted(found.partitions)
                for message in _read(kafka, consumer, topic, number)
            ]
        finally:
            consumer.close()

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError("Kafka is not running: start it, or use it in a with statement")
        return self._child

    def _call(self, function: str, *arguments: str | int) -> None:
        refused = self._running.ask(json.dumps([function, *arguments]))
        if refused:
            raise ValueError(f"Kafka refuses {function.replace('_', ' ')}: {refused}")

    def _producing(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._producer = require("confluent_kafka").Producer(
                    {
                        "bootstrap.servers": self.bootstrap_servers,
                        "max.in.flight": 1,
                        "linger.ms": 0,
                        "message.timeout.ms": round(_PATIENCE_SECONDS * 1_000),
                        **_HASTE,
                    }
                )
            return self._producer


def _read(kafka: Any, consumer: Any, topic: str, partition: int) -> list[Message]:
    """The messages of one partition, up to where it ends now."""
    place = kafka.TopicPartition(topic, partition)
    first, end = consumer.get_watermark_offsets(place, _PATIENCE_SECONDS)
    consumer.assign([kafka.TopicPartition(topic, partition, first)])
    read: list[Message] = []
    while first < end:
        message = consumer.poll(_PATIENCE_SECONDS)
        if message is None or message.error() is not None:
            reason = "no answer" if message is None else message.error()
            raise TimeoutError(f"Kafka does not give {topic}/{partition}/{first}: {reason}")
        first = message.offset() + 1
        read.append(
            Message(
                partition=partition,
                offset=message.offset(),
                key=message.key(),
                value=message.value(),
                headers=tuple(message.headers() or ()),
            )
        )
    return read
