"""The mock cluster of librdkafka, the C library that confluent-kafka brings."""

import ctypes
from ctypes import c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any, Final

from eventmill.errors import SettingsError
from eventmill.testing.extra import folder_of

_MESSAGE_BYTES: Final = 512
_PRODUCER: Final = 0

_FUNCTIONS: Final[tuple[tuple[str, Any, list[Any]], ...]] = (
    ("conf_new", c_void_p, []),
    ("conf_set", c_int, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
    ("err2str", c_char_p, [c_int]),
    ("new", c_void_p, [c_int, c_void_p, c_char_p, c_size_t]),
    ("mock_cluster_new", c_void_p, [c_void_p, c_int]),
    ("mock_cluster_bootstraps", c_char_p, [c_void_p]),
    ("mock_topic_create", c_int, [c_void_p, c_char_p, c_int, c_int]),
    ("mock_topic_delete", c_int, [c_void_p, c_char_p]),
    ("mock_partition_delete_records", c_int, [c_void_p, c_char_p, c_int32, c_int64]),
    ("mock_broker_set_down", c_int, [c_void_p, c_int]),
    ("mock_broker_set_up", c_int, [c_void_p, c_int]),
    ("mock_broker_set_rtt", c_int, [c_void_p, c_int, c_int]),
    ("mock_group_initial_rebalance_delay_ms", None, [c_void_p, c_int]),
)


class MockCluster:
    """A broker in threads of this process, as long as it runs.

    Any signal that reaches one of them ends the broker, so this is for a process of its own.
    """

    def __init__(self) -> None:
        """Start it, on a port that is free.

        Raises:
            SettingsError: confluent-kafka is not installed, or not one that has a mock cluster.
        """
        self._library = _library()
        why = ctypes.create_string_buffer(_MESSAGE_BYTES)
        configuration = self._library.rd_kafka_conf_new()
        # It warns that the client, of which only the cluster is used, has nobody to talk to.
        self._library.rd_kafka_conf_set(configuration, b"log_level", b"0", why, _MESSAGE_BYTES)
        client = self._library.rd_kafka_new(_PRODUCER, configuration, why, _MESSAGE_BYTES)
        if not client:
            raise SettingsError(f"Kafka cannot be started: {why.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(client, 1)
        # The first member of a group is not to wait for others.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    @property
    def address(self) -> str:
        """Its host:port."""
        found: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return found.decode()

    def call(self, function: str, *arguments: str | int) -> str:
        """Call `rd_kafka_mock_<function>` of the cluster: why it refuses, or nothing."""
        values = [each.encode() if isinstance(each, str) else each for each in arguments]
        error = getattr(self._library, f"rd_kafka_mock_{function}")(self._cluster, *values)
        reason: bytes = self._library.rd_kafka_err2str(error) if error else b""
        return reason.decode()


def _library() -> Any:
    package = folder_of("confluent_kafka")
    # Beside the package on Linux, within it on macOS.
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")
    found = sorted(path for folder in folders for path in folder.glob("librdkafka*"))
    if not found:
        raise SettingsError(f"{package} comes without librdkafka: pip install 'eventmill[testing]'")
    library = ctypes.CDLL(str(found[0]))
    for name, result, arguments in _FUNCTIONS:
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library
