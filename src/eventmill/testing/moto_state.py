"""What a moto server keeps from one run to the next: buckets and queues, in a folder.

Of a bucket: its objects in their newest version, whether it has versions, and whom it notifies. Of
a queue: its attributes, and all messages that nobody has deleted, also those at work just now.
"""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from eventmill.model import decode_json, encode_json
from eventmill.testing.clients import client
from eventmill.testing.extra import require

_STATE_FILE: Final = "aws.json"
_OBJECTS: Final = "objects"
# Of a queue: what follows from others or counts, and cannot be set.
_GIVEN: Final = {"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"}
_NOTIFIED: Final = (
    *("TopicConfigurations", "QueueConfigurations", "LambdaFunctionConfigurations"),
    "EventBridgeConfiguration",
)


def save(endpoint: str, folder: Path) -> None:
    """Write the state of the server at `endpoint`, whose process this is, in place of the last.

    Raises:
        OSError: The folder cannot be written.
    """
    draft, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)
    (draft / _OBJECTS).mkdir(parents=True)
    state = {"queues": [*_queues(endpoint)], "buckets": [*_buckets(endpoint, draft / _OBJECTS)]}
    (draft / _STATE_FILE).write_bytes(encode_json(cast(Any, state)))
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def restore(endpoint: str, folder: Path) -> None:
    """Make what `save` has written, in an empty server; nothing if it never has.

    Queues come before the buckets that notify them, and a bucket notifies nobody of what it had.
    """
    old = folder.with_name(f"{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)  # the process ended between the two renames
    if not (folder / _STATE_FILE).exists():
        return
    state: Any = decode_json((folder / _STATE_FILE).read_bytes())
    sqs, s3 = client("sqs", endpoint), client("s3", endpoint)
    for queue in state["queues"]:
        _make_queue(sqs, queue)
    for bucket in state["buckets"]:
        _make_bucket(s3, bucket, folder / _OBJECTS)


def _queues(endpoint: str) -> Iterator[dict[str, Any]]:
    sqs = client("sqs", endpoint)
    for url in sqs.list_queues().get("QueueUrls", []):
        name = url.rsplit("/", 1)[-1]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        kept = {
            name: value
            for name, value in attributes.items()
            if name not in _GIVEN and not name.startswith("ApproximateNumberOf") and value != ""
        }
        yield {"name": name, "attributes": kept, "messages": [*_messages(name)]}


def _messages(queue: str) -> Iterator[dict[str, Any]]:
    """What is in a queue; not asked for by a client, who would not get what is at work."""
    for regions in require("moto.backends").get_backend("sqs").values():
        for backend in regions.values():
            if queue not in backend.queues:
                continue
            for message in backend.queues[queue]._messages:
                yield {
                    "body": message.body,
                    "attributes": {
                        name: _attribute(value)
                        for name, value in message.message_attributes.items()
                    },
                    "group": message.group_id,
                    "deduplication": message.deduplication_id,
                }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value[name] for name in ("DataType", "StringValue") if value.get(name)}
    if value.get("BinaryValue"):
        kept["BinaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return kept


def _make_queue(sqs: Any, queue: dict[str, Any]) -> None:
    url = sqs.create_queue(QueueName=queue["name"], Attributes=queue["attributes"])["QueueUrl"]
    for message in queue["messages"]:
        attributes = {
            name: value
            if "BinaryValue" not in value
            else {**value, "BinaryValue": base64.b64decode(value["BinaryValue"])}
            for name, value in message["attributes"].items()
        }
        optional = {
            "MessageAttributes": attributes,
            "MessageGroupId": message["group"],
            "MessageDeduplicationId": message["deduplication"],
        }
        given = {name: value for name, value in optional.items() if value}
        sqs.send_message(QueueUrl=url, MessageBody=message["body"], **given)


def _buckets(endpoint: str, folder: Path) -> Iterator[dict[str, Any]]:
    s3 = client("s3", endpoint)
    count = 0
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        objects = []
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
            for each in page.get("Contents", []):
                count += 1
                found = s3.get_object(Bucket=name, Key=each["Key"])
                with (folder / str(count)).open("wb") as file:
                    shutil.copyfileobj(found["Body"], file)
                objects.append(
                    {
                        "key": each["Key"],
                        "file": str(count),
                        "type": found["ContentType"],
                        "metadata": found["Metadata"],
                    }
                )
        notified = s3.get_bucket_notification_configuration(Bucket=name)
        yield {
            "name": name,
            "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
            "notifications": {each: notified[each] for each in _NOTIFIED if each in notified},
            "objects": objects,
        }


def _make_bucket(s3: Any, bucket: dict[str, Any], folder: Path) -> None:
    name = bucket["name"]
    s3.create_bucket(Bucket=name)
    if bucket["versioning"]:
        s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": bucket["versioning"]}
        )
    for each in bucket["objects"]:
        with (folder / each["file"]).open("rb") as body:
            s3.put_object(
                Bucket=name,
                Key=each["key"],
                Body=body,
                ContentType=each["type"],
                Metadata=each["metadata"],
            )
    if bucket["notifications"]:
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration=bucket["notifications"]
        )
