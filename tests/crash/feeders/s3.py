"""Objects of S3: told by a queue of notifications, or found by listing a bucket."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # boto3 has no types

from eventmill.events import TriggerEvent
from eventmill.sensors.s3.notified import REJECTED
from tests.conformance.notified_queue import BUCKET, REGION, QueueWorld, created
from tests.conformance.object_stores import s3_server

_BATCH = 10  # SQS's
_MESSAGES = 1_000
# What boto3 looks for; the server under test is a process of its own.
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
}


class Notifications:
    """Each event is a record in a message in a queue.

    Of each part the first event is one that the bucket itself sends, the second one a message that
    cannot be understood, and some messages come twice.
    """

    environment: Mapping[str, str] = _CREDENTIALS

    def __init__(self, endpoint: str, events: int) -> None:
        # The server searches the whole queue for each message.
        self._records = max(1, events // _MESSAGES)
        self._world = QueueWorld(endpoint)
        self._world.notify()
        # What a killed server was working on comes again after this, which its clock passes twenty
        # times as fast: it extends that as much more often, and many messages that are extended so
        # leave the queue no time for anything else.
        visibility = 2 if events < _MESSAGES else 10
        self.sources: Sequence[Mapping[str, Any]] = (
            {"Type": "s3", "QueueUrl": self._world.url, "VisibilityTimeout": visibility},
        )

    def feed(self, numbers: range) -> None:
        for number in numbers[:1]:
            self._world.put(f"{number}.csv")
        for number in numbers[1:2]:
            self._world.send(f"poison {number}")
        bodies = [
            _body(numbers[first : first + self._records])
            for first in range(2, len(numbers), self._records)
        ]
        bodies += bodies[:_BATCH]
        for first in range(0, len(bodies), _BATCH):
            entries = [
                {"Id": str(index), "MessageBody": body}
                for index, body in enumerate(bodies[first : first + _BATCH])
            ]
            self._world.sqs.send_message_batch(QueueUrl=self._world.url, Entries=entries)

    def number(self, event: TriggerEvent) -> int:
        if event.detail_type == REJECTED:
            return int(b64decode(str(event.detail["body"])).removeprefix(b"poison "))
        return _number(event)

    def close(self) -> None:
        self._world.close()


def _body(numbers: range) -> str:
    records = [created(f"{each}.csv", f"{each + 1:X}")["Records"][0] for each in numbers]
    return json.dumps({"Records": records})


class Objects:
    """Each event is an object that is put into a bucket."""

    environment: Mapping[str, str] = _CREDENTIALS

    def __init__(self, endpoint: str) -> None:
        self._s3 = boto3.client("s3", endpoint_url=endpoint, region_name=REGION)
        self._s3.create_bucket(Bucket=BUCKET)
        self.sources: Sequence[Mapping[str, Any]] = (
            {"Type": "s3", "Bucket": BUCKET, "EndpointUrl": endpoint, "ScanSeconds": 5},
        )

    def feed(self, numbers: range) -> None:
        for number in numbers:
            self._s3.put_object(Bucket=BUCKET, Key=f"{number}.csv", Body=b"x")

    def number(self, event: TriggerEvent) -> int:
        return _number(event)

    def close(self) -> None:
        self._s3.close()


def _number(event: TriggerEvent) -> int:
    told = event.detail["object"]
    assert isinstance(told, dict)
    return int(str(told["key"]).removesuffix(".csv"))


@contextmanager
def notifications(project: Path, events: int) -> Iterator[Notifications]:
    with s3_server() as endpoint, closing(Notifications(endpoint, events)) as feeder:
        yield feeder


@contextmanager
def objects(project: Path, events: int) -> Iterator[Objects]:
    with s3_server() as endpoint, closing(Objects(endpoint)) as feeder:
        yield feeder
