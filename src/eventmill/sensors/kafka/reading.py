"""One run of a Kafka sensor: partitions found, messages read, published and committed."""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from eventmill.errors import EventmillError, SensorError
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.ports import Clock, Delivery, Publish, Pulse, Remember
from eventmill.sensors.kafka.dead_letters import DeadLetters
from eventmill.sensors.kafka.messages import REJECTED, SOURCE, Message, Messages
from eventmill.sensors.kafka.offsets import Partition, Place, key
from eventmill.sensors.kafka.starts import Memory
from eventmill.triggers.kafka import KafkaSource

_log: Final = logging.getLogger(__name__)

# Above this, messages are decoded in a thread, so that nobody waits for it in the loop.
IN_LOOP_BYTES_MAX: Final = 1024 * 1024

# So many events become durable in one transaction at most.
DELIVERIES_MAX: Final = 1_000

_POLL_MS: Final = 1_000
_STOP_SECONDS: Final = 5.0
# A server that publishes slowly is alive all the same, and says so by its heartbeats.
_MAX_POLL_INTERVAL_MS: Final = 86_400_000
_REBALANCE_MS: Final = 60_000
# How soon a server hears that another one has joined or left.
_HEARTBEAT_MS: Final = 1_000
_AGAIN_MS: Final = 100


class Reading:
    """Reads until cancelled, or until something is wrong."""

    def __init__(
        self,
        source: KafkaSource,
        client: Mapping[str, Any],
        messages: Messages,
        letters: DeadLetters,
        clock: Clock,
        pulse: Pulse,
        publish: Publish,
        remember: Remember,
        state: Mapping[str, bytes],
        *,
        fetch_wait_ms: int,
    ) -> None:
        """Take the parts; connections are made by `run`."""
        self._source = source
        self._messages = messages
        self._letters = letters
        self._clock = clock
        self._pulse = pulse
        self._publish = publish
        self._memory = Memory(source, state, remember)
        self._places: dict[Partition, Place] = {}  # of those that are read now
        self._committed: dict[Partition, int] = {}
        self._uncommitted = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()  # held while places change
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing: set[str] = set()
        self._metadata = AIOKafkaClient(**client)
        self._consumer = AIOKafkaConsumer(
            **client,
            group_id=source.consumer_group_id or None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=source.isolation_level,
            max_poll_records=source.max_poll_records,
            fetch_max_bytes=source.fetch_max_bytes,
            max_partition_fetch_bytes=min(source.fetch_max_bytes, 1024 * 1024),
            fetch_max_wait_ms=fetch_wait_ms,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            rebalance_timeout_ms=_REBALANCE_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
        )

    def lag(self) -> dict[tuple[str, int], int]:
        """How many offsets lie between what was read and the end, as far as the brokers told."""
        ends = {each: self._end(each) for each in self._places}
        return {
            (each.topic, each.number): max(0, end - self._places[each].offset)
            for each, end in ends.items()
            if end is not None
        }

    def _end(self, partition: Partition) -> int | None:
        topic_partition = TopicPartition(*partition)
        with suppress(IllegalStateError):  # it was just taken away
            end: int | None = self._consumer.highwater(topic_partition)
            return end
        return None

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            KafkaError: The brokers cannot be reached, or refuse.
            SensorError: None of the topics exists, or the schema registry cannot be asked.
        """
        try:
            await self._metadata.bootstrap()
            await self._consumer.start()
            if self._source.assignment == "group":
                self._consumer.subscribe(pattern=self._pattern(), listener=_Rebalance(self))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_metadata())
                group.create_task(self._read_forever())
                group.create_task(self._commit_forever())
                group.create_task(self._fail())
        except ExceptionGroup as group:
            # The tasks fail together; the first reason is the one to tell.
            raise group.exceptions[0] from None
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._taking is not None and not self._taking.done():
            await asyncio.wait({self._taking}, timeout=_STOP_SECONDS)
            self._taking.cancel()
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._commit()
        await self._close_consumer()
        await self._metadata.close()
        if self._failure.done() and not self._failure.cancelled():
            self._failure.exception()  # whoever could still be told has been

    async def _close_consumer(self) -> None:
        # In a task of its own, since it ends as cancelled when a request of it is being tried
        # again (aiokafka 0.14), and then it leaves its connections open.
        stopping = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
        if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
            stopping.cancel()
            await self._consumer._client.close()

    async def _fail(self) -> None:
        await self._failure

    def fail(self, error: Exception) -> None:
        """End the run with an error that came up where nobody waits."""
        if not self._failure.done():
            self._failure.set_exception(error)

    # Partitions

    def _pattern(self) -> str:
        names = [re.escape(topic) for topic in self._source.topics]
        patterns = [f"(?:{pattern})" for pattern in self._source.topic_patterns]
        return rf"(?:{'|'.join([*names, *patterns])})\Z"

    async def _follow_metadata(self) -> None:
        """Find new partitions, and notice brokers that do not answer."""
        while True:
            cluster = await self._metadata.fetch_all_metadata()
            topics = {topic for topic in cluster.topics() if self._source.takes(topic)}
            self._tell_missing(topics)
            if self._source.assignment == "all":
                await self._take_all(
                    {
                        Partition(topic, number)
                        for topic in topics
                        for number in cluster.partitions_for_topic(topic) or ()
                    }
                )
            await self._clock.pause(round(self._source.metadata_seconds * 1000))

    def _tell_missing(self, topics: set[str]) -> None:
        missing = set(self._source.topics) - topics
        if missing and not topics and not self._source.topic_patterns:
            raise SensorError(f"there is no topic {', '.join(sorted(missing))} yet")
        for topic in sorted(missing - self._missing):
            _log.warning("sensor %s: there is no topic %s yet", self._source.name, topic)
        self._missing = missing

    async def _take_all(self, partitions: set[Partition]) -> None:
        if partitions == self._places.keys():
            return
        async with self._busy:
            fresh = sorted(partitions - self._places.keys())
            starts = await self._memory.starts(self._consumer, fresh)
            self._consumer.assign([TopicPartition(*each) for each in partitions])
            kept = {each: at for each, at in self._places.items() if each in partitions}
            self._begin(kept | starts.places)

    def _begin(self, places: dict[Partition, Place]) -> None:
        self._places = places
        for partition, place in places.items():
            self._consumer.seek(TopicPartition(*partition), place.offset)
        self._uncommitted.set()

    async def assigned(self, partitions: Iterable[Partition]) -> None:
        """The group has given us these partitions, and no others."""
        async with self._busy:
            starts = await self._memory.starts(self._consumer, sorted(partitions))
            self._begin(starts.places)
            # So that whoever gets them next begins where we did, even if nothing comes.
            self._committed.clear()

    async def revoked(self) -> None:
        """The group takes all partitions back: once all that was read of them is durable."""
        async with self._busy:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._commit()
            self._places = {}

    # Messages

    async def _read_forever(self) -> None:
        while True:
            self._pulse.until(self._clock.steady_ms() + _POLL_MS)
            try:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except OffsetOutOfRangeError as error:
                for partition, offset in error.args[0].items():
                    await self._out_of_range(Partition(*partition), offset)
            except NoOffsetForPartitionError:
                # The group has assigned a partition, and where to begin is not known yet.
                await self._clock.pause(_AGAIN_MS)
            else:
                news = await self._decoded(fetched)
                if news:
                    # These were fetched and decoded while those before were on their way into
                    # our log; they follow when those are durable. Who is cancelled meanwhile
                    # still sees it through, in `_stop`: the group would not be told otherwise.
                    if self._taking is not None:
                        await asyncio.shield(self._taking)
                    self._taking = asyncio.ensure_future(self._take(news))
                    self._taking.add_done_callback(self._taken)

    def _taken(self, taking: "asyncio.Task[None]") -> None:
        error = None if taking.cancelled() else taking.exception()
        if isinstance(error, Exception):
            self.fail(error)

    async def _decoded(
        self, fetched: Mapping[TopicPartition, Sequence[Message]]
    ) -> list[tuple[Message, TriggerEvent, int]]:
        """The events of messages in partitions that are ours, with the lives of these."""
        batches = [
            (messages, place.life)
            for topic_partition, messages in fetched.items()
            if (place := self._places.get(Partition(*topic_partition))) is not None
        ]
        await self._messages.prepare([each for messages, _ in batches for each in messages])

        def decode() -> list[tuple[Message, TriggerEvent, int]]:
            return [
                (message, self._messages.event(message, life), life)
                for messages, life in batches
                for message in messages
            ]

        size = sum(
            len(each.value or b"") + len(each.key or b"")
            for messages, _ in batches
            for each in messages
        )
        return await asyncio.to_thread(decode) if size > IN_LOOP_BYTES_MAX else decode()

    async def _take(self, news: Sequence[tuple[Message, TriggerEvent, int]]) -> None:
        """Publish what was not read yet, of partitions that are still ours."""
        async with self._busy:
            deliveries = []
            places: dict[Partition, Place] = {}
            for message, event, life in news:
                partition = Partition(message.topic, message.partition)
                place = self._places.get(partition)
                if place is None or place.life != life or message.offset < place.offset:
                    continue
                next_ = places[partition] = Place(offset=message.offset + 1, life=life)
                deliveries.append(Delivery(event=event, state={key(partition): next_.encoded()}))
                if event.detail_type == REJECTED and event.source == SOURCE:
                    await self._letters.send(message, str(event.detail["reason"]))
            await self._publish_all(deliveries)
            point("after-acknowledge")
            self._read_up_to(places)

    async def _publish_all(self, deliveries: Sequence[Delivery]) -> None:
        """Return when all are durable, in as few commits as memory allows."""
        for begin in range(0, len(deliveries), DELIVERIES_MAX):
            await self._publish(deliveries[begin : begin + DELIVERIES_MAX])

    def _read_up_to(self, places: Mapping[Partition, Place]) -> None:
        for partition, place in places.items():
            self._memory.note(partition, place)
            self._places[partition] = place
        self._uncommitted.set()

    async def _out_of_range(self, partition: Partition, offset: int) -> None:
        """The brokers have no such offset: go on with one that they have, and say so."""
        async with self._busy:
            place = self._places.get(partition)
            if place is None or place.offset != offset:
                return
            wanted = TopicPartition(*partition)
            first = (await self._consumer.beginning_offsets([wanted]))[wanted]
            end = (await self._consumer.end_offsets([wanted]))[wanted]
            if first <= offset <= end:
                await self._clock.pause(_AGAIN_MS)
                self._consumer.seek(wanted, offset)
                return
            is_anew = offset > end
            next_ = Place(offset=first, life=place.life + is_anew)
            event = self._messages.reset(
                partition.topic,
                partition.number,
                next_.life,
                {
                    "expected-offset": offset,
                    "next-offset": first,
                    "reason": f"the partition ends at {end}: its topic was made anew, or it was "
                    "truncated"
                    if is_anew
                    else "the brokers have deleted messages that were not read",
                },
            )
            await self._publish_all(
                [Delivery(event=event, state={key(partition): next_.encoded()})]
            )
            self._read_up_to({partition: next_})
            self._consumer.seek(wanted, first)

    # Commits to the group

    async def _commit_forever(self) -> None:
        while True:
            await self._uncommitted.wait()
            self._uncommitted.clear()
            await self._commit()

    async def _commit(self) -> None:
        """Tell the group how far we are; our own log has it, so a refusal is no reason to stop."""
        if not self._source.consumer_group_id:
            return
        offsets = {each: place.offset for each, place in self._places.items()}
        news = {
            each: offset for each, offset in offsets.items() if self._committed.get(each) != offset
        }
        if not news:
            return
        try:
            await self._consumer.commit({TopicPartition(*each): at for each, at in news.items()})
        except (CommitFailedError, IllegalStateError) as error:
            # The group has given some of them to another server, which is told soon.
            _log.info("sensor %s: a commit came too late: %s", self._source.name, error)
        else:
            self._committed |= news


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Hears from the group which partitions are ours.

    aiokafka writes errors of a listener to its log and goes on, so they are told to the reading.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._reading.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            await self._reading.assigned(Partition(*each) for each in assigned)
        except (KafkaError, EventmillError) as error:
            self._reading.fail(error)
