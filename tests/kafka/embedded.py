"""A broker in this process: the mock cluster of librdkafka, as confluent-kafka ships it.

It keeps about 5 MB for each partition and knows neither timestamps nor transactions, lets a request
for messages wait its whole time, and fails when a second member joins a group; what needs more is
tested with the real broker only.
"""

import ctypes
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any, Final

import confluent_kafka

_PRODUCER: Final = 0
_ALL: Final = -1  # brokers
_FROZEN_MS: Final = 600_000


def _library() -> Any:
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    found = [path for folder in folders for path in folder.glob("librdkafka*")]
    library = ctypes.CDLL(str(found[0]))
    for name, result, arguments in (
        ("rd_kafka_conf_new", c_void_p, []),
        ("rd_kafka_conf_set", c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
        ("rd_kafka_new", c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
        ("rd_kafka_destroy", None, [c_void_p]),
        ("rd_kafka_mock_cluster_new", c_void_p, [c_void_p, c_int]),
        ("rd_kafka_mock_cluster_destroy", None, [c_void_p]),
        ("rd_kafka_mock_cluster_bootstraps", c_char_p, [c_void_p]),
        ("rd_kafka_mock_topic_create", c_int, [c_void_p, c_char_p, c_int, c_int]),
        ("rd_kafka_mock_topic_delete", c_int, [c_void_p, c_char_p]),
        (
            "rd_kafka_mock_partition_delete_records",
            c_int,
            [c_void_p, c_char_p, c_int32, c_int64],
        ),
        ("rd_kafka_mock_broker_set_down", c_int, [c_void_p, c_int]),
        ("rd_kafka_mock_broker_set_up", c_int, [c_void_p, c_int]),
        ("rd_kafka_mock_broker_set_rtt", c_int, [c_void_p, c_int, c_int]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [c_void_p, c_int]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class EmbeddedBroker:
    """One broker; what it holds is gone when it is closed, but survives `down`."""

    is_real: Final = False

    def __init__(self) -> None:
        self._library = _library()
        text = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        # It warns that the client, of which only the cluster is used, has nobody to talk to.
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"0", text, 512)
        self._client = self._library.rd_kafka_new(_PRODUCER, configuration, text, 512)
        assert self._client, text.value
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.address: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    async def create_topic(self, name: str, partitions: int) -> None:
        self._done(
            self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        )

    async def delete_topic(self, name: str) -> None:
        self._done(self._library.rd_kafka_mock_topic_delete(self._cluster, name.encode()))

    async def delete_records(self, topic: str, before: int) -> None:
        """Delete the messages of partition 0 before an offset."""
        self._done(
            self._library.rd_kafka_mock_partition_delete_records(
                self._cluster, topic.encode(), 0, before
            )
        )

    async def down(self) -> None:
        """Close all connections and take no new ones."""
        self._done(self._library.rd_kafka_mock_broker_set_down(self._cluster, _ALL))

    async def up(self) -> None:
        """Take connections again."""
        self._done(self._library.rd_kafka_mock_broker_set_up(self._cluster, _ALL))

    async def freeze(self) -> None:
        """Answer nobody, but stay connected."""
        self._done(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, _ALL, _FROZEN_MS))

    async def thaw(self) -> None:
        """Answer again."""
        self._done(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, _ALL, 0))

    @staticmethod
    def _done(error: int) -> None:
        assert error == 0, f"librdkafka refuses with {error}"
