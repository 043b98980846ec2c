"""Turns the messages of a queue into trigger events: what S3 says about objects.

A message is deleted when all that it tells is durable. If that fails, or the process dies in
between, SQS gives it again, and the ids of its events, which follow from what happened, are in the
inbox already. While it is worked on nobody else gets it.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.instant import format_instant
from eventmill.ports import Clock, Delivery, Publish
from eventmill.sensors.s3.notifications import Message, decode, event_id
from eventmill.sensors.s3.queue import Queue
from eventmill.triggers.s3 import S3QueueSource

_log: Final = logging.getLogger(__name__)

SOURCE: Final = "eventmill.s3"
REJECTED: Final = "S3 Message Rejected"

BATCHES_MAX: Final = 8
BODY_BYTES_MAX: Final = 131_072
REASONS_MAX: Final = 10
REASON_CHARACTERS_MAX: Final = 500
DELETIONS_MAX: Final = 5
DELETE_PAUSE_MS: Final = 200


class S3QueueSensor:
    """The `Sensor` of a queue that gets notifications of S3."""

    def __init__(self, source: S3QueueSource, *, home: Home, clock: Clock) -> None:
        self.source = source
        self.clock = clock
        self._home = home

    @property
    def name(self) -> str:
        """Which queue it is; two triggers with equal sources share it."""
        return self.source.name

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """Take messages until cancelled. It remembers nothing: what is not done is in the queue.

        Raises:
            SensorError: The queue is not there, refuses or cannot be reached.
        """
        try:
            async with Queue.open(self.source) as queue:
                await Intake(self, queue, publish).run()
        except ExceptionGroup as group:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from group
            # The tasks fail together; the first reason is the one to tell.
            raise group.exceptions[0] from None

    def events(self, message: Message) -> tuple[list[TriggerEvent], bool]:
        """What a message tells, and whether it is done with when that is durable."""
        decoded = decode(message)
        events = [change.event(self.name, self._home) for change in decoded.changes]
        if not decoded.misfits:
            return events, True
        if message.receives < self.source.receives_max:
            return events, False
        return [*events, self._rejected(message, decoded.misfits)], True

    def _rejected(self, message: Message, misfits: Sequence[str]) -> TriggerEvent:
        reason = "; ".join(each[:REASON_CHARACTERS_MAX] for each in misfits[:REASONS_MAX])
        if len(misfits) > REASONS_MAX:
            reason += f"; and {len(misfits) - REASONS_MAX:,} more"
        _log.warning("%s: the message %s is rejected: %s", self.name, message.id, reason)
        body = message.body.encode(errors="surrogatepass")
        return TriggerEvent(
            id=event_id(self.name, REJECTED, message.id),
            source=SOURCE,
            detail_type=REJECTED,
            at_ms=self.clock.now_ms(),
            account=self._home.account,
            region=self._home.region,
            resources=(self.source.queue_url,),
            detail={
                "queue-url": self.source.queue_url,
                "message-id": message.id,
                "sent": format_instant(message.sent_ms),
                "receive-count": message.receives,
                "reason": reason,
                "body": b64encode(body[:BODY_BYTES_MAX]).decode(),
                "body-size": len(body),
            },
        )


class Intake:
    """One run of a sensor: it receives while it works on the batches before."""

    def __init__(self, sensor: S3QueueSensor, queue: Queue, publish: Publish) -> None:
        self._sensor = sensor
        self._clock = sensor.clock
        self._queue = queue
        self._publish = publish
        self._visibility_seconds = sensor.source.visibility_seconds
        self._batches = asyncio.Semaphore(BATCHES_MAX)
        self._held: set[tuple[Message, ...]] = set()  # batches that are being worked on

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._extend_forever())
            while True:
                await self._batches.acquire()
                if batch := await self._queue.receive(self._visibility_seconds):
                    group.create_task(self._work_on(tuple(batch)))
                else:
                    self._batches.release()

    async def _work_on(self, batch: tuple[Message, ...]) -> None:
        self._held.add(batch)
        try:
            told = [(message, *self._sensor.events(message)) for message in batch]
            found = [event for _, events, _ in told for event in events]
            if found:
                await self._publish([Delivery(event=each, state={}) for each in found])
            await self._delete([message for message, _, is_done in told if is_done])
            point("after-acknowledge")
        finally:
            self._held.discard(batch)
            self._batches.release()

    async def _delete(self, messages: list[Message]) -> None:
        for attempt in range(DELETIONS_MAX):
            messages = await self._queue.delete(messages) if messages else []
            if not messages:
                return
            await self._clock.pause(DELETE_PAUSE_MS << attempt)
        _log.warning(
            "%s: %d messages cannot be deleted; they come again and start nothing",
            self._sensor.name,
            len(messages),
        )

    async def _extend_forever(self) -> None:
        while True:
            await self._clock.pause(self._visibility_seconds * 500)
            for batch in tuple(self._held):
                for reason in await self._queue.extend(batch, self._visibility_seconds):
                    if batch in self._held:  # Else it was deleted meanwhile.
                        _log.warning("%s: a message may come twice: %s", self._sensor.name, reason)
