"""The three sample workflows on a whole system: real handlers, a real log, buckets as folders."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.api.step_functions import TARGET_PREFIX, call
from eventmill.codec import decode_step
from eventmill.model import Json, Payload
from eventmill.rows import ExecutionRow
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.starting import Start
from eventmill.runtime.system import System, running
from tests.example.conftest import ROOT


@pytest.fixture
async def system(project: Path) -> AsyncIterator[System]:
    for folder in ("workflows", "handlers"):
        shutil.copytree(ROOT / folder, project / folder)
    (project / "eventmill.toml").write_text('[handlers]\nisolation = "inline"\n')
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        yield system


async def start(system: System, machine: str, data: Json) -> ExecutionRow:
    wish = Start(machine=system.catalog.machine(machine), name="one", input=Payload.of(data))
    (row,) = await system.engine.start([wish])
    return row


async def outcome(system: System, row: ExecutionRow) -> tuple[str, Any]:
    ended = await system.engine.ended(row.id)
    step = (await system.log.read(row.id))[-1]
    last = decode_step(step.body, step.payloads).events[-1]
    details = last.details or {}
    if ended.status == "SUCCEEDED":
        return ended.status, last.payload("output").value
    return ended.status, details["cause"]


async def test_an_expense_is_paid_when_somebody_answers_with_its_token(
    system: System, project: Path
) -> None:
    row = await start(system, "expense-approval", {"id": "e-1", "amount": 120})
    question = project / "data" / "approvals" / "e-1.json"
    for _ in range(1_000):  # the handler writes it in a thread
        if question.exists():
            break
        await asyncio.sleep(0.01)

    body = {
        "taskToken": json.loads(question.read_text())["token"],
        "output": json.dumps({"approved": True, "by": "Ada"}),
    }
    await call(system, f"{TARGET_PREFIX}SendTaskSuccess", json.dumps(body).encode())

    status, output = await outcome(system, row)
    assert status == "SUCCEEDED"
    assert output["receipt"]["paid"] == 120


async def test_a_trip_without_a_car_leaves_no_booking(system: System, project: Path) -> None:
    trip: Json = {"name": "oslo", "sold_out": ["car"]}
    row = await start(system, "travel-booking", {"trip": trip})

    assert await outcome(system, row) == (
        "FAILED",
        "NoneLeft: everything that was booked has been cancelled",
    )
    assert list((project / "data" / "travel" / "oslo").iterdir()) == []


async def test_a_catalog_is_imported_from_a_folder_into_files(
    system: System, project: Path
) -> None:
    bucket = project / "buckets" / "catalog"
    bucket.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "catalog" / "products.csv", bucket)
    row = await start(system, "catalog-import", {"bucket": "catalog", "key": "products.csv"})

    status, output = await outcome(system, row)

    assert status == "SUCCEEDED"
    files = json.loads((bucket / output["manifest"]).read_text())["ResultFiles"]
    (succeeded,), (failed,) = files["SUCCEEDED"], files["FAILED"]
    products = [
        json.loads(each["Output"]) for each in json.loads((bucket / succeeded["Key"]).read_text())
    ]
    (bad,) = json.loads((bucket / failed["Key"]).read_text())
    assert [each["cents"] for each in products] == [3990, 14900, 8950, 5900, 2490]
    assert "row 3 of s3://catalog/products.csv: the price must be a number" in bad["Cause"]
