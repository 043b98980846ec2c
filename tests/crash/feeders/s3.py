"""Objects of S3: told by a queue of notifications, or found by listing a bucket."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from eventmill.events import TriggerEvent
from eventmill.sensors.s3.notified import REJECTED
from eventmill.testing import MotoServer
from eventmill.testing.local import led_to
from tests.conformance.notified_queue import BUCKET, QueueWorld, created

_BATCH = 10  # SQS's
_WRITERS = 4
_MESSAGES = 2_500  # of more events several are in a message, as S3 may send them


class Notifications:
    """Each event is a record in a message in a queue.

    Of each part the first event is one that the bucket itself sends, the second one a message that
    cannot be understood, and some messages come twice.
    """

    def __init__(self, aws: MotoServer, events: int) -> None:
        self.environment = aws.environment
        self._records = max(1, events // _MESSAGES)
        self._world = QueueWorld(aws.endpoint)
        self._world.notify()
        # What a killed server was working on comes again after so many seconds of the real clock.
        self.sources: Sequence[Mapping[str, Any]] = (
            {"Type": "s3", "QueueUrl": self._world.url, "VisibilityTimeout": 2},
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

    def __init__(self, aws: MotoServer) -> None:
        self.environment = aws.environment
        self._s3 = aws.client("s3")
        self._s3.create_bucket(Bucket=BUCKET)
        self.sources: Sequence[Mapping[str, Any]] = (
            {"Type": "s3", "Bucket": BUCKET, "ScanSeconds": 5},
        )

    def feed(self, numbers: range) -> None:
        with ThreadPoolExecutor(_WRITERS) as writers:
            for _ in writers.map(self._put, numbers):
                pass  # but raise what went wrong

    def _put(self, number: int) -> None:
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
    with _aws() as aws, closing(Notifications(aws, events)) as feeder:
        yield feeder


@contextmanager
def objects(project: Path, events: int) -> Iterator[Objects]:
    with _aws() as aws, closing(Objects(aws)) as feeder:
        yield feeder


@contextmanager
def _aws() -> Iterator[MotoServer]:
    with MotoServer() as aws, led_to(aws.environment):
        yield aws
