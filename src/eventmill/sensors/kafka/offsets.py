"""How far each partition was read: what the sensor remembers beside its events."""

from collections.abc import Mapping
from typing import NamedTuple

from eventmill.record import record


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


@record
class Place:
    """The offset to be read next; `life` counts how often the offsets there began anew."""

    offset: int
    life: int = 0

    def encoded(self) -> bytes:
        """As it is remembered."""
        return f"{self.offset} {self.life}".encode() if self.life else b"%d" % self.offset


def key(partition: Partition) -> str:
    """Under which the place in a partition is remembered: no topic's name has a slash."""
    return f"{partition.topic}/{partition.number}"


def remembered(state: Mapping[str, bytes]) -> dict[Partition, Place]:
    """The places in what a sensor remembers."""
    places = {}
    for name, value in state.items():
        topic, _, number = name.rpartition("/")
        offset, *life = value.split()
        places[Partition(topic, int(number))] = Place(
            offset=int(offset), life=int(life[0]) if life else 0
        )
    return places
