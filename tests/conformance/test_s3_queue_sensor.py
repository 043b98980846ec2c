"""The sensor of a queue of S3's notifications, on a server that speaks AWS's protocols."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from eventmill.errors import LogUnavailable, SensorError
from eventmill.ports import Delivery
from eventmill.sensors.s3.notifications import Message
from eventmill.sensors.s3.queue import Queue, whereabouts
from eventmill.triggers.s3 import S3QueueSource
from tests.conformance.notified_queue import (
    BUCKET,
    Inbox,
    QueueWorld,
    created,
    empties,
    has,
    reading,
)
from tests.conformance.object_stores import S3World


@pytest.fixture
def world(s3: S3World) -> Iterator[QueueWorld]:
    world = QueueWorld(s3.endpoint)
    yield world
    world.close()


async def test_tells_what_the_bucket_sends_to_the_queue(world: QueueWorld) -> None:
    inbox = Inbox()
    world.notify()
    async with reading(world.source(), inbox):
        world.put("in/day 1/a+b é.csv")
        await inbox.until(lambda: len(inbox.deliveries) == 1)
        await empties(world)

    event = inbox.deliveries[0].event
    assert event.envelope() == {
        "version": "0",
        "id": event.id,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": event.envelope()["time"],
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::data"],
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {
                "key": "in/day 1/a+b é.csv",
                "size": 5,
                "etag": "5d41402abc4b2a76b9719d911017c592",
            },
            "reason": "PutObject",
        },
    }


async def test_tells_what_the_bucket_sends_by_eventbridge(world: QueueWorld) -> None:
    inbox = Inbox()
    world.notify_by_bridge()
    async with reading(world.source(), inbox):
        world.put("in/a+b é.csv")
        world.s3.delete_object(Bucket=BUCKET, Key="in/a+b é.csv")
        wanted = {("Object Created", "in/a+b é.csv"), ("Object Deleted", "in/a+b é.csv")}
        await inbox.until(lambda: wanted <= set(inbox.told()))
        await empties(world)

    (event,) = (each.event for each in inbox.deliveries if "Created" in each.event.detail_type)
    assert event.detail["object"] == {
        "key": "in/a+b é.csv",
        "size": 5,
        "etag": "5d41402abc4b2a76b9719d911017c592",
        "sequencer": "617f08299329d189",
    }
    assert event.account == "123456789012"


async def test_tells_what_the_bucket_sends_by_a_topic(world: QueueWorld) -> None:
    inbox = Inbox()
    world.notify_by_topic()
    async with reading(world.source(), inbox):
        world.put("in/a+b é.csv")
        await inbox.until(lambda: inbox.told() == [("Object Created", "in/a+b é.csv")])
        await empties(world)


async def test_test_events_are_deleted_and_told_to_nobody(world: QueueWorld) -> None:
    inbox = Inbox()
    world.notify()  # sends one
    async with reading(world.source(), inbox):
        await empties(world)
        world.send(created("last"))
        await inbox.until(lambda: len(inbox.deliveries) == 1)

    assert inbox.told() == [("Object Created", "last")]


async def test_what_is_sent_twice_is_told_once(world: QueueWorld) -> None:
    inbox = Inbox()
    for _ in range(3):
        world.send(created("a.csv"))
    world.send(created("a.csv", sequencer="2"))
    async with reading(world.source(), inbox):
        await empties(world)

    assert inbox.told() == [("Object Created", "a.csv")] * 2
    assert inbox.again == 2


async def test_many_messages_are_told_and_deleted_in_tens(world: QueueWorld) -> None:
    inbox = Inbox()
    for number in range(25):
        world.send(created(f"{number}.csv"))
    async with reading(world.source(), inbox):
        await empties(world)

    assert {key for _, key in inbox.told()} == {f"{number}.csv" for number in range(25)}


async def test_a_message_stays_until_what_it_tells_is_durable(world: QueueWorld) -> None:
    inbox = Inbox()
    inbox.open.clear()
    world.send(created("a.csv"))
    async with reading(world.source(), inbox):
        await inbox.until(lambda: inbox.in_flight == 1)
        assert world.counts() == (0, 1)
        inbox.open.set()
        await empties(world)


async def test_what_was_not_stored_comes_again(world: QueueWorld) -> None:
    inbox = Inbox()
    inbox.fails = True
    world.send(created("a.csv"))
    async with reading(world.source(visibility_seconds=1), inbox) as running:
        await asyncio.wait({running})
        assert isinstance(running.exception(), LogUnavailable)

    inbox.fails = False
    async with reading(world.source(), inbox):
        await inbox.until(lambda: inbox.told() == [("Object Created", "a.csv")])
        await empties(world)


async def test_nobody_else_gets_a_message_that_is_worked_on(world: QueueWorld) -> None:
    extended: list[int] = []
    inbox = Inbox()
    inbox.open.clear()
    world.send(created("a.csv"))

    class Counting(Queue):
        async def extend(self, messages: Sequence[Message], visibility_seconds: int) -> list[str]:
            failed = await super().extend(messages, visibility_seconds)
            extended.append(len(messages))
            inbox.changed()
            return failed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventmill.sensors.s3.notified.Queue", Counting)
        async with reading(world.source(visibility_seconds=1), inbox):
            # Three halves of a second: longer than it would be hidden without that.
            await inbox.until(lambda: len(extended) == 3)
            assert world.counts() == (0, 1)
            inbox.open.set()
            await empties(world)

    assert extended == [1, 1, 1]
    assert (len(inbox.deliveries), inbox.again) == (1, 0)


async def test_deletions_that_fail_are_tried_again(world: QueueWorld) -> None:
    inbox = Inbox()
    asked: list[int] = []
    for number in range(3):
        world.send(created(f"{number}.csv"))

    class Failing(Queue):
        async def delete(self, messages: Sequence[Message]) -> list[Message]:
            asked.append(len(messages))
            if len(messages) > 1:
                await super().delete(messages[:-1])
                return [messages[-1]]
            return await super().delete(messages)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventmill.sensors.s3.notified.Queue", Failing)
        async with reading(world.source(), inbox):
            await inbox.until(lambda: len(inbox.deliveries) == 3)
            await empties(world)

    assert asked == [3, 1]
    assert inbox.again == 0


async def test_poison_becomes_an_event_and_blocks_nothing(
    world: QueueWorld, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    world.send("poison")
    world.send(created("a.csv"))
    async with reading(world.source(), inbox):
        await empties(world)

    told = {each.event.source: each.event for each in inbox.deliveries}
    assert told.keys() == {"aws.s3", "eventmill.s3"}
    rejected = told["eventmill.s3"]
    assert rejected.detail_type == "S3 Message Rejected"
    assert b64decode(str(rejected.detail["body"])) == b"poison"
    assert rejected.detail["queue-url"] == world.url
    assert "is rejected: it is not JSON" in caplog.text


async def test_poison_is_not_deleted_before_its_event_is_durable(world: QueueWorld) -> None:
    inbox = Inbox()
    inbox.open.clear()
    world.send("poison")
    async with reading(world.source(), inbox):
        await inbox.until(lambda: inbox.in_flight == 1)
        assert world.counts() == (0, 1)
        inbox.open.set()
        await empties(world)


async def test_poison_can_be_left_to_the_redrive_policy_of_the_queue(s3: S3World) -> None:
    dead = QueueWorld(s3.endpoint)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    world = QueueWorld(s3.endpoint, RedrivePolicy=policy)
    inbox = Inbox()
    world.send("poison")
    async with reading(world.source(receives_max=100, visibility_seconds=1), inbox):
        await has(dead, (1, 0))
        await empties(world)

    assert inbox.deliveries == []
    for each in (dead, world):
        each.close()


async def test_who_stops_gives_back_what_comes_after_that(world: QueueWorld) -> None:
    inbox = Inbox()
    async with reading(world.source(visibility_seconds=600), inbox):
        world.send(created("a.csv"))
        await inbox.until(lambda: len(inbox.deliveries) == 1)
        await empties(world)
    # The poll is on its way still, and gets this.
    world.send(created("b.csv"))
    async with reading(world.source(), inbox):
        await inbox.until(lambda: len(inbox.deliveries) == 2)
        await empties(world)


async def test_a_queue_that_is_not_there_is_an_error_that_says_so(world: QueueWorld) -> None:
    missing = S3QueueSource(queue_url=f"{world.url}-none")
    async with reading(missing, Inbox()) as running:
        await asyncio.wait({running})

    error: Any = running.exception()
    assert isinstance(error, SensorError)
    assert str(error).startswith(f"the queue {missing.queue_url}: ")
    assert "does not exist" in str(error)


async def test_an_endpoint_that_is_none_is_an_error_that_names_the_queue() -> None:
    source = S3QueueSource(queue_url="http://localhost/q", endpoint_url="http://a b")
    async with reading(source, Inbox()) as running:
        await asyncio.wait({running})

    assert str(running.exception()) == "the queue http://localhost/q: Invalid endpoint: http://a b"


async def test_who_is_stopped_while_a_call_fails_is_stopped(world: QueueWorld) -> None:
    class Failing(Inbox):
        async def publish(self, deliveries: Sequence[Delivery]) -> None:
            try:
                await super().publish(deliveries)
            except asyncio.CancelledError:
                raise LogUnavailable("the disk is full") from None

    inbox = Failing()
    inbox.open.clear()
    world.send(created("a.csv"))
    async with reading(world.source(), inbox) as running:
        await inbox.until(lambda: inbox.in_flight == 1)
        running.cancel()
        await asyncio.wait({running})

    assert running.cancelled()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/1/q", (None, "eu-west-1")),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/q", (None, "us-gov-west-1")),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", (None, "cn-north-1")),
        ("https://eu-west-1.queue.amazonaws.com/1/q", (None, "eu-west-1")),
        ("https://queue.amazonaws.com/1/q", (None, "us-east-1")),
        (
            "https://sqs.eu-west-1.api.aws/1/q",
            ("https://sqs.eu-west-1.api.aws", "eu-west-1"),
        ),
        (
            "https://vpce-1-a.sqs.eu-west-1.vpce.amazonaws.com/1/q",
            ("https://vpce-1-a.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ),
        (
            "https://sqs-fips.us-east-2.amazonaws.com/1/q",
            ("https://sqs-fips.us-east-2.amazonaws.com", "us-east-2"),
        ),
        ("http://localhost:4566/1/q", ("http://localhost:4566", None)),
    ],
)
def test_endpoint_and_region_follow_from_the_url(
    url: str, told: tuple[str | None, str | None]
) -> None:
    assert whereabouts(S3QueueSource(queue_url=url)) == told


def test_what_the_source_says_counts_before_that() -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/1/q"
    source = S3QueueSource(queue_url=url, endpoint_url="http://localhost", region="eu-west-3")

    assert whereabouts(source) == ("http://localhost", "eu-west-3")


async def test_missing_credentials_are_an_error_that_says_so(
    world: QueueWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with reading(world.source(), Inbox()) as running:
        await asyncio.wait({running})

    assert str(running.exception()) == f"the queue {world.url}: Unable to locate credentials"
