"""Map Runs through the API: described, listed, and their children."""

from typing import Any

from tests.api.conftest import EXECUTION, MACHINE, Browser, World

RUN = {"stateMachineArn": f"{MACHINE}spread", "name": "one", "input": "[1, null, 2]"}


async def map_run(world: World, browser: Browser) -> dict[str, Any]:
    """Start an execution, wait for its end, and return its only Map Run as it is listed."""
    started = await browser.call("StartExecution", **RUN)
    row = await world.system.log.execution(started.body["executionArn"])
    assert row is not None
    await world.system.engine.ended(row.id)
    listed = await browser.call("ListMapRuns", executionArn=started.body["executionArn"])
    (run,) = listed.body["mapRuns"]
    return dict(run)


async def test_a_map_run_is_described_with_its_counts(world: World, browser: Browser) -> None:
    run = await map_run(world, browser)

    described = (await browser.call("DescribeMapRun", mapRunArn=run["mapRunArn"])).body

    counts = {
        "pending": 0,
        "running": 0,
        "succeeded": 2,
        "failed": 1,
        "timedOut": 0,
        "aborted": 0,
        "total": 3,
        "resultsWritten": 3,
        "failuresNotRedrivable": 0,
        "pendingRedrive": 0,
    }
    assert run == {
        "executionArn": f"{EXECUTION}spread:one",
        "mapRunArn": described["mapRunArn"],
        "stateMachineArn": f"{MACHINE}spread/Each",
        "startDate": described["startDate"],
        "stopDate": described["stopDate"],
    }
    assert described == {
        "mapRunArn": run["mapRunArn"],
        "executionArn": f"{EXECUTION}spread:one",
        "status": "SUCCEEDED",
        "startDate": described["startDate"],
        "stopDate": described["stopDate"],
        "maxConcurrency": 2_147_483_647,
        "toleratedFailurePercentage": 0.0,
        "toleratedFailureCount": 1,
        "itemCounts": counts,
        "executionCounts": counts,
        "redriveCount": 0,
    }


async def test_children_are_listed_by_their_map_run_only(world: World, browser: Browser) -> None:
    arn = (await map_run(world, browser))["mapRunArn"]

    children = (await browser.call("ListExecutions", mapRunArn=arn)).body["executions"]
    failed = await browser.call("ListExecutions", mapRunArn=arn, statusFilter="FAILED")
    parents = await browser.call("ListExecutions", stateMachineArn=f"{MACHINE}spread")

    assert [child["status"] for child in children] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert {child["stateMachineArn"] for child in children} == {f"{MACHINE}spread/Each"}
    assert {(child["mapRunArn"], child["itemCount"]) for child in children} == {(arn, 1)}
    assert [child["executionArn"] for child in failed.body["executions"]] == [
        children[1]["executionArn"]
    ]
    assert [each["name"] for each in parents.body["executions"]] == ["one"]


async def test_a_child_is_described_and_redriven_by_its_map_run(
    world: World, browser: Browser
) -> None:
    arn = (await map_run(world, browser))["mapRunArn"]
    children = (await browser.call("ListExecutions", mapRunArn=arn)).body["executions"]

    described = await browser.call("DescribeExecution", executionArn=children[1]["executionArn"])

    assert described.body["mapRunArn"] == arn
    assert described.body["redriveStatus"] == "REDRIVABLE_BY_MAP_RUN"
    assert (described.body["input"], described.body["error"]) == ("null", "E")


async def test_the_children_come_page_by_page(world: World, browser: Browser) -> None:
    arn = (await map_run(world, browser))["mapRunArn"]

    first = (await browser.call("ListExecutions", mapRunArn=arn, maxResults=2)).body
    rest = await browser.call(
        "ListExecutions", mapRunArn=arn, maxResults=2, nextToken=first["nextToken"]
    )

    assert (len(first["executions"]), len(rest.body["executions"])) == (2, 1)


async def test_an_unknown_map_run_is_told(world: World, browser: Browser) -> None:
    arn = "arn:aws:states:local:000000000000:mapRun:spread/Each:none"

    for operation in ("DescribeMapRun", "ListExecutions"):
        reply = await browser.call(operation, mapRunArn=arn)
        assert reply.status == 400
        assert reply.body["__type"].split("#")[1] == "ResourceNotFound"
        assert reply.body["message"] == f"Resource not found: '{arn}'"


async def test_an_execution_without_a_map_has_no_map_runs(world: World, browser: Browser) -> None:
    await browser.call("StartExecution", stateMachineArn=f"{MACHINE}pass", name="one")

    reply = await browser.call("ListMapRuns", executionArn=f"{EXECUTION}pass:one")

    assert reply.body == {"mapRuns": []}
