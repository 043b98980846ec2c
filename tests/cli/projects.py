"""Small projects for the tests of the command line, and logs with something in them."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from eventmill.arn import Home
from eventmill.machine.execution import RUNNING
from eventmill.model import Json, Payload
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.starting import Start
from eventmill.runtime.system import System, running

HOME: Final = Home()
FUNCTION: Final = "arn:aws:lambda:local:000000000000:function:"

HANDLERS: Final = """
def double(event, context):
    return {"n": 2 * event["n"]}


def refuse(event, context):
    raise ValueError("no \\x1b[31mred\\x1b[0m, please")
"""

PASS: Final[dict[str, Json]] = {
    "StartAt": "Only",
    "States": {"Only": {"Type": "Pass", "Result": {"fine": True}, "End": True}},
}
SPREAD: Final[dict[str, Json]] = {
    "StartAt": "M",
    "States": {
        "M": {
            "Type": "Map",
            "Label": "Each",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "P",
                "States": {"P": {"Type": "Pass", "End": True}},
            },
            "End": True,
        }
    },
}
DOUBLE: Final[dict[str, Json]] = {
    "StartAt": "Double",
    "States": {
        "Double": {"Type": "Task", "Resource": f"{FUNCTION}double", "Next": "Again"},
        "Again": {"Type": "Task", "Resource": f"{FUNCTION}double", "End": True},
    },
}
REFUSED: Final[dict[str, Json]] = {
    "StartAt": "Ask",
    "States": {"Ask": {"Type": "Task", "Resource": f"{FUNCTION}refuse", "End": True}},
}
WAIT: Final[dict[str, Json]] = {
    "StartAt": "Both",
    "States": {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "Rest",
                    "States": {"Rest": {"Type": "Wait", "Seconds": 3600, "End": True}},
                },
                {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}},
            ],
            "End": True,
        }
    },
}


def write_project(
    folder: Path,
    *,
    workflows: Mapping[str, "dict[str, Json] | str"] | None = None,
    triggers: Mapping[str, str] | None = None,
    handlers: Mapping[str, str] | None = None,
    settings: str = '[handlers]\nisolation = "inline"\n',
) -> Path:
    """A project of these files; workflows by the state machine's name, all else by file name."""
    for name, definition in (workflows or {}).items():
        text = definition if isinstance(definition, str) else json.dumps(definition, indent=2)
        write(folder / "workflows" / f"{name}.asl.json", text)
    for name, text in (triggers or {}).items():
        write(folder / "triggers" / name, text)
    for name, text in (handlers or {}).items():
        write(folder / "handlers" / name, text)
    write(folder / "eventmill.toml", settings)
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_recorded_project(folder: Path) -> Path:
    """A project whose log has an execution of each kind: good, bad and waiting."""
    write_project(
        folder,
        workflows={"double": DOUBLE, "refused": REFUSED, "wait": WAIT},
        handlers={"sums.py": HANDLERS},
    )
    asyncio.run(_record(folder))
    # The server has stored one when it ended; what is tested about checkpoints makes its own.
    with closing(sqlite3.connect(load_settings(folder).log_path)) as log, log:
        log.execute("DELETE FROM checkpoints")
    return folder


async def _record(folder: Path) -> None:
    settings = load_settings(folder)
    async with running(settings, load_project(settings)) as system:
        await run_execution(system, "double", "good-1", {"n": 5})
        await run_execution(system, "refused", "bad-1", {})
        await run_execution(system, "wait", "waiting-1", {}, ends=False)


async def record_execution(folder: Path, machine: str, name: str, input_: Json) -> None:
    """Run one execution of a project to its end, on a server of its own."""
    settings = load_settings(folder)
    async with running(settings, load_project(settings)) as system:
        await run_execution(system, machine, name, input_)


async def run_execution(
    system: System, machine: str, name: str, input_: Json, *, ends: bool = True
) -> None:
    start = Start(machine=system.catalog.machine(machine), name=name, input=Payload.of(input_))
    (row,) = await system.engine.start([start])
    assert row.status == RUNNING
    if ends:
        await system.engine.ended(row.id)


def execution_arn(machine: str, name: str) -> str:
    return HOME.execution(machine, name)
