"""What a source `s3` may say in a trigger's file."""

from typing import Any

import pytest

from eventmill.model import Json
from eventmill.triggers.s3 import S3ListingSource, S3QueueSource
from eventmill.triggers.trigger import InvalidTrigger, parse_trigger

QUEUE = "https://sqs.eu-west-1.amazonaws.com/111122223333/q"


def parse(**source: Any) -> Any:
    value: Json = {"Source": {"Type": "s3", **source}, "Target": {"StateMachine": "m"}}
    return parse_trigger("t", value).source


def mistakes(**source: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidTrigger) as caught:
        parse(**source)
    return list(caught.value.mistakes)


def test_a_queue_needs_only_its_url() -> None:
    assert parse(QueueUrl=QUEUE) == S3QueueSource(queue_url=QUEUE)


def test_all_that_a_queue_may_have() -> None:
    source = parse(
        QueueUrl="http://localhost:5000/q",
        EndpointUrl="http://localhost:5000",
        Region="eu-west-1",
        VisibilityTimeout=300,
        MaxReceiveCount=5,
    )

    assert source == S3QueueSource(
        queue_url="http://localhost:5000/q",
        endpoint_url="http://localhost:5000",
        region="eu-west-1",
        visibility_seconds=300,
        receives_max=5,
    )


def test_all_that_a_listing_may_have() -> None:
    assert parse(Bucket="data") == S3ListingSource(bucket="data")
    source = parse(
        Bucket="data",
        Prefix="in/",
        EndpointUrl="http://localhost:9000",
        Region="eu-west-1",
        ScanSeconds=5,
        ExistingObjects=False,
        DeletionEvents=True,
    )

    assert source == S3ListingSource(
        bucket="data",
        prefix="in/",
        endpoint_url="http://localhost:9000",
        region="eu-west-1",
        scan_seconds=5.0,
        existing_objects=False,
        deletion_events=True,
    )


@pytest.mark.parametrize(
    ("source", "pointer", "message"),
    [
        (
            {},
            "/Source",
            "needs QueueUrl, a queue of notifications, or Bucket, which is then listed",
        ),
        ({"QueueUrl": ""}, "/Source/QueueUrl", "'' is no URL"),
        ({"QueueUrl": "arn:aws:sqs:eu-west-1:1:q"}, "/Source/QueueUrl", "is no URL"),
        ({"QueueUrl": QUEUE, "EndpointUrl": "localhost"}, "/Source/EndpointUrl", "is no URL"),
        ({"QueueUrl": QUEUE, "Bucket": "data"}, "/Source/Bucket", "stands only without QueueUrl"),
        ({"QueueUrl": QUEUE, "VisibilityTimeout": 1}, "/Source/VisibilityTimeout", "2 to 43,200"),
        ({"QueueUrl": QUEUE, "VisibilityTimeout": True}, "/Source/VisibilityTimeout", "whole"),
        ({"QueueUrl": QUEUE, "MaxReceiveCount": 1.5}, "/Source/MaxReceiveCount", "1 to 1,000"),
        ({"QueueUrl": QUEUE, "Prefix": "in/"}, "/Source/Prefix", "there is no such field"),
        ({"Bucket": ""}, "/Source/Bucket", "must not be empty"),
        ({"Bucket": "no bucket"}, "/Source/Bucket", "cannot name a bucket"),
        ({"Bucket": "data", "Prefix": "é" * 513}, "/Source/Prefix", "more than 1024 bytes"),
        ({"Bucket": "data", "ScanSeconds": 0.5}, "/Source/ScanSeconds", "between 1 and 86400"),
        ({"Bucket": "data", "MaxReceiveCount": 5}, "/Source/MaxReceiveCount", "no such field"),
    ],
)
def test_mistakes_are_told_with_their_place(
    source: dict[str, Any], pointer: str, message: str
) -> None:
    ((where, what),) = mistakes(**source)

    assert where == pointer
    assert message in what


def test_what_is_listed_makes_the_name_and_how_it_is_listed_does_not() -> None:
    names = {
        parse(Bucket="data", Prefix="in/").name,
        parse(Bucket="data", Prefix="in/", ScanSeconds=5, Region="eu-west-1").name,
        parse(Bucket="data", Prefix="in/", ExistingObjects=False, DeletionEvents=True).name,
    }

    assert len(names) == 1
    assert parse(Bucket="data").name not in names
    assert parse(Bucket="data", Prefix="in/", EndpointUrl="http://localhost").name not in names


def test_the_queue_makes_the_name_and_how_it_is_read_does_not() -> None:
    names = {parse(QueueUrl=QUEUE).name, parse(QueueUrl=QUEUE, MaxReceiveCount=2).name}

    assert len(names) == 1
    assert parse(QueueUrl=f"{QUEUE}2").name not in names
