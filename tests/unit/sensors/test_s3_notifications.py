"""What is read from messages about S3, in every form in which they come."""

import json
import re
from base64 import b64decode
from typing import Any

import pytest

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.runtime.clock import SystemClock
from eventmill.sensors.s3.notifications import Message, decode
from eventmill.sensors.s3.notified import (
    BODY_BYTES_MAX,
    REASON_CHARACTERS_MAX,
    REASONS_MAX,
    S3QueueSensor,
)
from eventmill.triggers.s3 import S3QueueSource

HOME = Home(account="111122223333", region="eu-central-1")
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
SEQUENCER = "0055AED6DCD90281E5"
DEEP = json.loads("[" * 70 + "]" * 70)


def record(name: str = "ObjectCreated:Put", **told: Any) -> dict[str, Any]:
    """A record as S3 writes it; of `object` and the record itself, what is given is another."""
    changed = {"key": "in/a.csv", "size": 7, "eTag": ETAG, "sequencer": SEQUENCER}
    changed |= told.pop("object", {})
    return {
        "eventVersion": "2.5",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "2026-11-25T01:02:03.004Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AIDAJDPLRKLG7UEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "203.0.113.5"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "all",
            "bucket": {
                "name": "data",
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": "arn:aws:s3:::data",
            },
            "object": {name: value for name, value in changed.items() if value is not None},
        },
        **told,
    }


def bridged(detail_type: str = "Object Created", **told: Any) -> dict[str, Any]:
    """The same as an event of EventBridge."""
    changed = {"key": "in/a.csv", "size": 7, "etag": ETAG, "sequencer": SEQUENCER}
    changed |= told.pop("object", {})
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": "444455556666",
        "time": "2026-11-25T01:02:03Z",
        "region": "us-west-2",
        "resources": ["arn:aws:s3:::data"],
        "detail": {
            "version": "0",
            "bucket": {"name": "data"},
            "object": {name: value for name, value in changed.items() if value is not None},
            "request-id": "C3D13FE58DE4C810",
            "requester": "444455556666",
            "source-ip-address": "203.0.113.5",
            "reason": "PutObject",
        },
        **told,
    }


def message(content: Any, message_id: str = "m-1", receives: int = 1) -> Message:
    body = content if isinstance(content, str) else json.dumps(content)
    return Message(id=message_id, body=body, receipt="r", receives=receives, sent_ms=1_000)


def events(*contents: Any, message_id: str = "m-1") -> list[TriggerEvent]:
    """The events of one message that has these records, or of one with other content."""
    is_record = isinstance(contents[0], dict) and "eventName" in contents[0]
    content = {"Records": list(contents)} if is_record else contents[0]
    decoded = decode(message(content, message_id))
    assert decoded.misfits == ()
    return [change.event("s3:queue", HOME) for change in decoded.changes]


def test_a_record_becomes_the_event_that_eventbridge_would_send() -> None:
    (event,) = events(record())

    assert event.envelope() == {
        "version": "0",
        "id": event.id,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-25T01:02:03Z",
        "region": "us-west-2",
        "resources": ["arn:aws:s3:::data"],
        "detail": {
            "version": "0",
            "bucket": {"name": "data"},
            "object": {"key": "in/a.csv", "size": 7, "etag": ETAG, "sequencer": SEQUENCER},
            "request-id": "C3D13FE58DE4C810",
            "requester": "AWS:AIDAJDPLRKLG7UEXAMPLE",
            "source-ip-address": "203.0.113.5",
            "reason": "PutObject",
        },
    }


def test_an_event_of_eventbridge_stays_as_it_is() -> None:
    told = bridged(object={"version-id": "v1", "checksum": "later"})
    told["detail"]["event-version"] = "1.2"
    (event,) = events(told)

    assert event.detail == told["detail"]
    assert (event.account, event.region) == ("444455556666", "us-west-2")


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5"])
def test_all_versions_of_records_are_read(version: str) -> None:
    (event,) = events(record(eventVersion=version))

    assert event.detail_type == "Object Created"


@pytest.mark.parametrize(
    ("name", "detail_type", "reason", "deletion"),
    [
        ("ObjectCreated:Put", "Object Created", "PutObject", None),
        ("s3:ObjectCreated:Put", "Object Created", "PutObject", None),  # as MinIO writes it
        ("ObjectCreated:Post", "Object Created", "POST Object", None),
        ("ObjectCreated:Copy", "Object Created", "CopyObject", None),
        (
            "ObjectCreated:CompleteMultipartUpload",
            "Object Created",
            "CompleteMultipartUpload",
            None,
        ),
        ("ObjectRemoved:Delete", "Object Deleted", "DeleteObject", "Permanently Deleted"),
        (
            "ObjectRemoved:DeleteMarkerCreated",
            "Object Deleted",
            "DeleteObject",
            "Delete Marker Created",
        ),
        (
            "LifecycleExpiration:Delete",
            "Object Deleted",
            "Lifecycle Expiration",
            "Permanently Deleted",
        ),
        (
            "LifecycleExpiration:DeleteMarkerCreated",
            "Object Deleted",
            "Lifecycle Expiration",
            "Delete Marker Created",
        ),
        ("ObjectRestore:Post", "Object Restore Initiated", None, None),
        ("ObjectRestore:Delete", "Object Restore Expired", None, None),
        ("ObjectAcl:Put", "Object ACL Updated", None, None),
        ("ObjectTagging:Put", "Object Tags Added", None, None),
        ("ObjectTagging:Delete", "Object Tags Deleted", None, None),
        (
            "Replication:OperationFailedReplication",
            "Replication:OperationFailedReplication",
            None,
            None,
        ),
    ],
)
def test_names_of_events_become_detail_types(
    name: str, detail_type: str, reason: str | None, deletion: str | None
) -> None:
    (event,) = events(record(name))

    told = (event.detail_type, event.detail.get("reason"), event.detail.get("deletion-type"))
    assert told == (detail_type, reason, deletion)


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        (
            "ObjectRestore:Completed",
            {
                "glacierEventData": {
                    "restoreEventData": {
                        "lifecycleRestorationExpiryTime": "2026-12-01T00:00:00.000Z",
                        "lifecycleRestoreStorageClass": "GLACIER",
                    }
                }
            },
            {
                "restore-expiry-time": "2026-12-01T00:00:00.000Z",
                "source-storage-class": "GLACIER",
            },
        ),
        (
            "LifecycleTransition",
            {"lifecycleEventData": {"transitionEventData": {"destinationStorageClass": "GLACIER"}}},
            {"destination-storage-class": "GLACIER"},
        ),
        (
            "IntelligentTiering",
            {"intelligentTieringEventData": {"destinationAccessTier": "ARCHIVE_ACCESS"}},
            {"destination-access-tier": "ARCHIVE_ACCESS"},
        ),
    ],
)
def test_what_some_records_have_more_is_told(
    name: str, more: dict[str, Any], told: dict[str, str]
) -> None:
    (event,) = events(record(name, **more))

    assert event.detail.items() >= told.items()


def test_keys_are_decoded_in_records_and_only_there() -> None:
    (event,) = events(record(object={"key": "in/day+1/a%2Bb+%C3%A9%25.csv"}))
    (raw,) = events(bridged(object={"key": "in/day+1/a%2Bb.csv"}))

    assert event.detail["object"] == {
        "key": "in/day 1/a+b é%.csv",
        "size": 7,
        "etag": ETAG,
        "sequencer": SEQUENCER,
    }
    assert raw.detail["object"] == {
        "key": "in/day+1/a%2Bb.csv",
        "size": 7,
        "etag": ETAG,
        "sequencer": SEQUENCER,
    }


def test_what_sns_wrapped_is_unwrapped() -> None:
    inner = json.dumps({"Records": [record()]})
    wrapped = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu:1:t", "Message": inner}

    assert events(wrapped) == events(record())


@pytest.mark.parametrize("wrapped", [False, True])
def test_test_events_tell_nothing(wrapped: bool) -> None:
    told: dict[str, Any] = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "data"}
    if wrapped:
        told = {"Type": "Notification", "Message": json.dumps(told)}
    decoded = decode(message(told))

    assert (decoded.changes, decoded.misfits) == ((), ())


def test_the_same_change_has_one_id_in_whatever_form_and_message_it_comes() -> None:
    padded = {"sequencer": "00" + SEQUENCER.lower()}
    forms = [
        events(record(), message_id="m-1"),
        events(record(eventVersion="2.1", object=padded), message_id="m-2"),
        events(bridged(), message_id="m-3"),
        events(bridged(time="2026-11-25T01:02:04Z", object={"version-id": "null"})),
    ]
    deletions = [
        events(record("ObjectRemoved:Delete", object={"eTag": None, "size": None})),
        events(bridged("Object Deleted")),
    ]

    assert len({event.id for form in forms for event in form}) == 1
    assert len({event.id for form in deletions for event in form}) == 1


@pytest.mark.parametrize(
    "other",
    [
        record("ObjectRemoved:Delete"),
        record(object={"key": "in/b.csv"}),
        record(object={"sequencer": "0055AED6DCD90281E6"}),
        record(object={"eTag": "0" * 32}),
        record(object={"versionId": "v2"}),
        record(object={"sequencer": None}),
        record(object={"sequencer": None}, eventTime="2026-11-25T01:02:03.005Z"),
    ],
)
def test_another_change_has_another_id(other: dict[str, Any]) -> None:
    assert events(record())[0].id != events(other)[0].id


def test_without_a_sequencer_the_time_tells_changes_apart() -> None:
    one, again, other = (
        events(record(object={"sequencer": None}, eventTime=f"2026-11-25T01:02:{at}Z"))[0].id
        for at in ("03.004", "03.004", "03.005")
    )

    assert one == again != other


def test_two_queues_tell_of_the_same_change_with_ids_of_their_own() -> None:
    (change,) = decode(message({"Records": [record()]})).changes

    assert change.event("s3:one", HOME).id != change.event("s3:two", HOME).id


def test_a_time_in_seconds_is_read() -> None:
    (event,) = events(bridged(time=1_795_650_253.25))

    assert event.at_ms == 1_795_650_253_250


def test_without_a_time_that_of_the_message_counts() -> None:
    (event,) = events(bridged(time=None))

    assert event.at_ms == 1_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "it is not JSON: "),
        ('{"Records": NaN}', "it is not JSON: "),
        ('"\ud800"', "it is not JSON: "),
        ("[" * 100_000, "it is not JSON: "),
        ("[]", "it is no JSON object"),
        ({}, "it has neither Records nor a detail-type"),
        ({"Records": []}, "it has neither Records nor a detail-type"),
        ({"Records": [1]}, r"Records\[0\]: it is no JSON object"),
        ({"Records": [{"eventName": "INSERT"}]}, r"Records\[0\]: s3 is missing"),
        ({"Records": [{"s3": {}}]}, r"Records\[0\]: eventName must be a text"),
        ({"Records": [record(s3={"object": {"key": "a"}})]}, r"Records\[0\]: bucket.name must be"),
        ({"Records": [record(s3={"bucket": {"name": "a"}})]}, r"Records\[0\]: object is missing"),
        ({"Records": [record(object={"key": ""})]}, r"Records\[0\]: key must be a text"),
        ({"Records": [record(object={"key": "%FF"})]}, r"Records\[0\]: the key '%FF' is not UTF-8"),
        ({"Records": [record(eventVersion="3.0")]}, r"Records\[0\]: its eventVersion is '3.0'"),
        ({"Records": [record(eventVersion=2)]}, r"Records\[0\]: its eventVersion is 2"),
        ({"Records": [record(eventTime="noon")]}, r"Records\[0\]: 'noon' is no time"),
        (bridged(time=1e300), "1e.300 is no time"),
        (bridged(source="aws.ec2"), "its source is 'aws.ec2', not 'aws.s3'"),
        (bridged(detail=None), "detail must be an object"),
        (bridged(detail={"bucket": {}}), "object is missing"),
        (bridged(object={"more": DEEP}), "it is nested more than 64 levels"),
    ],
)
def test_what_is_no_notification_is_told_with_its_reason(content: Any, reason: str) -> None:
    decoded = decode(message(content))

    assert decoded.changes == ()
    assert len(decoded.misfits) == 1
    assert re.match(reason, decoded.misfits[0]), decoded.misfits[0]


def sensor(receives_max: int = 1) -> S3QueueSensor:
    source = S3QueueSource(queue_url="http://localhost/q", receives_max=receives_max)
    return S3QueueSensor(source, home=HOME, clock=SystemClock())


def test_a_message_with_one_bad_record_tells_the_good_ones_and_is_rejected() -> None:
    told, is_done = sensor().events(message({"Records": [record(), {}]}))

    assert is_done
    assert [each.detail_type for each in told] == ["Object Created", "S3 Message Rejected"]
    assert told[1].detail["reason"] == "Records[1]: eventName must be a text that is not empty"


def test_a_rejected_message_is_kept_as_it_came_up_to_a_size() -> None:
    body = "é" * BODY_BYTES_MAX
    (event,), is_done = sensor().events(message(body, receives=3))

    assert is_done
    assert event.source == "eventmill.s3"
    assert b64decode(str(event.detail.pop("body"))) == body.encode()[:BODY_BYTES_MAX]
    reason = event.detail.pop("reason")
    assert str(reason).startswith("it is not JSON")
    assert event.detail == {
        "queue-url": "http://localhost/q",
        "message-id": "m-1",
        "sent": "1970-01-01T00:00:01.000Z",
        "receive-count": 3,
        "body-size": 2 * BODY_BYTES_MAX,
    }


def test_reasons_are_few_and_short_however_much_is_wrong() -> None:
    (event,), _ = sensor().events(message({"Records": [0] * 10_000}))
    (long,), _ = sensor().events(message({"Records": [record(object={"key": "%FF" * 10_000})]}))

    assert str(event.detail["reason"]).count("it is no JSON object") == REASONS_MAX
    assert str(event.detail["reason"]).endswith("; and 9,990 more")
    assert len(str(long.detail["reason"])) == REASON_CHARACTERS_MAX


def test_what_cannot_be_understood_stays_in_the_queue_for_so_many_receives() -> None:
    patient = sensor(receives_max=3)

    assert patient.events(message("{", receives=2)) == ([], False)
    assert [each.detail_type for each in patient.events(message("{", receives=3))[0]] == [
        "S3 Message Rejected"
    ]
    # What else it says is told meanwhile.
    told, is_done = patient.events(message({"Records": [record(), {}]}))
    assert ([each.detail_type for each in told], is_done) == (["Object Created"], False)
