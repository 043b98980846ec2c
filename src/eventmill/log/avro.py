"""The log as an Avro object container: which record stands for which row, and how it ends.

The schema is `eventmill-log.avsc`; its records have the names of the columns. The rows of the chain
come first, in order of position, then the other tables, then one record `End`. The header says
whether it is a whole log, and of which layout.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import Any, Final

import msgspec

from eventmill.record import record

NAMESPACE: Final = "eventmill.log"
KIND: Final = "eventmill.kind"
LAYOUT: Final = "eventmill.layout"
BEFORE: Final = "eventmill.before"
WHOLE: Final = "log"
PART: Final = "part"
END: Final = "End"


@record
class Table:
    """A table and its record. `order` sorts the rows; those `chained` are rows of the chain.

    Containers of layouts before `since` do not have it.
    """

    record: str
    name: str
    order: str
    chained: bool = False
    since: int = 1


TABLES: Final = (
    Table(record="Event", name="inbox", order="position", chained=True),
    Table(record="Execution", name="executions", order="position", chained=True),
    Table(record="Step", name="steps", order="position", chained=True),
    Table(record="Removal", name="removals", order="position", chained=True),
    Table(record="Gap", name="gaps", order="last", chained=True),
    Table(record="Checkpoint", name="checkpoints", order="position"),
    Table(record="Definition", name="definitions", order="digest"),
    Table(record="MapRun", name="map_runs", order="execution, map_run"),
    Table(record="Timer", name="timers", order="execution"),
    Table(record="SensorState", name="sensor_state", order="sensor, key"),
    Table(record="Sensor", name="sensors", order="sensor"),
    Table(record="Removing", name="removing", order="execution"),
    Table(record="Payload", name="payloads", order="digest", since=6),
    Table(record="PayloadUse", name="payload_uses", order="execution, digest", since=6),
    Table(record="Delivery", name="deliveries", order="id", since=7),
)

_encode: Final = msgspec.msgpack.Encoder().encode


@cache
def schema() -> Sequence[Mapping[str, Any]]:
    """The schema, as the JSON of its file."""
    text = files("eventmill.log").joinpath("eventmill-log.avsc").read_text(encoding="utf-8")
    parsed: list[dict[str, Any]] = json.loads(text)
    return parsed


def schema_of(layout: int) -> Sequence[Mapping[str, Any]]:
    """The schema of a container of this layout."""
    later = {table.record for table in TABLES if table.since > layout}
    return [each for each in schema() if each["name"] not in later]


@cache
def columns(record_name: str) -> tuple[str, ...]:
    """The fields of a record, which are the columns of its table."""
    (found,) = (each for each in schema() if each["name"] == record_name)
    return tuple(field["name"] for field in found["fields"])


def fastavro() -> ModuleType:
    """The library, which only exports and imports need."""
    return import_module("fastavro")


class Digest:
    """What `End` says of all records before it."""

    def __init__(self) -> None:
        self.records = 0
        self._hash = sha256()

    def add(self, name: str, cells: Sequence[object]) -> None:
        """Take the next record in."""
        self.records += 1
        self._hash.update(_encode((name, *cells)))

    def value(self) -> bytes:
        """The digest of all so far."""
        return self._hash.digest()
