"""SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat: callbacks from anywhere."""

import asyncio

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore has no types

from eventmill.errors import LogUnavailable
from eventmill.machine.tokens import task_token
from eventmill.ports import Transaction
from eventmill.runtime.replay import history
from tests.api.conftest import EXECUTION, MACHINE, Browser, Client, Disk, World, finished
from tests.runtime.world import settled

ARN = f"{EXECUTION}callback:one"
GONE = ("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
CALLS = {
    "send_task_success": {"output": "1"},
    "send_task_failure": {},
    "send_task_heartbeat": {},
}


async def asked(client: Client, world: World) -> str:
    """The token of a task that now waits."""
    await client("start_execution", stateMachineArn=f"{MACHINE}callback", name="one")
    return await world.tokens.get()


async def test_a_callback_ends_the_task_with_its_output(client: Client, any_world: World) -> None:
    token = await asked(client, any_world)
    output = '{ "by":  "hand" }'
    assert await client("send_task_success", taskToken=token, output=output) == {}
    # No waiting here: what was answered is durable.
    described = await client("describe_execution", executionArn=ARN)
    assert (described["status"], described["output"]) == ("SUCCEEDED", output)

    shown = (await client("get_execution_history", executionArn=ARN))["events"]
    assert [each["type"] for each in shown] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    row = await any_world.system.log.execution(ARN)
    assert row is not None
    stored = history(await any_world.system.log.read(row.id))[5]
    assert shown[5]["taskSucceededEventDetails"] == {
        "resource": stored.text("resource"),
        "resourceType": "lambda",
        "output": output,
        "outputDetails": {"truncated": False},
    }


@pytest.mark.parametrize(
    "reasons", [{"error": "E", "cause": "because"}, {"error": "E"}, {"cause": "because"}, {}]
)
async def test_a_callback_makes_the_task_fail(
    client: Client, any_world: World, reasons: dict[str, str]
) -> None:
    token = await asked(client, any_world)
    assert await client("send_task_failure", taskToken=token, **reasons) == {}
    described = await client("describe_execution", executionArn=ARN)
    assert described["status"] == "FAILED"
    assert {name: described[name] for name in ("error", "cause") if name in described} == reasons


async def test_heartbeats_keep_a_task_alive_and_leave_no_events(
    client: Client, any_world: World
) -> None:
    token = await asked(client, any_world)
    for _ in range(3):
        any_world.clock.advance(29_000)
        assert await client("send_task_heartbeat", taskToken=token) == {}
    types = [
        each["type"] for each in (await client("get_execution_history", executionArn=ARN))["events"]
    ]
    assert types[-1] == "TaskSubmitted"

    any_world.clock.advance(30_000)
    await finished(any_world, ARN)
    assert await client.refused("send_task_heartbeat", taskToken=token) == GONE
    described = await client("describe_execution", executionArn=ARN)
    assert (described["status"], described["error"]) == ("FAILED", "States.Timeout")


async def test_an_answer_that_comes_too_late_by_the_clock_is_not_taken(
    world: World, browser: Browser
) -> None:
    definition = (
        '{"StartAt":"A","States":{"A":{"Type":"Task","TimeoutSeconds":5,"End":true,'
        '"Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",'
        '"Parameters":{"FunctionName":"ask","Payload":{"token.$":"$$.Task.Token"}}}}}'
    )
    world.system.catalog.add("hurry", definition)
    await browser.call("StartExecution", stateMachineArn=f"{MACHINE}hurry", name="one")
    token = await world.tokens.get()
    await settled()
    world.clock._now_ms += 5_000  # the time is over, and nobody has been woken yet
    reply = await browser.call("SendTaskSuccess", taskToken=token, output="1")
    assert (reply.status, reply.body["message"]) == (400, GONE[1])
    described = await browser.call("DescribeExecution", executionArn=f"{EXECUTION}hurry:one")
    assert (described.body["status"], described.body["error"]) == ("FAILED", "States.Timeout")


@pytest.mark.parametrize(("operation", "members"), CALLS.items())
async def test_the_token_of_a_task_that_has_ended_is_refused(
    client: Client, any_world: World, operation: str, members: dict[str, str]
) -> None:
    token = await asked(client, any_world)
    await client("send_task_success", taskToken=token, output="1")
    assert await client.refused(operation, taskToken=token, **members) == GONE


@pytest.mark.parametrize(("operation", "members"), CALLS.items())
async def test_the_token_of_an_attempt_before_is_refused(
    client: Client, any_world: World, operation: str, members: dict[str, str]
) -> None:
    await client("start_execution", stateMachineArn=f"{MACHINE}twice", name="one")
    first = await any_world.tokens.get()
    await client("send_task_failure", taskToken=first, error="Again")
    any_world.clock.advance(1_000)
    second = await any_world.tokens.get()
    assert await client.refused(operation, taskToken=first, **members) == GONE
    assert await client(operation, taskToken=second, **members) == {}


async def test_of_many_answers_at_once_one_is_taken(client: Client, any_world: World) -> None:
    token = await asked(client, any_world)

    async def answer(number: int) -> str:
        try:
            await client("send_task_success", taskToken=token, output=str(number))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(number)

    answers = await asyncio.gather(*(answer(number) for number in range(8)))
    described = await client("describe_execution", executionArn=ARN)
    assert sorted(answers) == sorted([described["output"], *["TaskTimedOut"] * 7])


@pytest.mark.parametrize(("operation", "members"), CALLS.items())
async def test_a_token_that_is_not_ours_is_refused(
    client: Client, any_world: World, operation: str, members: dict[str, str]
) -> None:
    token = await asked(client, any_world)
    forged = task_token(ARN, 1, 3)
    foreign = task_token(f"{EXECUTION}callback:none", 1, 3)
    changed = ("B" if token[0] == "A" else "A") + token[1:]
    for bad in ("x", "é", token[:-4], changed, forged, foreign, f" {token}"):
        refused = await client.refused(operation, taskToken=bad, **members)
        assert refused == ("InvalidToken", f"Invalid Token: '{bad[:80]}'")
    assert await client(operation, taskToken=token, **members) == {}


async def test_the_checks_come_in_the_order_of_the_service(
    client: Client, any_world: World, browser_of_any: Browser
) -> None:
    token = await asked(client, any_world)
    not_json = ("InvalidOutput", "Invalid Output: 'not-json' is not valid JSON.")

    nothing = await browser_of_any.call("SendTaskSuccess", taskToken="")
    assert nothing.body == {
        "__type": "com.amazon.coral.validate#ValidationException",
        "message": "2 validation errors detected: Value '' at 'taskToken' failed to satisfy "
        "constraint: Member must have length greater than or equal to 1; Value at 'output' "
        "failed to satisfy constraint: Member must not be null",
    }
    bad = await client.refused("send_task_success", taskToken="x", output="not-json")
    assert bad[0] == "InvalidToken"
    # A live token is not used up by what is no JSON; of a dead one JSON is asked all the same.
    for _ in range(2):
        refused = await client.refused("send_task_success", taskToken=token, output="not-json")
        assert refused == not_json
    await client("send_task_success", taskToken=token, output="1")
    refused = await client.refused("send_task_success", taskToken=token, output="not-json")
    assert refused == not_json
    assert await client.refused("send_task_success", taskToken=token, output="1") == GONE


async def test_an_output_over_the_quota_is_refused_and_the_task_goes_on_waiting(
    client: Client, any_world: World
) -> None:
    token = await asked(client, any_world)
    too_large = '"' + "x" * 262_143 + '"'
    assert await client.refused("send_task_success", taskToken=token, output=too_large) == (
        "ValidationException",
        "1 validation error detected: Value at 'output' failed to satisfy constraint: "
        "Member must have length less than or equal to 262144",
    )
    exactly = '"' + "x" * 262_142 + '"'
    assert await client("send_task_success", taskToken=token, output=exactly) == {}


async def test_a_task_that_waits_in_the_log_only_is_answered_there(
    client: Client, any_world: World
) -> None:
    token = await asked(client, any_world)
    await settled()
    await any_world.system.log.commit(Transaction())  # durable after all that came before it
    assert any_world.system.engine.in_memory == 0
    assert await client("send_task_heartbeat", taskToken=token) == {}
    assert await client("send_task_success", taskToken=token, output="1") == {}
    described = await client("describe_execution", executionArn=ARN)
    assert (described["status"], described["output"]) == ("SUCCEEDED", "1")


async def test_an_answer_is_kept_until_the_disk_takes_it(
    world: World, browser: Browser, disk: Disk
) -> None:
    await browser.call("StartExecution", stateMachineArn=f"{MACHINE}callback", name="one")
    token = await world.tokens.get()
    await settled()
    disk.error = LogUnavailable("no space left on device")
    answer = asyncio.ensure_future(browser.call("SendTaskSuccess", taskToken=token, output="1"))
    await settled()
    assert not answer.done()  # it is not durable, so nobody says it were
    disk.error = None
    world.clock.advance(250)
    assert (await answer).status == 200
    described = await browser.call("DescribeExecution", executionArn=ARN)
    assert described.body["status"] == "SUCCEEDED"
