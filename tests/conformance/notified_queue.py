"""A queue of notifications on a real server, and a sensor that reads it in a test."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # boto3 has no types

from eventmill.arn import Home
from eventmill.errors import LogUnavailable
from eventmill.ports import Delivery
from eventmill.runtime.clock import SystemClock
from eventmill.sensors.s3.notified import S3QueueSensor
from eventmill.triggers.s3 import S3QueueSource

BUCKET = "data"
REGION = "us-east-1"
_numbers = count()


class QueueWorld:
    """A queue and a bucket, as their owner sees them."""

    def __init__(self, endpoint: str, **attributes: str) -> None:
        where: dict[str, Any] = {"endpoint_url": endpoint, "region_name": REGION}
        self._where = where
        self.sqs = boto3.client("sqs", **where)
        self.s3 = boto3.client("s3", **where)
        self.s3.create_bucket(Bucket=BUCKET)
        self.url, self.arn = self.make_queue(**attributes)

    def make_queue(self, **attributes: str) -> tuple[str, str]:
        name = f"notifications-{next(_numbers)}"
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:123456789012:{name}"

    def notify(self) -> None:
        """Have the bucket send records to the queue."""
        self._configure(
            QueueConfigurations=[
                {"QueueArn": self.arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
            ]
        )

    def notify_by_topic(self) -> None:
        """Have the bucket send records to a topic, and that to the queue."""
        sns = boto3.client("sns", **self._where)
        topic = sns.create_topic(Name="topic")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn)
        sns.close()
        self._configure(TopicConfigurations=[{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}])

    def notify_by_bridge(self) -> None:
        """Have the bucket send events to EventBridge, and that to the queue."""
        bridge = boto3.client("events", **self._where)
        bridge.put_rule(Name="rule", EventPattern='{"source": ["aws.s3"]}')
        bridge.put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": self.arn}])
        bridge.close()
        self._configure(EventBridgeConfiguration={})

    def put(self, key: str, body: bytes = b"hello") -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def send(self, content: Any) -> None:
        body = content if isinstance(content, str) else json.dumps(content)
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def counts(self) -> tuple[int, int]:
        """How many messages are there to be received, and how many somebody works on."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        told = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[*names])
        return int(told["Attributes"][names[0]]), int(told["Attributes"][names[1]])

    def source(self, **fields: Any) -> S3QueueSource:
        return S3QueueSource(queue_url=self.url, **fields)

    def close(self) -> None:
        self.sqs.close()
        self.s3.close()

    def _configure(self, **configuration: Any) -> None:
        self.s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration=configuration
        )


def created(key: str, sequencer: str = "1") -> dict[str, Any]:
    """A notification with one record, as S3 writes it."""
    return {
        "Records": [
            {
                "eventVersion": "2.5",
                "eventSource": "aws:s3",
                "awsRegion": REGION,
                "eventTime": "2026-11-25T01:02:03.004Z",
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": BUCKET},
                    "object": {"key": key, "size": 5, "eTag": "e", "sequencer": sequencer},
                },
            }
        ]
    }


class Inbox:
    """Takes deliveries as the event log does: each id once."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.again = 0
        self.in_flight = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self._changed.set()

    async def publish(self, deliveries: Sequence[Delivery]) -> None:
        self.in_flight += len(deliveries)
        self._changed.set()
        try:
            await self.open.wait()
            if self.fails:
                raise LogUnavailable("the disk is full")
        finally:
            self.in_flight -= len(deliveries)
            self._changed.set()
        for delivery in deliveries:
            if any(each.event.id == delivery.event.id for each in self.deliveries):
                self.again += 1
            else:
                self.deliveries.append(delivery)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def told(self) -> list[tuple[str, str]]:
        """The detail types with the keys, or with the reasons of what was rejected."""
        return [_told(each) for each in self.deliveries]


def _told(delivery: Delivery) -> tuple[str, str]:
    detail = delivery.event.detail
    told = detail.get("object")
    return delivery.event.detail_type, str(
        told["key"] if isinstance(told, dict) else detail["reason"]
    )


@asynccontextmanager
async def reading(source: S3QueueSource, inbox: Inbox) -> AsyncIterator["asyncio.Task[None]"]:
    """A sensor that reads the queue by the real clock; leaving it stops the sensor."""
    sensor = S3QueueSensor(source, home=Home(), clock=SystemClock())
    async with asyncio.timeout(30):
        running = asyncio.create_task(sensor.run(inbox.publish, {}))
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.wait({running})


async def empties(world: QueueWorld) -> None:
    """Wait until nothing is left in the queue."""
    await has(world, (0, 0))


async def has(world: QueueWorld, counts: tuple[int, int]) -> None:
    """Wait until `world.counts()` says so."""
    while True:
        if await asyncio.to_thread(world.counts) == counts:
            return
        await asyncio.sleep(0.01)


class Wire:
    """What a client has to go through to reach a server; it can be cut, and mended."""

    def __init__(self, endpoint: str) -> None:
        self._to = urlsplit(endpoint)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in tuple(self._ends):
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._ends |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))
        except* ConnectionError:
            pass
        finally:
            self._ends -= {writer, back}
            for end in (writer, back):
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    raise ConnectionResetError
