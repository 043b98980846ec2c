"""The sources whose events are counted, by name."""

from typing import Final

from tests.crash.arrivals import OpenFeeder
from tests.crash.feeders.files import files, processed_files
from tests.crash.feeders.kafka import messages
from tests.crash.feeders.s3 import notifications, objects
from tests.crash.feeders.schedules import schedules

FEEDERS: Final[dict[str, OpenFeeder]] = {
    "files": files,
    "files-moved": processed_files,
    "kafka": messages,
    "s3-listing": objects,
    "s3-queue": notifications,
    "schedules": schedules,
}
