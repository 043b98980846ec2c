"""GetExecutionHistory: what the machine wrote, in AWS's words, parsed by AWS's client."""

from typing import Any

import pytest

from eventmill.runtime.replay import history
from tests.api.conftest import BEGAN, EXECUTION, MACHINE, Browser, Client, World, finished

WHOLE = {"truncated": False}
ARN = f"{EXECUTION}pass:one"


def event(id: int, previous: int, type: str, **details: Any) -> dict[str, Any]:
    return {"id": id, "previousEventId": previous, "timestamp": BEGAN, "type": type, **details}


def passed(text: str) -> list[dict[str, Any]]:
    """The history of the execution of a lone Pass state."""
    given = {"input": text, "inputDetails": WHOLE}
    got = {"output": text, "outputDetails": WHOLE}
    started = {**given, "roleArn": "arn:aws:iam::000000000000:role/eventmill"}
    return [
        event(1, 0, "ExecutionStarted", executionStartedEventDetails=started),
        event(2, 0, "PassStateEntered", stateEnteredEventDetails={"name": "P", **given}),
        event(3, 2, "PassStateExited", stateExitedEventDetails={"name": "P", **got}),
        event(4, 3, "ExecutionSucceeded", executionSucceededEventDetails=got),
    ]


@pytest.fixture
async def done(client: Client, any_world: World) -> None:
    await client("start_execution", stateMachineArn=f"{MACHINE}pass", name="one", input='{ "a":1}')
    await finished(any_world, ARN)


@pytest.mark.usefixtures("done")
async def test_the_history_is_shown_from_either_end(client: Client) -> None:
    assert await client("get_execution_history", executionArn=ARN) == {"events": passed('{ "a":1}')}
    assert await client("get_execution_history", executionArn=ARN, reverseOrder=True) == {
        "events": passed('{ "a":1}')[::-1]
    }


@pytest.mark.usefixtures("done")
async def test_without_execution_data_the_details_stay(client: Client) -> None:
    shown = await client("get_execution_history", executionArn=ARN, includeExecutionData=False)
    role = {"roleArn": "arn:aws:iam::000000000000:role/eventmill"}
    assert shown == {
        "events": [
            event(1, 0, "ExecutionStarted", executionStartedEventDetails=role),
            event(2, 0, "PassStateEntered", stateEnteredEventDetails={"name": "P"}),
            event(3, 2, "PassStateExited", stateExitedEventDetails={"name": "P"}),
            event(4, 3, "ExecutionSucceeded", executionSucceededEventDetails={}),
        ]
    }


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_pages_of_many_steps_join_into_the_history_as_stored(
    world: World, browser: Browser, size: int, newest_first: bool
) -> None:
    await browser.call("StartExecution", stateMachineArn=f"{MACHINE}twice", name="one")
    arn = f"{EXECUTION}twice:one"
    token = await world.tokens.get()
    await browser.call("SendTaskHeartbeat", taskToken=token)  # internal: it is never shown
    await browser.call("SendTaskFailure", taskToken=token, error="Again")
    world.clock.advance(1_000)
    token = await world.tokens.get()
    await browser.call("SendTaskSuccess", taskToken=token, output="1")
    await finished(world, arn)

    row = await world.system.log.execution(arn)
    assert row is not None
    steps = await world.system.log.read(row.id)
    stored = [(each.id, each.previous_id, each.type) for each in history(steps)]
    assert len(steps) > 4

    events: list[dict[str, Any]] = []
    members: dict[str, str] = {}
    while True:
        page = await browser.call(
            "GetExecutionHistory",
            executionArn=arn,
            maxResults=size,
            reverseOrder=newest_first,
            **members,
        )
        events += page.body["events"]
        if "nextToken" not in page.body:
            break
        assert len(page.body["events"]) == size
        members = {"nextToken": page.body["nextToken"]}
    shown = [(each["id"], each["previousEventId"], each["type"]) for each in events]
    assert shown == (stored[::-1] if newest_first else stored)


async def test_a_history_that_still_grows_goes_on_after_the_last_page(
    world: World, browser: Browser
) -> None:
    arn = f"{EXECUTION}callback:one"
    await browser.call("StartExecution", stateMachineArn=f"{MACHINE}callback", name="one")
    token = await world.tokens.get()
    first = await browser.call("GetExecutionHistory", executionArn=arn, maxResults=2)
    await browser.call("SendTaskSuccess", taskToken=token, output="1")
    rest = await browser.call(
        "GetExecutionHistory", executionArn=arn, nextToken=first.body["nextToken"]
    )
    types = [each["type"] for each in first.body["events"] + rest.body["events"]]
    assert types[:3] == ["ExecutionStarted", "TaskStateEntered", "TaskScheduled"]
    assert types[-1] == "ExecutionSucceeded"


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("token", ["x", "W10=", "bm90IGpzb24=", "é"])
async def test_a_wrong_page_token_is_refused(client: Client, token: str) -> None:
    assert await client.refused("get_execution_history", executionArn=ARN, nextToken=token) == (
        "InvalidToken",
        "Invalid Token: 'Invalid token'",
    )


@pytest.mark.usefixtures("done")
async def test_a_page_token_does_not_turn_the_order(client: Client) -> None:
    page = await client("get_execution_history", executionArn=ARN, maxResults=1)
    refused = await client.refused(
        "get_execution_history", executionArn=ARN, reverseOrder=True, nextToken=page["nextToken"]
    )
    assert refused == ("InvalidToken", "Invalid Token: 'Invalid token'")
