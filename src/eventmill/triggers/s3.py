"""The source `s3`: objects of a bucket, told by a queue of notifications or found by listing."""

import hashlib
import re
from typing import Final, TypeAlias

from eventmill.model import Json, encode_json
from eventmill.record import record
from eventmill.triggers.fields import Fields

VISIBILITY_SECONDS_MAX: Final = 43_200  # SQS's
RECEIVES_MAX: Final = 1_000  # what a redrive policy may say
KEY_BYTES_MAX: Final = 1_024  # S3's

# General purpose buckets, access points and their aliases.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]|arn:aws[a-z-]*:s3\S+")
_URL: Final = re.compile(r"https?://[^\s/?#]+\S*")


@record
class S3QueueSource:
    """A queue of SQS that gets notifications of S3, in whichever form.

    `endpoint_url` and `region` are "" where they follow from the URL of the queue. What cannot be
    understood stays in the queue until it was received `receives_max` times.
    """

    queue_url: str
    endpoint_url: str = ""
    region: str = ""
    visibility_seconds: int = 60
    receives_max: int = 1

    @property
    def name(self) -> str:
        """Which queue it is; two triggers with equal sources share it."""
        return f"s3:{self.queue_url}#{_digest([self.endpoint_url])}"

    @property
    def shown(self) -> str:
        """The queue, for people."""
        return self.queue_url

    @property
    def document(self) -> dict[str, Json]:
        """The same for programs."""
        return {"queueUrl": self.queue_url}

    @property
    def at_odds(self) -> tuple[str, str]:
        """What two sources of one name do alike, and what they must agree on."""
        fields = "Region, VisibilityTimeout or MaxReceiveCount; give both the same"
        return "reads the same queue as", fields


@record
class S3ListingSource:
    """The objects of a bucket whose keys begin with `prefix`, listed again and again."""

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    scan_seconds: float = 60.0
    existing_objects: bool = True
    deletion_events: bool = False

    @property
    def name(self) -> str:
        """Under which the sensor remembers objects: what is listed, whatever the timing."""
        return f"s3:{self.bucket}/{self.prefix}#{_digest([self.endpoint_url])}"

    @property
    def shown(self) -> str:
        """The objects, for people."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def document(self) -> dict[str, Json]:
        """The same for programs."""
        return {"bucket": self.bucket, "prefix": self.prefix}

    @property
    def at_odds(self) -> tuple[str, str]:
        """What two sources of one name do alike, and what they must agree on."""
        fields = "Region, ScanSeconds, ExistingObjects or DeletionEvents; give both the same"
        return "lists the same objects as", fields


S3Source: TypeAlias = S3QueueSource | S3ListingSource


def parse_s3(fields: Fields) -> S3Source:
    """Read the fields of the source; mistakes are noted in them."""
    if fields.has("QueueUrl"):
        return _parse_queue(fields)
    if fields.has("Bucket"):
        return _parse_listing(fields)
    fields.note("needs QueueUrl, a queue of notifications, or Bucket, which is then listed")
    for name in fields.names():
        fields.has(name)  # Which fields there may be depends on that choice.
    return S3ListingSource(bucket="")


def _parse_queue(fields: Fields) -> S3QueueSource:
    if fields.has("Bucket"):
        fields.note(
            "stands only without QueueUrl; the EventPattern says which buckets count", "Bucket"
        )
    return S3QueueSource(
        queue_url=_parse_url(fields, "QueueUrl"),
        endpoint_url=_parse_url(fields, "EndpointUrl"),
        region=fields.text("Region"),
        visibility_seconds=fields.whole(
            "VisibilityTimeout", default=60, least=2, most=VISIBILITY_SECONDS_MAX
        ),
        receives_max=fields.whole("MaxReceiveCount", default=1, least=1, most=RECEIVES_MAX),
    )


def _parse_listing(fields: Fields) -> S3ListingSource:
    bucket = fields.text("Bucket", required=True)
    if bucket and _BUCKET.fullmatch(bucket) is None:
        fields.note(f"{bucket!r} cannot name a bucket", "Bucket")
    prefix = fields.text("Prefix")
    if len(prefix.encode(errors="replace")) > KEY_BYTES_MAX:
        fields.note(f"no key has more than {KEY_BYTES_MAX} bytes", "Prefix")
    return S3ListingSource(
        bucket=bucket,
        prefix=prefix,
        endpoint_url=_parse_url(fields, "EndpointUrl"),
        region=fields.text("Region"),
        scan_seconds=fields.seconds("ScanSeconds", default=60.0, least=1.0),
        existing_objects=fields.flag("ExistingObjects", default=True),
        deletion_events=fields.flag("DeletionEvents", default=False),
    )


def _parse_url(fields: Fields, name: str) -> str:
    url = fields.text(name)
    if (url or name == "QueueUrl") and _URL.fullmatch(url) is None:
        fields.note(f"{url!r} is no URL: it begins with https:// or http:// and a host", name)
    return url


def _digest(identity: list[Json]) -> str:
    return hashlib.sha256(encode_json(identity)).hexdigest()[:8]
