"""The kinds of sources that a trigger may have. Equal sources are served by one sensor."""

from collections.abc import Callable
from typing import Final, TypeAlias

from eventmill.triggers.fields import Fields
from eventmill.triggers.filesystem import FilesystemSource, parse_filesystem
from eventmill.triggers.kafka import KafkaSource, parse_kafka
from eventmill.triggers.s3 import S3ListingSource, S3QueueSource, parse_s3
from eventmill.triggers.schedule import ScheduleSource, parse_schedule

Source: TypeAlias = (
    FilesystemSource | KafkaSource | ScheduleSource | S3QueueSource | S3ListingSource
)

_SOURCES: Final[dict[str, Callable[[Fields], Source]]] = {
    "filesystem": parse_filesystem,
    "kafka": parse_kafka,
    "schedule": parse_schedule,
    "s3": parse_s3,
}


def parse_source(fields: Fields) -> Source:
    """Read a trigger's `Source`; mistakes are noted in its fields."""
    kind = fields.text("Type", required=True)
    parse = _SOURCES.get(kind)
    if parse is None:
        if kind:
            fields.note(f"there is no source {kind!r}; there are: {', '.join(_SOURCES)}", "Type")
        return FilesystemSource(path=".")
    source = parse(fields)
    fields.refuse_others()
    return source
