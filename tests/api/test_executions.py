"""StartExecution, StopExecution, DescribeExecution, ListExecutions, asked by AWS's own client."""

import asyncio
from datetime import datetime, timezone
from uuid import UUID

import pytest

from eventmill.errors import LogUnavailable
from tests.api.conftest import (
    BEGAN,
    BEGAN_SECONDS,
    EXECUTION,
    MACHINE,
    Browser,
    Client,
    Disk,
    World,
    finished,
)

NOT_REDRIVABLE = {
    "redriveCount": 0,
    "redriveStatus": "NOT_REDRIVABLE",
    "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
}


async def test_an_execution_is_started_and_described(client: Client, any_world: World) -> None:
    text = '{ "a":\t1.00, "λ": "\\u03bb" }'
    started = await client(
        "start_execution", stateMachineArn=f"{MACHINE}pass", name="one", input=text
    )
    assert started == {"executionArn": f"{EXECUTION}pass:one", "startDate": BEGAN}

    await finished(any_world, started["executionArn"])
    assert await client("describe_execution", executionArn=started["executionArn"]) == {
        "executionArn": f"{EXECUTION}pass:one",
        "stateMachineArn": f"{MACHINE}pass",
        "name": "one",
        "status": "SUCCEEDED",
        "startDate": BEGAN,
        "stopDate": BEGAN,
        "input": text,
        "inputDetails": {"included": True},
        "output": text,
        "outputDetails": {"included": True},
        **NOT_REDRIVABLE,
    }


async def test_a_start_without_name_and_input_gets_a_uuid_and_an_object(client: Client) -> None:
    started = await client("start_execution", stateMachineArn=f"{MACHINE}sleep")
    name = started["executionArn"].removeprefix(f"{EXECUTION}sleep:")
    assert str(UUID(name)) == name
    described = await client("describe_execution", executionArn=started["executionArn"])
    assert described == {
        "executionArn": started["executionArn"],
        "stateMachineArn": f"{MACHINE}sleep",
        "name": name,
        "status": "RUNNING",
        "startDate": BEGAN,
        "input": "{}",
        "inputDetails": {"included": True},
        "redriveCount": 0,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is RUNNING and cannot be redriven",
    }


async def test_the_same_start_while_it_runs_gets_the_same_answer(
    client: Client, any_world: World
) -> None:
    start = {"stateMachineArn": f"{MACHINE}sleep", "name": "one", "input": '{"n": 1}'}
    first = await client("start_execution", **start)
    any_world.clock.advance(1_000)
    assert await client("start_execution", **start) == first
    assert len(await any_world.system.log.executions()) == 1

    taken = ("ExecutionAlreadyExists", f"Execution Already Exists: '{EXECUTION}sleep:one'")
    assert await client.refused("start_execution", **{**start, "input": '{"n":1}'}) == taken

    await client("stop_execution", executionArn=first["executionArn"])
    assert await client.refused("start_execution", **start) == taken


async def test_of_many_equal_starts_at_once_one_starts(client: Client, any_world: World) -> None:
    start = {"stateMachineArn": f"{MACHINE}sleep", "name": "one", "input": "1"}
    answers = await asyncio.gather(*(client("start_execution", **start) for _ in range(8)))
    assert answers == [answers[0]] * 8
    assert len(await any_world.system.log.executions()) == 1


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        (
            {"stateMachineArn": "pass"},
            "InvalidArn",
            "Invalid Arn: 'Invalid ARN prefix: pass'",
        ),
        (
            {"stateMachineArn": f"{EXECUTION}pass:one"},
            "InvalidArn",
            "Invalid Arn: 'Resource type not valid in this context: execution'",
        ),
        (
            {"stateMachineArn": "arn:aws:lambda:local:000000000000:function:f"},
            "InvalidArn",
            "Invalid Arn: 'arn:aws:lambda:local:000000000000:function:f is not of the form "
            "arn:aws:states:<region>:<account>:stateMachine:<name>'",
        ),
        (
            {"stateMachineArn": f"{MACHINE}none"},
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{MACHINE}none'",
        ),
        ({"name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
        (
            {"name": "n" * 81},
            "ValidationException",
            f"1 validation error detected: Value '{'n' * 81}' at 'name' failed to satisfy "
            "constraint: Member must have length less than or equal to 80",
        ),
        (
            {"input": "not some json"},
            "InvalidExecutionInput",
            "Invalid State Machine Execution Input: 'Unrecognized token 'not': was expecting "
            "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')'",
        ),
        (
            {"input": "{'not': 'json'"},
            "InvalidExecutionInput",
            "Invalid State Machine Execution Input: 'Unexpected character (''' (code 39)): "
            "was expecting double-quote to start field name'",
        ),
        (
            {"input": ""},
            "InvalidExecutionInput",
            "Invalid State Machine Execution Input: 'Invalid execution input.'",
        ),
        (
            {"input": '"' + "ä" * 131_072 + '"'},
            "ValidationException",
            "1 validation error detected: Value at 'input' failed to satisfy constraint: "
            "Member must have length less than or equal to 262144",
        ),
        (
            {"traceHeader": "ä"},
            "ValidationException",
            "1 validation error detected: Value 'ä' at 'traceHeader' failed to satisfy "
            r"constraint: Member must satisfy regular expression pattern: \p{ASCII}*",
        ),
    ],
)
async def test_a_bad_start_is_refused_and_leaves_no_trace(
    world: World, browser: Browser, members: dict[str, str], code: str, message: str
) -> None:
    reply = await browser.call(
        "StartExecution", **{"stateMachineArn": f"{MACHINE}pass", "name": "one", **members}
    )
    assert (reply.status, reply.body["message"]) == (400, message)
    assert reply.body["__type"].split("#")[1] == code
    assert await world.system.log.executions() == []


@pytest.mark.parametrize("text", ["NaN", "[" * 100_000, '"\\ud800"', "1 2", "{}\x00"])
async def test_what_looks_like_json_and_is_not_is_refused(browser: Browser, text: str) -> None:
    reply = await browser.call("StartExecution", stateMachineArn=f"{MACHINE}pass", input=text)
    assert reply.status == 400
    assert reply.body["__type"] == "com.amazonaws.swf.service.v2.model#InvalidExecutionInput"


async def test_an_input_of_exactly_the_quota_is_taken(client: Client, any_world: World) -> None:
    text = '"' + "x" * 262_142 + '"'
    started = await client("start_execution", stateMachineArn=f"{MACHINE}pass", input=text)
    await finished(any_world, started["executionArn"])
    described = await client("describe_execution", executionArn=started["executionArn"])
    assert described["output"] == text


async def test_stopping_is_durable_and_happens_once(client: Client, any_world: World) -> None:
    arn = (await client("start_execution", stateMachineArn=f"{MACHINE}sleep", name="one"))[
        "executionArn"
    ]
    any_world.clock.advance(1_500)
    stopped = await client("stop_execution", executionArn=arn, error="Enough", cause="by hand")
    assert stopped == {"stopDate": datetime.fromtimestamp(BEGAN_SECONDS + 1.5, timezone.utc)}

    any_world.clock.advance(1_000)
    assert await client("stop_execution", executionArn=arn, cause="another") == stopped
    described = await client("describe_execution", executionArn=arn)
    assert described == {
        "executionArn": arn,
        "stateMachineArn": f"{MACHINE}sleep",
        "name": "one",
        "status": "ABORTED",
        "startDate": BEGAN,
        **stopped,
        "error": "Enough",
        "cause": "by hand",
        "input": "{}",
        "inputDetails": {"included": True},
        "redriveCount": 0,
        "redriveStatus": "REDRIVABLE",
    }


async def test_many_who_stop_at_once_are_all_answered(client: Client) -> None:
    arn = (await client("start_execution", stateMachineArn=f"{MACHINE}sleep"))["executionArn"]
    answers = await asyncio.gather(*(client("stop_execution", executionArn=arn) for _ in range(8)))
    assert answers == [{"stopDate": BEGAN}] * 8


@pytest.mark.parametrize(
    ("machine", "reasons"), [("fail", {"error": "E", "cause": "because"}), ("bare-fail", {})]
)
async def test_a_failure_is_described_with_the_reasons_it_has(
    client: Client, any_world: World, machine: str, reasons: dict[str, str]
) -> None:
    arn = (await client("start_execution", stateMachineArn=MACHINE + machine, name="one"))[
        "executionArn"
    ]
    await finished(any_world, arn)
    assert await client("describe_execution", executionArn=arn) == {
        "executionArn": f"{EXECUTION}{machine}:one",
        "stateMachineArn": f"{MACHINE}{machine}",
        "name": "one",
        "status": "FAILED",
        "startDate": BEGAN,
        "stopDate": BEGAN,
        "input": "{}",
        "inputDetails": {"included": True},
        "redriveCount": 0,
        "redriveStatus": "REDRIVABLE",
        **reasons,
    }


async def test_a_timeout_is_described_without_error_and_cause(
    client: Client, any_world: World
) -> None:
    arn = (await client("start_execution", stateMachineArn=f"{MACHINE}sleep", name="one"))[
        "executionArn"
    ]
    any_world.clock.advance(60_000)
    await finished(any_world, arn)
    described = await client("describe_execution", executionArn=arn)
    assert described == {
        "executionArn": arn,
        "stateMachineArn": f"{MACHINE}sleep",
        "name": "one",
        "status": "TIMED_OUT",
        "startDate": BEGAN,
        "stopDate": datetime.fromtimestamp(BEGAN_SECONDS + 60, timezone.utc),
        "input": "{}",
        "inputDetails": {"included": True},
        "redriveCount": 0,
        "redriveStatus": "REDRIVABLE",
    }


async def test_metadata_alone_is_described_without_payloads_and_reasons(
    client: Client, any_world: World
) -> None:
    arn = (await client("start_execution", stateMachineArn=f"{MACHINE}fail", name="one"))[
        "executionArn"
    ]
    await finished(any_world, arn)
    described = await client("describe_execution", executionArn=arn, includedData="METADATA_ONLY")
    assert described == {
        "executionArn": arn,
        "stateMachineArn": f"{MACHINE}fail",
        "name": "one",
        "status": "FAILED",
        "startDate": BEGAN,
        "stopDate": BEGAN,
        "redriveCount": 0,
        "redriveStatus": "REDRIVABLE",
    }


@pytest.mark.parametrize(
    "operation", ["describe_execution", "stop_execution", "get_execution_history"]
)
async def test_an_execution_that_is_not_there_is_told_from_a_bad_arn(
    client: Client, operation: str
) -> None:
    for arn, error in {
        f"{EXECUTION}pass:none": (
            "ExecutionDoesNotExist",
            f"Execution Does Not Exist: '{EXECUTION}pass:none'",
        ),
        "invalid_arn": ("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: invalid_arn'"),
        "arn:aws:states:local:000000000000:express:pass:one:two": (
            "InvalidArn",
            "Invalid Arn: 'Resource type not valid in this context: express'",
        ),
    }.items():
        assert await client.refused(operation, executionArn=arn) == error


async def test_executions_are_listed_newest_first_page_by_page(
    client: Client, any_world: World
) -> None:
    for number in range(5):
        machine = "sleep" if number % 2 else "pass"
        await client("start_execution", stateMachineArn=MACHINE + machine, name=f"n{number}")
    await finished(any_world, f"{EXECUTION}pass:n4")

    first = await client("list_executions", stateMachineArn=f"{MACHINE}pass", maxResults=2)
    token = first.pop("nextToken")
    second = await client(
        "list_executions", stateMachineArn=f"{MACHINE}pass", maxResults=2, nextToken=token
    )
    assert [first, second] == [
        {"executions": [listed("n4"), listed("n2")]},
        {"executions": [listed("n0")]},
    ]


def listed(name: str) -> dict[str, object]:
    return {
        "executionArn": f"{EXECUTION}pass:{name}",
        "stateMachineArn": f"{MACHINE}pass",
        "name": name,
        "status": "SUCCEEDED",
        "startDate": BEGAN,
        "stopDate": BEGAN,
        "redriveCount": 0,
    }


async def test_executions_are_listed_by_status(client: Client, any_world: World) -> None:
    for name in ("one", "two"):
        await client("start_execution", stateMachineArn=f"{MACHINE}sleep", name=name)
    await client("stop_execution", executionArn=f"{EXECUTION}sleep:one")

    for status, names in {"RUNNING": ["two"], "ABORTED": ["one"], "PENDING_REDRIVE": []}.items():
        found = await client(
            "list_executions", stateMachineArn=f"{MACHINE}sleep", statusFilter=status
        )
        assert [each["name"] for each in found["executions"]] == names
    running = await client(
        "list_executions", stateMachineArn=f"{MACHINE}sleep", statusFilter="RUNNING"
    )
    assert running == {
        "executions": [
            {
                "executionArn": f"{EXECUTION}sleep:two",
                "stateMachineArn": f"{MACHINE}sleep",
                "name": "two",
                "status": "RUNNING",
                "startDate": BEGAN,
                "redriveCount": 0,
            }
        ]
    }


async def test_a_page_is_full_without_another_when_nothing_is_left(client: Client) -> None:
    await client("start_execution", stateMachineArn=f"{MACHINE}sleep")
    page = await client("list_executions", stateMachineArn=f"{MACHINE}sleep", maxResults=1)
    assert (len(page["executions"]), "nextToken" in page) == (1, False)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({}, ("ValidationException", "Must provide a StateMachine ARN or MapRun ARN")),
        (
            {"stateMachineArn": f"{MACHINE}pass", "mapRunArn": f"{MACHINE}pass"},
            ("ValidationException", "Must provide a StateMachine ARN or MapRun ARN"),
        ),
        (
            {"stateMachineArn": f"{MACHINE}pass", "redriveFilter": "REDRIVEN"},
            (
                "ValidationException",
                "RedriveFilter cannot be applied to ListExecutions call with StateMachine ARN",
            ),
        ),
        (
            {"mapRunArn": "arn:aws:states:local:000000000000:mapRun:pass/label:id"},
            (
                "ResourceNotFound",
                "Resource not found: 'arn:aws:states:local:000000000000:mapRun:pass/label:id'",
            ),
        ),
        ({"mapRunArn": "x"}, ("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'")),
        ({"stateMachineArn": "x"}, ("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'")),
        (
            {"stateMachineArn": f"{MACHINE}none"},
            ("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{MACHINE}none'"),
        ),
        (
            {"stateMachineArn": f"{MACHINE}pass", "nextToken": "bm9uZQ=="},
            ("InvalidToken", "Invalid Token: 'Invalid token'"),
        ),
        (
            {"stateMachineArn": f"{MACHINE}pass", "statusFilter": "DONE", "maxResults": 1001},
            (
                "ValidationException",
                "2 validation errors detected: Value 'DONE' at 'statusFilter' failed to satisfy "
                "constraint: Member must satisfy enum value set: [RUNNING, SUCCEEDED, FAILED, "
                "TIMED_OUT, ABORTED, PENDING_REDRIVE]; Value '1001' at 'maxResults' failed to "
                "satisfy constraint: Member must have value less than or equal to 1000",
            ),
        ),
    ],
)
async def test_a_bad_listing_is_refused(
    client: Client, members: dict[str, str], error: tuple[str, str]
) -> None:
    assert await client.refused("list_executions", **members) == error


async def test_a_page_token_is_good_for_its_own_request_only(client: Client) -> None:
    for _ in range(2):
        await client("start_execution", stateMachineArn=f"{MACHINE}sleep")
    page = await client("list_executions", stateMachineArn=f"{MACHINE}sleep", maxResults=1)
    bad = ("InvalidToken", "Invalid Token: 'Invalid token'")
    for members in (
        {"stateMachineArn": f"{MACHINE}pass"},
        {"stateMachineArn": f"{MACHINE}sleep", "statusFilter": "RUNNING"},
    ):
        refused = client.refused("list_executions", nextToken=page["nextToken"], **members)
        assert await refused == bad
    assert await client.refused("list_state_machines", nextToken=page["nextToken"]) == bad


async def test_a_start_that_the_disk_refuses_says_so(
    world: World, browser: Browser, disk: Disk
) -> None:
    disk.error = LogUnavailable("no space left on device")
    reply = await browser.call("StartExecution", stateMachineArn=f"{MACHINE}pass", name="one")
    assert (reply.status, reply.body) == (
        503,
        {
            "__type": "com.amazon.coral.service#ServiceUnavailable",
            "message": "no space left on device; try again",
        },
    )
    disk.error = None
    reply = await browser.call("StartExecution", stateMachineArn=f"{MACHINE}pass", name="one")
    assert reply.status == 200
