"""Where reading begins in a partition."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition

from eventmill.ports import Remember
from eventmill.record import record
from eventmill.sensors.kafka.offsets import Partition, Place, key, remembered
from eventmill.triggers.kafka import KafkaSource

# That the topics were looked at before; no partition has this key, since those have a slash.
_BEGAN: Final = "began"


@record
class Starts:
    """Places to begin at; those in `new` were not remembered before."""

    places: dict[Partition, Place]
    new: frozenset[Partition]


class Memory:
    """The places in all partitions that were ever read, as our own log has them."""

    def __init__(self, source: KafkaSource, state: Mapping[str, bytes], remember: Remember) -> None:
        """Begin with what is remembered."""
        self._source = source
        self._remember = remember
        self._began = _BEGAN in state
        self._places = remembered({name: each for name, each in state.items() if name != _BEGAN})

    def note(self, partition: Partition, place: Place) -> None:
        """A place has become durable with its event."""
        self._places[partition] = place

    async def starts(self, consumer: Any, partitions: Iterable[Partition]) -> Starts:
        """Where to begin in these partitions, durable before it is told.

        What our own log has is the truth. In a group that shares its partitions another server may
        have read on; then its commits lead further. A partition of which nobody knows anything
        begins at the starting position; but if it came into being after the topics were looked at
        first, at its very beginning, since nothing in it is from before.

        Raises:
            KafkaError: The brokers do not say.
        """
        places, unknown, group_began = {}, [], False
        for partition in partitions:
            own = self._places.get(partition)
            committed = await self._committed(consumer, partition, own)
            group_began = group_began or committed is not None
            if own is not None and (committed is None or committed <= own.offset):
                places[partition] = own
            elif committed is not None:
                life = 0 if own is None else own.life
                places[partition] = Place(offset=committed, life=life)
            else:
                unknown.append(partition)
        for partition, offset in (
            await self._first_offsets(consumer, unknown, began=self._began or group_began)
        ).items():
            places[partition] = Place(offset=offset)
        new = {each: place for each, place in places.items() if self._places.get(each) != place}
        if new or not self._began:
            news = {key(partition): place.encoded() for partition, place in new.items()}
            await self._remember({_BEGAN: b"1", **news})
        self._began = True
        self._places |= new
        return Starts(places=places, new=frozenset(new))

    async def _committed(
        self, consumer: Any, partition: Partition, own: Place | None
    ) -> int | None:
        shared = self._source.assignment == "group"
        if not self._source.consumer_group_id or (own is not None and not shared):
            return None
        offset: int | None = await consumer.committed(TopicPartition(*partition))
        return offset

    async def _first_offsets(
        self, consumer: Any, partitions: Iterable[Partition], *, began: bool
    ) -> dict[Partition, int]:
        wanted = [TopicPartition(*partition) for partition in partitions]
        position = self._source.starting_position
        if not wanted:
            return {}
        if position == "earliest" or (position == "latest" and began):
            offsets = await consumer.beginning_offsets(wanted)
        else:
            offsets = await consumer.end_offsets(wanted)
        if isinstance(position, int):
            found = await consumer.offsets_for_times(dict.fromkeys(wanted, position))
            offsets |= {each: at.offset for each, at in found.items() if at is not None}
        return {Partition(*each): offset for each, offset in offsets.items()}
