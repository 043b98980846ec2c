"""ListStateMachines, DescribeStateMachine, asked by AWS's own client."""

import os
from datetime import datetime, timezone

import pytest

from tests.api.conftest import DEFINITIONS, EXECUTION, MACHINE, Browser, Client, World

WRITTEN = datetime.fromtimestamp(1_600_000_000.25, timezone.utc)


@pytest.fixture(autouse=True)
def written(any_world: World) -> None:
    for workflow in any_world.system.project.workflows:
        os.utime(workflow.path, ns=(1_600_000_000_250_000_000,) * 2)


def listed(name: str) -> dict[str, object]:
    arn = MACHINE + name
    return {"stateMachineArn": arn, "name": name, "type": "STANDARD", "creationDate": WRITTEN}


async def test_state_machines_are_listed(client: Client) -> None:
    assert await client("list_state_machines") == {"stateMachines": [*map(listed, DEFINITIONS)]}


async def test_state_machines_are_listed_page_by_page(client: Client) -> None:
    names: list[str] = []
    sizes: list[int] = []
    members: dict[str, str] = {}
    while True:
        page = await client("list_state_machines", maxResults=4, **members)
        sizes.append(len(page["stateMachines"]))
        names += [each["name"] for each in page["stateMachines"]]
        if "nextToken" not in page:
            break
        members = {"nextToken": page["nextToken"]}
    assert (names, sizes) == (list(DEFINITIONS), [4, 4])


async def test_a_state_machine_is_described_with_its_text_as_written(
    client: Client, any_world: World
) -> None:
    whole = {
        **listed("pass"),
        "status": "ACTIVE",
        "definition": any_world.system.project.workflows[0].path.read_text(),
        "roleArn": "arn:aws:iam::000000000000:role/eventmill",
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
    }
    assert await client("describe_state_machine", stateMachineArn=f"{MACHINE}pass") == whole
    bare = await client(
        "describe_state_machine", stateMachineArn=f"{MACHINE}pass", includedData="METADATA_ONLY"
    )
    assert bare == {**whole, "definition": "{}"}


async def test_a_state_machine_says_where_its_variables_are_read(client: Client) -> None:
    described = await client("describe_state_machine", stateMachineArn=f"{MACHINE}variables")
    assert described["variableReferences"] == {"B": ["v"]}


async def test_a_state_machine_outlives_its_file(client: Client, any_world: World) -> None:
    any_world.system.project.workflows[0].path.unlink()
    described = await client("describe_state_machine", stateMachineArn=f"{MACHINE}pass")
    assert described["creationDate"] == datetime.fromtimestamp(0, timezone.utc)


async def test_a_state_machine_that_is_not_there_is_told_from_a_bad_arn(client: Client) -> None:
    for arn, error in {
        f"{MACHINE}none": (
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{MACHINE}none'",
        ),
        "pass": ("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: pass'"),
        f"{EXECUTION}pass:one": (
            "InvalidArn",
            "Invalid Arn: 'Resource type not valid in this context: execution'",
        ),
    }.items():
        assert await client.refused("describe_state_machine", stateMachineArn=arn) == error


async def test_a_negative_page_size_is_refused(browser_of_any: Browser) -> None:
    reply = await browser_of_any.call("ListStateMachines", maxResults=-1)
    assert reply.body["message"] == (
        "1 validation error detected: Value '-1' at 'maxResults' failed to satisfy constraint: "
        "Member must have value greater than or equal to 0"
    )
