"""The broker of `eventmill.testing`, with the methods of the real one.

It keeps about 5 MB for each partition and knows neither timestamps nor transactions, lets a request
for messages wait its whole time, and fails when a second member joins a group; what needs more is
tested with the real broker only.
"""

from typing import Final

from eventmill.testing import EmbeddedKafka


class EmbeddedBroker:
    """One broker; what it holds is gone when it is closed, but survives `down`."""

    is_real: Final = False

    def __init__(self) -> None:
        self._kafka = EmbeddedKafka().start()
        self.address = self._kafka.bootstrap_servers

    def close(self) -> None:
        self._kafka.stop()

    async def create_topic(self, name: str, partitions: int) -> None:
        self._kafka.create_topic(name, partitions)

    async def delete_topic(self, name: str) -> None:
        self._kafka.delete_topic(name)

    async def delete_records(self, topic: str, before: int) -> None:
        """Delete the messages of partition 0 before an offset."""
        self._kafka.delete_records(topic, before)

    async def down(self) -> None:
        """Close all connections and take no new ones."""
        self._kafka.kill()

    async def up(self) -> None:
        """Take connections again."""
        self._kafka.restart()

    async def freeze(self) -> None:
        """Answer nobody, but stay connected."""
        self._kafka.freeze()

    async def thaw(self) -> None:
        """Answer again."""
        self._kafka.thaw()
