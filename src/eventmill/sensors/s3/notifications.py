"""What messages about S3 say: notifications in every form that S3 and its imitators send.

A message has `Records` (versions 2.0 to 2.5), or is an event of EventBridge; SNS may have wrapped
either. Whichever form came, a change has EventBridge's shape: source `aws.s3`, its detail types and
its `detail`. Source: Amazon S3 user guide, "Event message structure" and "EventBridge event message
structure".
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import NAMESPACE_URL, uuid5

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.instant import parse_instant
from eventmill.model import Json, decode_json, encode_json
from eventmill.record import record

SOURCE: Final = "aws.s3"
OBJECT_CREATED: Final = "Object Created"
OBJECT_DELETED: Final = "Object Deleted"

_TEST_EVENT: Final = "s3:TestEvent"
_VERSIONS: Final = "2."  # S3 raises the first number when readers of the one before would be wrong
_WRAPPINGS_MAX: Final = 3
_DEPTH_MAX: Final = 64
_TIME_MS_MAX: Final = 253_402_300_799_999

_PERMANENT: Final[dict[str, Json]] = {"deletion-type": "Permanently Deleted"}
_MARKER: Final[dict[str, Json]] = {"deletion-type": "Delete Marker Created"}
_BY_REQUEST: Final[dict[str, Json]] = {"reason": "DeleteObject"}
_BY_LIFECYCLE: Final[dict[str, Json]] = {"reason": "Lifecycle Expiration"}

# The detail type, and what else the name of an event says, by that name. Others keep their names.
_TYPES: Final[dict[str, tuple[str, dict[str, Json]]]] = {
    "ObjectCreated:Put": (OBJECT_CREATED, {"reason": "PutObject"}),
    "ObjectCreated:Post": (OBJECT_CREATED, {"reason": "POST Object"}),
    "ObjectCreated:Copy": (OBJECT_CREATED, {"reason": "CopyObject"}),
    "ObjectCreated:CompleteMultipartUpload": (
        OBJECT_CREATED,
        {"reason": "CompleteMultipartUpload"},
    ),
    "ObjectRemoved:Delete": (OBJECT_DELETED, _BY_REQUEST | _PERMANENT),
    "ObjectRemoved:DeleteMarkerCreated": (OBJECT_DELETED, _BY_REQUEST | _MARKER),
    "LifecycleExpiration:Delete": (OBJECT_DELETED, _BY_LIFECYCLE | _PERMANENT),
    "LifecycleExpiration:DeleteMarkerCreated": (OBJECT_DELETED, _BY_LIFECYCLE | _MARKER),
    "ObjectRestore:Post": ("Object Restore Initiated", {}),
    "ObjectRestore:Completed": ("Object Restore Completed", {}),
    "ObjectRestore:Delete": ("Object Restore Expired", {}),
    "LifecycleTransition": ("Object Storage Class Changed", {}),
    "IntelligentTiering": ("Object Access Tier Changed", {}),
    "ObjectAcl:Put": ("Object ACL Updated", {}),
    "ObjectTagging:Put": ("Object Tags Added", {}),
    "ObjectTagging:Delete": ("Object Tags Deleted", {}),
}

# Where records keep what EventBridge has in `detail`.
_MORE: Final = (
    ("request-id", ("responseElements", "x-amz-request-id")),
    ("requester", ("userIdentity", "principalId")),
    ("source-ip-address", ("requestParameters", "sourceIPAddress")),
    (
        "restore-expiry-time",
        ("glacierEventData", "restoreEventData", "lifecycleRestorationExpiryTime"),
    ),
    (
        "source-storage-class",
        ("glacierEventData", "restoreEventData", "lifecycleRestoreStorageClass"),
    ),
    (
        "destination-storage-class",
        ("lifecycleEventData", "transitionEventData", "destinationStorageClass"),
    ),
    ("destination-access-tier", ("intelligentTieringEventData", "destinationAccessTier")),
)

_TEXTS: Final = (
    ("etag", ("etag", "eTag")),
    ("version-id", ("version-id", "versionId")),
    ("sequencer", ("sequencer",)),
)
_SPELLINGS: Final = {"key", "size"}.union(*(aliases for _, aliases in _TEXTS))

# The example in AWS's documentation. moto writes it into every event, so there it orders nothing.
_NO_SEQUENCER: Final = "617F08299329D189"


@record
class Message:
    """A message as SQS gave it; `receives` counts how often it did."""

    id: str
    body: str
    receipt: str
    receives: int = 1
    sent_ms: int = 0


@record
class Change:
    """One thing that happened to one object. `identity` is the same whenever it is told again."""

    detail_type: str
    at_ms: int
    account: str
    region: str
    detail: dict[str, Json]
    identity: tuple[str, ...]

    def event(self, sensor: str, home: Home) -> TriggerEvent:
        """The trigger event of it; its id follows from the sensor's name and the identity."""
        bucket = self.detail["bucket"]
        assert isinstance(bucket, dict)
        return TriggerEvent(
            id=event_id(sensor, self.detail_type, *self.identity),
            source=SOURCE,
            detail_type=self.detail_type,
            at_ms=self.at_ms,
            account=self.account or home.account,
            region=self.region or home.region,
            resources=(f"arn:aws:s3:::{bucket['name']}",),
            detail=self.detail,
        )


@record
class Decoded:
    """What a message says, and what in it could not be understood, each with its reason."""

    changes: tuple[Change, ...] = ()
    misfits: tuple[str, ...] = ()


class Misfit(ValueError):
    """Something is not as S3 writes it; the message says what was expected."""


def event_id(*parts: str) -> str:
    """A UUID that follows from these texts."""
    return str(uuid5(NAMESPACE_URL, encode_json(list(parts)).decode()))


def decode(message: Message) -> Decoded:
    """What a message tells; a test event tells nothing."""
    try:
        content = _unwrap(message.body)
        if content.get("Event") == _TEST_EVENT:
            return Decoded()
        if "detail-type" in content:
            return Decoded(changes=(_of_event(content, message),))
        records = content.get("Records")
        if not isinstance(records, list) or not records:
            raise Misfit("it has neither Records nor a detail-type: it is no notification of S3")
    except Misfit as misfit:
        return Decoded(misfits=(str(misfit),))
    changes, misfits = [], []
    for number, each in enumerate(records):
        try:
            changes.append(_of_record(each, message))
        except Misfit as misfit:
            misfits.append(f"Records[{number}]: {misfit}")
    return Decoded(changes=tuple(changes), misfits=tuple(misfits))


def _unwrap(body: str) -> dict[str, Json]:
    """The notification in a body, out of what SNS put around it."""
    for _ in range(_WRAPPINGS_MAX):
        try:
            content = decode_json(body)
        except ValueError as error:
            raise Misfit(f"it is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise Misfit("it is no JSON object")
        inner = content.get("Message")
        if content.get("Type") != "Notification" or not isinstance(inner, str):
            if _is_deep(content, _DEPTH_MAX):
                raise Misfit(f"it is nested more than {_DEPTH_MAX} levels deep")
            return content
        body = inner
    raise Misfit("it is wrapped too often")


def _is_deep(value: Json, left: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return left == 0 or any(_is_deep(each, left - 1) for each in members)


# Records


def _of_record(item: Json, message: Message) -> Change:
    if not isinstance(item, dict):
        raise Misfit("it is no JSON object")
    version = item.get("eventVersion", "2.0")
    if not isinstance(version, str) or not version.startswith(_VERSIONS):
        raise Misfit(f"its eventVersion is {version!r}, not 2.0 to 2.5 or a later 2")
    name = _text(item, "eventName").removeprefix("s3:")
    told = item.get("s3")
    if not isinstance(told, dict):
        raise Misfit("s3 is missing: it is no event of S3")
    detail_type, implied = _TYPES.get(name, (name, {}))
    detail: dict[str, Json] = {
        "version": "0",
        "bucket": {"name": _text(told, "bucket", "name")},
        "object": _object(told.get("object"), url_encoded=True),
    }
    detail.update((name, found) for name, found in _found(item))
    detail.update(implied)
    return _change(
        detail_type,
        detail,
        time=item.get("eventTime"),
        account="",
        region=item.get("awsRegion"),
        message=message,
    )


def _found(item: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, path in _MORE:
        value: Any = item
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str) and value:
            yield name, value


# EventBridge's events


def _of_event(content: dict[str, Json], message: Message) -> Change:
    if content.get("source") != SOURCE:
        raise Misfit(f"its source is {content.get('source')!r}, not {SOURCE!r}")
    detail = content.get("detail")
    if not isinstance(detail, dict):
        raise Misfit("detail must be an object")
    return _change(
        _text(content, "detail-type"),
        {**detail, "object": _object(detail.get("object"), url_encoded=False)},
        time=content.get("time"),
        account=content.get("account"),
        region=content.get("region"),
        message=message,
    )


# Both


def _change(
    detail_type: str,
    detail: dict[str, Json],
    *,
    time: Json,
    account: Json,
    region: Json,
    message: Message,
) -> Change:
    what, bucket = detail["object"], _text(detail, "bucket", "name")
    assert isinstance(what, dict)
    # A deletion has no content of its own, and forms differ in what etag they tell of it.
    told = "version-id" if "version-id" in what or detail_type == OBJECT_DELETED else "etag"
    sequencer = str(what.get("sequencer", "")).lstrip("0").upper()
    if sequencer in ("", _NO_SEQUENCER):
        # Only a PUT and a DELETE have one. The same request is told with the same time again.
        occasion = [str(time or message.id), str(detail.get("request-id", ""))]
    else:
        occasion = [sequencer]
    return Change(
        detail_type=detail_type,
        at_ms=_instant(time, message),
        account=account if isinstance(account, str) else "",
        region=region if isinstance(region, str) else "",
        detail=detail,
        identity=(bucket, str(what["key"]), str(what.get(told, "")), *occasion),
    )


def _object(told: Json, *, url_encoded: bool) -> dict[str, Json]:
    """`detail.object` in EventBridge's spelling, with its members in one order."""
    if not isinstance(told, dict):
        raise Misfit("object is missing")
    key = _text(told, "key")
    spelled: dict[str, Json] = {"key": _decoded(key) if url_encoded else key}
    size = told.get("size")
    if isinstance(size, int) and not isinstance(size, bool):
        spelled["size"] = size
    for name, aliases in _TEXTS:
        values = (told.get(alias) for alias in aliases)
        text = next((value for value in values if isinstance(value, str) and value), None)
        # Imitators write "null" where a bucket keeps no versions.
        if text is not None and (name, text) != ("version-id", "null"):
            spelled[name] = text.strip('"')
    if not url_encoded:
        spelled.update({name: told[name] for name in told if name not in _SPELLINGS})
    return spelled


def _decoded(key: str) -> str:
    try:
        return unquote_to_bytes(key.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Misfit(f"the key {key!r} is not UTF-8 when it is URL-decoded") from None


def _text(told: Mapping[str, Json], *path: str) -> str:
    value: Any = told
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise Misfit(f"{'.'.join(path)} must be a text that is not empty")
    return value


def _instant(time: Json, message: Message) -> int:
    """When it happened; when the message was sent, if it does not say."""
    if time is None:
        return message.sent_ms
    try:
        if isinstance(time, str):
            return parse_instant(time)
        if isinstance(time, int | float) and 0 <= time * 1000 <= _TIME_MS_MAX:
            return round(time * 1000)
    except (ValueError, OverflowError):
        pass
    raise Misfit(f"{time!r} is no time")
