"""Consumer groups: servers that share the partitions of a topic."""

import asyncio

import pytest

from eventmill.sensors.kafka.reading import Reading
from tests.kafka.apache import ApacheBroker
from tests.kafka.conftest import Broker, new_topic
from tests.kafka.reading import Log, Producer, at, commit, committed, reading


def offsets(log: Log) -> set[tuple[object, object]]:
    return {
        (each.event.detail["partition"], each.event.detail["offset"]) for each in log.deliveries
    }


async def test_a_group_of_one_reads_all_partitions_and_commits_them(
    broker: Broker, producer: Producer, log: Log
) -> None:
    topic = await new_topic(broker, 3)
    group = {"consumer_group_id": f"group-{topic}", "assignment": "group"}
    await producer.send_many(topic, [b"%d" % number for number in range(30)], 3)

    async with reading(broker.address, log, topics=(topic,), **group):
        await log.has(30)

    assert sorted(log.values()) == list(range(30))
    assert log.state == {"began": b"1"} | {f"{topic}/{number}": b"10" for number in range(3)}
    for partition in range(3):
        assert await committed(broker.address, f"group-{topic}", topic, partition) == 10


async def test_a_partition_goes_on_where_the_group_or_our_own_log_leads_further(
    broker: Broker, producer: Producer
) -> None:
    topic = await new_topic(broker, 2)
    group = {"consumer_group_id": f"group-{topic}", "assignment": "group"}
    await producer.send_many(topic, [b"%d" % number for number in range(16)], 2)
    await commit(broker.address, f"group-{topic}", {at(topic, 0): 5, at(topic, 1): 5})
    # Our own log is behind the group in one partition, and ahead of it in the other.
    log = Log({"began": b"1", f"{topic}/0": b"2", f"{topic}/1": b"7"})

    async with reading(broker.address, log, topics=(topic,), **group):
        await log.has(4)

    assert offsets(log) == {(0, 5), (0, 6), (0, 7), (1, 7)}


async def test_the_place_to_begin_at_is_the_groups_even_if_nothing_came(
    real_broker: ApacheBroker, topic: str, producer: Producer, log: Log
) -> None:
    group = {"consumer_group_id": f"group-{topic}", "assignment": "group"}
    await producer.send(topic, b"0")
    async with reading(
        real_broker.address, log, topics=(topic,), starting_position="latest", **group
    ) as run:
        await run.began()
    await producer.send(topic, b"1")
    other = Log()

    async with reading(
        real_broker.address, other, topics=(topic,), starting_position="latest", **group
    ):
        await other.has(1)

    assert other.values() == [1]


async def test_what_is_being_published_when_the_server_stops_is_the_groups_too(
    broker: Broker, topic: str, producer: Producer, log: Log
) -> None:
    group = {"consumer_group_id": f"group-{topic}", "assignment": "group"}
    await producer.send(topic, b"0")
    log.open.clear()
    async with reading(broker.address, log, topics=(topic,), **group) as run:
        await log.until(lambda: log.in_flight == 1)
        run.task.cancel()
        log.open.set()

    assert await committed(broker.address, f"group-{topic}", topic) == 1


async def test_two_servers_share_the_partitions_and_one_takes_over_when_the_other_leaves(
    real_broker: ApacheBroker, producer: Producer
) -> None:
    topic = await new_topic(real_broker, 4)
    group = {"consumer_group_id": f"group-{topic}", "assignment": "group"}
    first, second = Log(), Log()
    sent = 0

    async def send(messages: int) -> None:
        nonlocal sent
        await producer.send_many(
            topic, [b"%d" % number for number in range(sent, sent + messages)], 4
        )
        sent += messages

    def told() -> list[int]:
        return sorted([*first.values(), *second.values()])

    async with reading(real_broker.address, first, topics=(topic,), **group) as one:
        await send(40)
        await first.has(40)
        async with reading(real_broker.address, second, topics=(topic,), **group):
            # The second is given its share once the first has joined again.
            await second.until(lambda: len(second.state) > 1)
            await send(40)
            await second.until(lambda: len(second.deliveries) == 20)
            await first.has(60)
            await one.stop()
            await send(40)
            await second.until(lambda: len(second.deliveries) == 60)

    assert told() == list(range(120))
    assert (first.repeated, second.repeated) == (0, 0)


async def test_a_partition_that_moves_waits_for_what_is_being_published(
    real_broker: ApacheBroker, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await new_topic(real_broker, 2)
    group = {"consumer_group_id": f"group-{topic}", "assignment": "group"}
    first, second = Log(), Log()
    revoking = asyncio.Event()
    revoked = Reading.revoked

    async def heard(reading_: Reading) -> None:
        if reading_._places:  # so it is the first one
            revoking.set()
        await revoked(reading_)

    monkeypatch.setattr(Reading, "revoked", heard)
    first.open.clear()
    await producer.send_many(topic, [b"%d" % number for number in range(10)], 2)
    async with reading(real_broker.address, first, topics=(topic,), **group):
        await first.until(lambda: first.in_flight > 0)
        async with reading(real_broker.address, second, topics=(topic,), **group):
            await revoking.wait()
            assert not second.state
            await producer.send_many(topic, [b"%d" % number for number in range(10, 20)], 2)
            first.open.set()
            await second.until(lambda: len(second.deliveries) == 5)
            await first.has(15)

    assert sorted([*first.values(), *second.values()]) == list(range(20))
    assert (first.repeated, second.repeated) == (0, 0)
