"""Makes the log of a small project whose server was killed, with the code on PYTHONPATH.

See README.md beside this file. It speaks to Eventmill by its command line only, so that the code of
any version will do.
"""

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FUNCTION = "arn:aws:lambda:local:000000000000:function:"
HERE = Path(__file__).parent
HANDLERS = """
import asyncio


async def work(event, context):
    return event


async def refuse(event, context):
    raise ValueError("not today")


async def hang(event, context):
    await asyncio.Event().wait()
"""
TRIGGER = """
Source:
  Type: filesystem
  Path: inbox
  StableSeconds: 0
Target:
  StateMachine: intake
  InputPath: $.detail.name
"""


def task(function: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"{FUNCTION}{function}", "End": True, **fields}


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def later(then: str) -> dict[str, Any]:
    return {"Type": "Wait", "Seconds": 3_600, "Next": then}


RETRY = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 3_600, "MaxAttempts": 2}]
WORKFLOWS = {
    "done": machine(Work=task("work")),
    "failed": machine(Refuse=task("refuse")),
    "waiting": machine(Rest=later("Work"), Work=task("work")),
    "retrying": machine(Refuse=task("refuse", Retry=RETRY)),
    "under-way": machine(Hang=task("hang")),
    "callback": machine(
        Ask={
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "work", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
    ),
    "intake": machine(Rest=later("Work"), Work=task("work")),
}
# One child ends at once, two sleep.
SPREAD = machine(
    Each={
        "Type": "Map",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            **machine(
                Pick={
                    "Type": "Choice",
                    "Choices": [{"Variable": "$", "NumericGreaterThan": 1, "Next": "Rest"}],
                    "Default": "Work",
                },
                Rest=later("Work"),
                Work=task("work"),
            ),
        },
        "End": True,
    }
)


def main(number: str) -> None:
    """Write `<number>.db.gz` beside this file."""
    workflows = WORKFLOWS if number == "0001" else {**WORKFLOWS, "spread": SPREAD}
    with tempfile.TemporaryDirectory(prefix="eventmill-layout-") as folder:
        project = Path(folder)
        for name, definition in workflows.items():
            write(project / "workflows" / f"{name}.asl.json", json.dumps(definition))
        write(project / "handlers" / "all.py", HANDLERS)
        write(project / "triggers" / "intake.yaml", TRIGGER)
        write(project / "eventmill.toml", '[handlers]\nisolation = "inline"\n')
        write(project / "inbox" / "first.txt", "1")
        log = project / ".eventmill" / "log.db"
        run(project, set(workflows) - {"intake"}, log)
        with sqlite3.connect(log) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.close()
        assert version == int(number), f"this code writes layout {version}"
        (HERE / f"{number}.db.gz").write_bytes(gzip.compress(log.read_bytes(), mtime=0))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(project: Path, machines: set[str], log: Path) -> None:
    """A server that is killed once all that is started has come as far as it can."""
    eventmill = (sys.executable, "-m", "eventmill")
    server = subprocess.Popen(
        (*eventmill, "up", "--project", project, "--port", "0", "--json"),
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert server.stdout is not None
    while '"ready"' not in server.stdout.readline():
        assert server.poll() is None
    for name in sorted(machines):
        given = "[1, 2, 3]" if name == "spread" else '{"n": 1}'
        start = (*eventmill, "start", name, "--project", project, "--name", name, "--input", given)
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    wanted = {"FAILED": 1, "RUNNING": 5, "SUCCEEDED": 1}
    if "spread" in machines:
        wanted = {"FAILED": 1, "RUNNING": 8, "SUCCEEDED": 2}
    while statuses(log) != wanted:
        time.sleep(0.1)
    time.sleep(1)  # for the last timers
    server.kill()
    server.wait()


def statuses(log: Path) -> dict[str, int]:
    with sqlite3.connect(log) as connection:
        asked = "SELECT status, count(*) FROM executions GROUP BY status"
        found = dict(connection.execute(asked).fetchall())
    connection.close()
    return found


if __name__ == "__main__":
    main(sys.argv[1])
