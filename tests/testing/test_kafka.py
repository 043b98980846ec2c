"""The embedded Kafka, as clients of other libraries and of ours see it."""

import os
import signal
import socket
import threading
from contextlib import suppress

import pytest
from confluent_kafka import Producer

from eventmill.errors import SettingsError
from eventmill.testing import EmbeddedKafka
from eventmill.testing.kafka import BOOTSTRAP_VARIABLE, Message


def test_messages_come_back_as_they_were_written() -> None:
    with EmbeddedKafka("orders", partitions=2) as kafka:
        kafka.publish("orders", "first", None, key="k", headers={"kind": b"new"}, partition=1)
        kafka.publish("orders", b"\xff", partition=0)

        read = kafka.messages("orders")

    headers = (("kind", b"new"),)
    assert read == [
        Message(partition=0, offset=0, key=None, value=b"\xff", headers=()),
        Message(partition=1, offset=0, key=b"k", value=b"first", headers=headers),
        Message(partition=1, offset=1, key=b"k", value=None, headers=headers),
    ]


def test_other_clients_find_it() -> None:
    with EmbeddedKafka("orders") as kafka:
        assert kafka.environment == {BOOTSTRAP_VARIABLE: kafka.bootstrap_servers}
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        producer.produce("orders", b"from elsewhere")
        assert producer.flush(10) == 0

        assert [each.value for each in kafka.messages("orders")] == [b"from elsewhere"]


async def test_it_runs_beside_an_event_loop() -> None:
    async with EmbeddedKafka("orders") as kafka:
        kafka.publish("orders", "a")

        assert len(kafka.messages("orders")) == 1


def test_after_a_kill_nobody_is_connected_and_after_a_restart_all_is_there() -> None:
    with EmbeddedKafka("orders") as kafka:
        kafka.publish("orders", "before")
        address = kafka.bootstrap_servers
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.settimeout(10)
            kafka.kill()
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), 10)

        kafka.restart()
        kafka.publish("orders", "after")

        assert kafka.bootstrap_servers == address
        assert [each.value for each in kafka.messages("orders")] == [b"before", b"after"]


def test_a_frozen_broker_answers_when_it_thaws() -> None:
    with EmbeddedKafka("orders") as kafka:
        kafka.publish("orders", "a")
        kafka.freeze()
        waiting = threading.Thread(target=kafka.publish, args=("orders", "b"))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()

        kafka.thaw()
        waiting.join()
        assert [each.value for each in kafka.messages("orders")] == [b"a", b"b"]


def test_old_messages_and_topics_can_go() -> None:
    with EmbeddedKafka("orders", "others") as kafka:
        kafka.publish("orders", "a", "b", "c")
        kafka.delete_records("orders", 2)
        kafka.delete_topic("others")

        assert [each.offset for each in kafka.messages("orders")] == [2]
        with pytest.raises(ValueError, match="Kafka has no topic others"):
            kafka.messages("others")


def test_each_is_a_kafka_of_its_own_and_starts_empty() -> None:
    kafka = EmbeddedKafka("orders")
    with kafka, EmbeddedKafka("orders") as other:
        kafka.publish("orders", "a")
        assert other.messages("orders") == []
        assert other.bootstrap_servers != kafka.bootstrap_servers

    with kafka:
        assert kafka.messages("orders") == []


def test_what_cannot_be_done_is_told() -> None:
    kafka = EmbeddedKafka("orders")
    with pytest.raises(RuntimeError, match="Kafka is not running: start it"):
        kafka.publish("orders", "a")
    kafka.stop()
    with kafka:
        with pytest.raises(ValueError, match=r"refuses topic create: .*already exists"):
            kafka.create_topic("orders")
        with pytest.raises(ValueError, match="refuses topic delete"):
            kafka.delete_topic("none")


def test_what_happens_to_its_owner_does_it_no_harm() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    try:
        with EmbeddedKafka("t") as kafka:
            os.kill(os.getpid(), signal.SIGUSR1)
            kafka.publish("t", b"one")
            os.seteuid(os.geteuid())  # the C library interrupts all threads for it
            kafka.publish("t", b"two")
            assert [each.value for each in kafka.messages("t")] == [b"one", b"two"]
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]


def test_a_process_that_is_gone_is_told() -> None:
    kafka = EmbeddedKafka("t").start()
    os.kill(kafka.pid, signal.SIGKILL)

    with pytest.raises(RuntimeError, match=r"kafka_process has ended: .* ended with -9"):
        kafka.create_topic("other")
    with pytest.raises(SettingsError, match="ended with -9"):
        kafka.stop()
    with kafka:
        kafka.create_topic("other")
