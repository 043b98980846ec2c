"""A queue of SQS, called by boto3 in threads; credentials are found where boto3 looks for them."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import (  # type: ignore[import-untyped]  # botocore has no types
    BotoCoreError,
    ClientError,
)

from eventmill.errors import SensorError
from eventmill.sensors.s3.notifications import Message
from eventmill.triggers.s3 import S3QueueSource

_T = TypeVar("_T")

BATCH_MAX: Final = 10  # SQS's, for messages in one call
WAIT_SECONDS: Final = 20  # the longest poll that SQS knows
_READ_SECONDS: Final = WAIT_SECONDS + 10
_CONNECT_SECONDS: Final = 10
_CALLS_MAX: Final = 4

# The hosts that boto3 finds by itself; those of VPC, FIPS and dual-stack endpoints it does not.
_USUAL_HOST: Final = re.compile(
    r"(?:queue|sqs\.[a-z0-9-]+|[a-z0-9-]+\.queue)\.amazonaws\.com(?:\.cn)?"
)
_REGION: Final = re.compile(
    r"(?:^|\.)([a-z]{2}(?:-[a-z]+)+-[0-9])\.(?:[a-z]+\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$"
)
_OLDEST_HOST: Final = "queue.amazonaws.com"  # us-east-1's, before hosts had regions


class Queue:
    """One queue. Open it with `Queue.open`; every call raises `SensorError` when it fails."""

    def __init__(self, url: str, client: Any, threads: ThreadPoolExecutor) -> None:
        """Use `Queue.open`."""
        self.url = url
        self._client = client
        self._threads = threads

    @classmethod
    @asynccontextmanager
    async def open(cls, source: S3QueueSource) -> AsyncIterator[Self]:
        """The queue of a source.

        Raises:
            SensorError: The URL or the endpoint is no URL that boto3 takes.
        """
        threads = ThreadPoolExecutor(_CALLS_MAX, thread_name_prefix="sqs")
        try:
            connect = partial(_connect, source)
            client = await asyncio.get_running_loop().run_in_executor(threads, connect)
            try:
                yield cls(source.queue_url, client, threads)
            finally:
                client.close()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def receive(self, visibility_seconds: int) -> list[Message]:
        """Wait for messages, up to `WAIT_SECONDS`; nobody else gets them for so many seconds.

        Who is cancelled gives back what comes after that.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Message]] = loop.create_future()

        def settle(outcome: list[Message] | SensorError) -> None:
            if isinstance(outcome, SensorError):
                if not answer.done():
                    answer.set_exception(outcome)
            elif not answer.done():
                answer.set_result(outcome)
            elif outcome:
                _in_own_thread(partial(self._give_back, outcome))

        def poll() -> None:
            outcome: list[Message] | SensorError = SensorError("the poll of the queue has failed")
            try:
                with _translated(self.url):
                    outcome = self._receive(visibility_seconds)
            except SensorError as error:
                outcome = error
            finally:
                try:
                    loop.call_soon_threadsafe(settle, outcome)
                except RuntimeError:  # The loop is closed, so nobody waits any more.
                    self._give_back(outcome if isinstance(outcome, list) else [])

        _in_own_thread(poll)
        return await answer

    async def extend(self, messages: Sequence[Message], visibility_seconds: int) -> list[str]:
        """Keep up to `BATCH_MAX` messages from others for so many seconds more, from now on.

        Returns what SQS said about those for which that failed.
        """
        entries = [
            {**_entry(number, each), "VisibilityTimeout": visibility_seconds}
            for number, each in enumerate(messages)
        ]
        change = self._client.change_message_visibility_batch
        answer = await self._call(partial(change, QueueUrl=self.url, Entries=entries))
        return [str(each.get("Message", each["Code"])) for each in answer.get("Failed", ())]

    async def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete up to `BATCH_MAX` messages; returns those that are still there."""
        entries = [_entry(number, each) for number, each in enumerate(messages)]
        delete = self._client.delete_message_batch
        answer = await self._call(partial(delete, QueueUrl=self.url, Entries=entries))
        return [messages[int(each["Id"])] for each in answer.get("Failed", ())]

    def _receive(self, visibility_seconds: int) -> list[Message]:
        answer = self._client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=BATCH_MAX,
            WaitTimeSeconds=WAIT_SECONDS,
            VisibilityTimeout=visibility_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [_message(each) for each in answer.get("Messages", ())]

    def _give_back(self, messages: Sequence[Message]) -> None:
        entries = [
            {**_entry(number, each), "VisibilityTimeout": 0} for number, each in enumerate(messages)
        ]
        # Whatever this comes to, they are there again after their time.
        with suppress(ClientError, BotoCoreError, OSError):
            if entries:
                self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
        self._client.close()

    async def _call(self, call: Callable[[], _T]) -> _T:
        def guarded() -> _T:
            with _translated(self.url):
                return call()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)


def _in_own_thread(work: Callable[[], None]) -> None:
    # Nothing waits for such a thread, so a poll keeps no server from stopping.
    threading.Thread(target=work, name="sqs-poll", daemon=True).start()


def _entry(number: int, message: Message) -> dict[str, Any]:
    return {"Id": str(number), "ReceiptHandle": message.receipt}


def _message(told: dict[str, Any]) -> Message:
    attributes = told.get("Attributes", {})
    return Message(
        id=told["MessageId"],
        body=told["Body"],
        receipt=told["ReceiptHandle"],
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
        sent_ms=int(attributes.get("SentTimestamp", 0)),
    )


def _connect(source: S3QueueSource) -> Any:
    # boto3 takes a fifth of a second to import: only who uses it pays for it.
    boto3, config = import_module("boto3"), import_module("botocore.config")
    endpoint, region = whereabouts(source)
    settings = config.Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CALLS_MAX + 1,
        # The supervisor tries again, and says so.
        retries={"mode": "standard", "max_attempts": 2},
    )
    with _translated(source.queue_url):
        session = boto3.session.Session(region_name=region)
        if endpoint and session.region_name is None:
            session = boto3.session.Session(region_name="us-east-1")
        try:
            return session.client("sqs", endpoint_url=endpoint, config=settings)
        except ValueError as error:
            raise SensorError(f"the queue {source.queue_url}: {error}") from error


def whereabouts(source: S3QueueSource) -> tuple[str | None, str | None]:
    """The endpoint and the region, as far as they follow from the source."""
    url = urlsplit(source.queue_url)
    host = url.hostname or ""
    is_usual = _USUAL_HOST.fullmatch(host) is not None
    endpoint = source.endpoint_url or (None if is_usual else f"{url.scheme}://{url.netloc}")
    found = _REGION.search(host)
    region = found[1] if found else "us-east-1" if host == _OLDEST_HOST else None
    return endpoint, source.region or region


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what boto3 raises into errors of the sensor, which carry AWS's own text."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        what = told.get("Message") or told.get("Code", "it refuses")
        raise SensorError(f"the queue {url}: {what}") from error
    except (BotoCoreError, OSError) as error:
        raise SensorError(f"the queue {url}: {error}") from error
