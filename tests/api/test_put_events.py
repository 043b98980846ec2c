"""PutEvents, by AWS's own client and by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # botocore has no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # botocore has no types

from eventmill.api.app import application
from eventmill.api.server import serving
from eventmill.errors import LogUnavailable
from eventmill.log.memory import MemoryEventLog
from tests.api.conftest import (
    BEGAN_SECONDS,
    MACHINE,
    Browser,
    Client,
    Disk,
    Reply,
    World,
    on_orders,
    running_system,
)

ORDER = {"Source": "my.shop", "DetailType": "Order Placed", "Detail": '{"total": 12}'}
DEFAULT_ARN = "arn:aws:events:local:000000000000:event-bus/default"


@pytest.fixture
async def bus_world(disk: Disk, tmp_path: Path) -> AsyncIterator[World]:
    log = MemoryEventLog(fail=disk)
    async with running_system(log, tmp_path, [on_orders()]) as world:
        yield world


@pytest.fixture
async def events(bus_world: World, aws: botocore.session.Session) -> AsyncIterator[Client]:
    async with serving(bus_world.system, "127.0.0.1", 0) as address:
        raw = aws.create_client(
            "events",
            region_name="us-east-1",
            endpoint_url=address.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"max_attempts": 0}),
        )
        yield Client(raw)
        raw.close()


async def put(world: World, *entries: Any) -> Reply:
    return await sent(world, json.dumps({"Entries": [*entries]}).encode())


async def sent(world: World, body: bytes, operation: str = "PutEvents") -> Reply:
    return await Browser(application(world.system))(
        body, target=f"AWSEvents.{operation}", content_type="application/x-amz-json-1.1"
    )


async def test_boto3_puts_events_that_start_executions(events: Client, bus_world: World) -> None:
    at = datetime(2026, 1, 31, 8, 0, tzinfo=timezone.utc)
    answer = await events(
        "put_events",
        Entries=[
            {**ORDER, "Time": at, "Resources": ["arn:one"], "EventBusName": "default"},
            {**ORDER, "DetailType": "Nobody Listens"},
        ],
    )
    ids = [entry["EventId"] for entry in answer["Entries"]]
    assert answer["FailedEntryCount"] == 0
    first = await bus_world.system.log.event("my.shop", ids[0])
    second = await bus_world.system.log.event("my.shop", ids[1])
    assert first is not None
    assert second is not None
    assert first.event.envelope() == {
        "version": "0",
        "id": ids[0],
        "detail-type": "Order Placed",
        "source": "my.shop",
        "account": "000000000000",
        "time": "2026-01-31T08:00:00Z",
        "region": "local",
        "resources": ["arn:one"],
        "detail": {"total": 12},
    }
    assert [*first.executions] == ["orders"]
    assert second.executions == {}
    assert second.event.at_ms == BEGAN_SECONDS * 1000
    rows = await bus_world.system.log.executions(state_machine_arn=f"{MACHINE}pass")
    assert [row.arn for row in rows] == [first.executions["orders"]]


async def test_each_call_makes_events_of_its_own(bus_world: World) -> None:
    one, other = await asyncio.gather(put(bus_world, ORDER), put(bus_world, ORDER))
    assert one.body["Entries"] != other.body["Entries"]
    assert len(await bus_world.system.log.inbox()) == 2


async def test_entries_that_cannot_be_taken_are_told_and_the_others_taken(
    events: Client, bus_world: World
) -> None:
    answer = await events(
        "put_events",
        Entries=[
            {**ORDER, "Detail": "{"},
            {**ORDER, "Detail": "[1]"},
            ORDER,
            {**ORDER, "Source": "aws.s3"},
            {"Source": "my.shop", "Detail": "{}"},
            {"DetailType": "T", "Detail": "{}"},
            {**ORDER, "Detail": ""},
            {**ORDER, "Detail": '{"a": "\\ud800"}'},
        ],
    )
    assert answer["FailedEntryCount"] == 7
    told = [(entry.get("ErrorCode"), entry.get("ErrorMessage")) for entry in answer["Entries"]]
    malformed = ("MalformedDetail", "Detail is malformed.")

    def missing(name: str) -> tuple[str, str]:
        reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
        return "InvalidArgument", reason

    assert told == [
        malformed,
        malformed,
        (None, None),
        ("NotAuthorizedForSourceException", "Not authorized for the source."),
        missing("DetailType"),
        missing("Source"),
        missing("Detail"),
        malformed,
    ]
    (kept,) = await bus_world.system.log.inbox()
    assert kept.event.id == answer["Entries"][2]["EventId"]


async def test_an_event_for_a_bus_that_does_not_exist_is_taken_and_nobody_hears_of_it(
    bus_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await put(bus_world, {**ORDER, "EventBusName": "other"})
    assert reply.body["FailedEntryCount"] == 0
    assert reply.body["Entries"][0]["EventId"]
    assert await bus_world.system.log.inbox() == []
    assert "there is no event bus 'other'" in caplog.text


@pytest.mark.parametrize("name", ["default", DEFAULT_ARN])
async def test_the_default_bus_may_be_named(bus_world: World, name: str) -> None:
    await put(bus_world, {**ORDER, "EventBusName": name})
    assert len(await bus_world.system.log.inbox()) == 1


async def test_ten_entries_are_the_most(events: Client, bus_world: World) -> None:
    answer = await events("put_events", Entries=[ORDER] * 10)
    assert answer["FailedEntryCount"] == 0
    code, message = await events.refused("put_events", Entries=[ORDER] * 11)
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value '[")
    assert message.endswith(
        "at 'entries' failed to satisfy constraint: "
        "Member must have length less than or equal to 10"
    )
    assert len(await bus_world.system.log.inbox()) == 10


@pytest.mark.parametrize("beyond", [0, 1])
async def test_all_entries_together_have_a_mebibyte_at_most(
    events: Client, bus_world: World, beyond: int
) -> None:
    short = '{"a": "short"}'
    texts = 2 * len("my.shop" + "Order Placed") + len("arn:é".encode()) + len(short)
    left = 1_048_576 - texts - 14 - len('{"a": ""}') + beyond
    long = '{"a": "' + "x" * left + '"}'
    entries = [
        {**ORDER, "Detail": long, "Time": 0, "Resources": ["arn:é"]},
        {**ORDER, "Detail": short},
    ]
    if beyond:
        code, message = await events.refused("put_events", Entries=entries)
        assert code == "ValidationException"
        assert message == "Total size of the entries in the request is over the limit."
    else:
        assert (await events("put_events", Entries=entries))["FailedEntryCount"] == 0
    assert len(await bus_world.system.log.inbox()) == (0 if beyond else 2)


async def test_a_detail_that_takes_more_room_escaped_is_taken(bus_world: World) -> None:
    detail = json.dumps({"a": '"' * 400_000})
    assert len(json.dumps(detail)) > 1_500_000
    reply = await put(bus_world, {**ORDER, "Detail": detail})
    assert (reply.status, reply.body["FailedEntryCount"]) == (200, 0)


async def test_a_disk_that_refuses_fails_the_entries(bus_world: World, disk: Disk) -> None:
    disk.error = LogUnavailable("the disk is full")
    reply = await put(bus_world, ORDER, {**ORDER, "Detail": "{"})
    assert (reply.status, reply.body) == (
        200,
        {
            "FailedEntryCount": 2,
            "Entries": [
                {"ErrorCode": "InternalFailure", "ErrorMessage": "the disk is full; try again"},
                {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."},
            ],
        },
    )


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"{", "SerializationException", "The body is not JSON: "),
        (b"{}", "ValidationException", "1 validation error detected: Value null at 'entries'"),
        (b"[]", "ValidationException", "1 validation error detected: Value null at 'entries'"),
        (b'{"Entries": 1}', "SerializationException", "Expected list or null: 'Entries'"),
        (b'{"Entries": []}', "ValidationException", "1 validation error detected: Value '[]'"),
        (b'{"Entries": [1]}', "SerializationException", "Expected a structure: 'Entries[0]'"),
        (
            b'{"Entries": [{}, {"Detail": {}}]}',
            "SerializationException",
            "'Entries[1].Detail' must be a String",
        ),
        (
            b'{"Entries": [{"Time": "now"}]}',
            "SerializationException",
            "'Entries[0].Time' must be a Timestamp",
        ),
        (
            b'{"Entries": [{"Resources": [1]}]}',
            "SerializationException",
            "'Entries[0].Resources' must be a list of Strings",
        ),
    ],
)
async def test_requests_of_the_wrong_form(
    bus_world: World, body: bytes, kind: str, message: str
) -> None:
    reply = await sent(bus_world, body)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/x-amz-json-1.1"
    assert reply.body["__type"].split("#")[1] == kind
    assert reply.body["message"].startswith(message)


async def test_a_time_that_nobody_can_write_is_refused(bus_world: World) -> None:
    reply = await put(bus_world, {**ORDER, "Time": 1e15}, {**ORDER, "Time": -1.5})
    assert [entry.get("ErrorCode") for entry in reply.body["Entries"]] == ["InvalidArgument", None]


async def test_other_operations_and_types(bus_world: World) -> None:
    reply = await sent(bus_world, b"{}", "PutRule")
    assert reply.body["__type"].endswith("#UnknownOperationException")
    reply = await Browser(application(bus_world.system))(b"{}", target="AWSEvents.PutEvents")
    assert reply.status == 415
    assert "application/x-amz-json-1.1" in reply.body["message"]
