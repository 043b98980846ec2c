"""Where reading begins and goes on, and what is remembered of it."""

import pytest

from eventmill.ports import Delivery
from tests.kafka.apache import ApacheBroker
from tests.kafka.conftest import Broker, new_topic
from tests.kafka.reading import Log, Producer, at, commit, committed, producing, reading


async def test_reading_goes_on_where_our_own_log_is_whatever_the_group_says(
    broker: Broker, topic: str, producer: Producer
) -> None:
    await producer.send(topic, b"0", b"1", b"2", b"3")
    group = {"consumer_group_id": f"group-{topic}", "assignment": "all"}
    async with reading(broker.address, Log(), topics=(topic,), **group) as run:
        await run.log.has(4)
    assert await committed(broker.address, f"group-{topic}", topic) == 4
    behind = Log({"began": b"1", f"{topic}/0": b"2"})

    async with reading(broker.address, behind, topics=(topic,), **group):
        await behind.has(2)

    assert behind.values() == [2, 3]


async def test_without_a_memory_reading_goes_on_where_the_group_is(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"0", b"1", b"2")
    await commit(broker.address, f"group-{topic}", {at(topic): 2})

    async with reading(
        broker.address,
        log,
        topics=(topic,),
        consumer_group_id=f"group-{topic}",
        assignment="all",
    ):
        await log.has(1)

    assert log.values() == [2]


async def test_each_event_carries_how_far_its_own_partition_was_read(
    broker: Broker, producer: Producer, log: Log
) -> None:
    topic = await new_topic(broker, 3)
    await producer.send_many(topic, [b"%d" % number for number in range(30)], 3)

    async with reading(broker.address, log, topics=(topic,), max_poll_records=7):
        await log.has(30)

    for each in log.deliveries:
        detail = each.event.detail
        assert isinstance(detail["offset"], int)
        assert each.state == {f"{topic}/{detail['partition']}": b"%d" % (detail["offset"] + 1)}
    for partition in range(3):
        values = [
            each.event.detail["value"]
            for each in log.deliveries
            if each.event.detail["partition"] == partition
        ]
        assert values == list(range(partition, 30, 3))


async def test_latest_begins_at_the_end_and_stays_there_while_the_server_is_down(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"0")
    async with reading(broker.address, log, topics=(topic,), starting_position="latest") as run:
        await run.began()
    await producer.send(topic, b"1")

    async with reading(broker.address, log, topics=(topic,), starting_position="latest"):
        await log.has(1)

    assert log.values() == [1]


async def test_a_topic_made_after_the_first_look_is_read_from_its_beginning(
    broker: Broker, topic: str, log: Log
) -> None:
    late = f"late-{topic}"
    source = {
        "topics": (topic, late),
        "starting_position": "latest",
        "metadata_seconds": 0.5,
    }
    async with reading(broker.address, log, **source) as run, producing(broker.address) as producer:
        await run.began()
        await broker.create_topic(late, 1)
        await producer.send(late, b"0", b"1")
        await log.has(2)

    assert log.values() == [0, 1]


@pytest.mark.parametrize("assignment", ["all", "group"])
async def test_a_partition_added_later_is_read_from_its_beginning(
    real_broker: ApacheBroker, topic: str, log: Log, assignment: str
) -> None:
    fields = {
        "topics": (topic,),
        "starting_position": "latest",
        "consumer_group_id": f"group-{topic}",
        "assignment": assignment,
    }
    async with reading(real_broker.address, log, **fields) as run:
        await run.began()
        await real_broker.add_partitions(topic, 2)
        async with producing(real_broker.address) as producer:
            await producer.send(topic, b"0", b"1", partition=1)
        await log.has(2)

    assert log.values() == [0, 1]
    assert log.state[f"{topic}/1"] == b"2"


async def test_patterns_and_names_together_choose_the_topics(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    names = [f"{topic}.{name}" for name in ("a", "b", "other")]
    for name in names:
        await broker.create_topic(name, 1)
        await producer.send(name, b'"%s"' % name.encode())
    await producer.send(topic, b"0")

    patterns = (rf"{topic}\.[ab]",)
    async with reading(broker.address, log, topics=(topic,), topic_patterns=patterns):
        await log.has(3)

    assert set(log.values()) == {0, names[0], names[1]}


async def test_a_topic_that_does_not_exist_is_waited_for(broker: Broker, log: Log) -> None:
    async with reading(broker.address, log, topics=("nobody.made.this",)) as run:
        assert await run.failed() == "SensorError: there is no topic nobody.made.this yet"


async def test_one_that_is_missing_beside_others_is_told_once(
    broker: Broker, topic: str, producer: Producer, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    source = {"topics": (topic, "nobody.made.this"), "metadata_seconds": 0.1}
    await producer.send(topic, b"0")
    async with reading(broker.address, log, **source):
        await log.has(1)
        await producer.send(topic, b"1")
        await log.has(2)

    assert caplog.text.count("there is no topic nobody.made.this yet") == 1


async def test_what_was_published_but_not_remembered_is_dropped_as_a_duplicate(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"0", b"1", b"2")
    async with reading(broker.address, log, topics=(topic,)):
        await log.has(3)
    log.state[f"{topic}/0"] = b"1"
    await producer.send(topic, b"3")

    async with reading(broker.address, log, topics=(topic,)):
        await log.has(4)

    assert (log.values(), log.repeated) == ([0, 1, 2, 3], 2)
    assert log.state[f"{topic}/0"] == b"4"


async def test_what_the_log_refused_is_read_again(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"0", b"1")
    async with reading(broker.address, log, topics=(topic,)) as run:
        await log.has(2)
        log.fails = True
        await producer.send(topic, b"2", b"3")
        assert await run.failed() == "LogUnavailable: the disk is full"
    assert log.state[f"{topic}/0"] == b"2"
    log.fails = False

    async with reading(broker.address, log, topics=(topic,)):
        await log.has(4)

    assert log.values() == [0, 1, 2, 3]


async def test_no_more_is_fetched_while_publishing_waits(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    log.open.clear()
    await producer.send_many(topic, [b"%d" % number for number in range(300)], 1)

    async with reading(broker.address, log, topics=(topic,), max_poll_records=50) as run:
        await log.until(lambda: log.in_flight == 50)
        assert run.sensor.lag == {(topic, 0): 300}
        log.open.set()
        await log.has(300)
        log.open.clear()
        await producer.send(topic, b"300")
        await log.until(lambda: log.in_flight == 1)
        assert run.sensor.lag == {(topic, 0): 1}
        log.open.set()
    assert log.values()[:300] == list(range(300))
    assert run.sensor.lag == {}


async def test_messages_that_were_deleted_unread_are_told(
    broker: Broker, topic: str, producer: Producer
) -> None:
    await producer.send(topic, *[b"%d" % number for number in range(10)])
    await broker.delete_records(topic, 5)
    log = Log({"began": b"1", f"{topic}/0": b"1"})

    async with reading(broker.address, log, topics=(topic,)):
        deliveries = await log.has(6)

    assert told(deliveries[0]) == ("Kafka Offsets Reset", 1, 5)
    assert deliveries[0].event.detail["reason"] == (
        "the brokers have deleted messages that were not read"
    )
    assert [each.event.detail["value"] for each in deliveries[1:]] == [5, 6, 7, 8, 9]


async def test_a_topic_that_was_made_anew_is_read_anew(
    broker: Broker, topic: str, log: Log
) -> None:
    async with producing(broker.address) as producer:
        await producer.send(topic, b"0", b"1", b"2")
        async with reading(broker.address, log, topics=(topic,)):
            await log.has(3)
    await broker.delete_topic(topic)
    await broker.create_topic(topic, 1)
    async with producing(broker.address) as producer:
        await producer.send(topic, b"10", b"11")

    async with reading(broker.address, log, topics=(topic,)):
        deliveries = await log.has(6)

    assert told(deliveries[3]) == ("Kafka Offsets Reset", 3, 0)
    assert "made anew" in str(deliveries[3].event.detail["reason"])
    assert [each.event.detail["value"] for each in deliveries[4:]] == [10, 11]
    assert log.state[f"{topic}/0"] == b"2 1"


def told(delivery: Delivery) -> tuple[str, object, object]:
    event = delivery.event
    return event.detail_type, event.detail["expected-offset"], event.detail["next-offset"]


async def test_a_time_to_begin_at(
    real_broker: ApacheBroker, topic: str, producer: Producer, log: Log
) -> None:
    for second in range(4):
        await producer.send(topic, b"%d" % second, timestamp_ms=1_700_000_000_000 + second * 1_000)

    position = 1_700_000_001_500
    async with reading(real_broker.address, log, topics=(topic,), starting_position=position):
        await log.has(2)

    assert log.values() == [2, 3]


async def test_what_a_transaction_did_not_commit_is_not_read(
    real_broker: ApacheBroker, topic: str, log: Log
) -> None:
    async with producing(real_broker.address, transactional_id=f"tx-{topic}") as producer:
        transaction = producer.transactions
        for value, commits in ((b"0", True), (b"1", False), (b"2", True)):
            await transaction.begin_transaction()
            await producer.send(topic, value)
            await (transaction.commit_transaction() if commits else transaction.abort_transaction())

    async with reading(real_broker.address, log, topics=(topic,)):
        await log.has(2)

    assert log.values() == [0, 2]
