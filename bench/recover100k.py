"""recover100k: a server that was killed with 100,000 executions open, and the next one on its log.

Of these, 60 % wait for a timer that is far away and 20 % for a callback. The others are due: 10 %
wait for a timer that ran out while there was no server, 5 % for a retry likewise, and of 5 % a
handler was at work. `ready_s` is the time from the start of the next server's process until it has
answered StartExecution, `dispatched_s` until the last of all that is due has entered its handler.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import bench
from bench.rounds import Figures
from bench.server import HOME
from eventmill.datasets.stored import StoredDatasets
from eventmill.executors.inline import InlineExecutor
from eventmill.handler import HandlerError
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.sqlite import SqliteEventLog
from eventmill.model import AWS_QUOTAS, Payload
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.runtime.catalog import Catalog, Machine
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.engine import Engine
from eventmill.runtime.starting import Start

_HOUR_SECONDS: Final = 3_600
_STARTED_AT_ONCE: Final = 100
_PATIENCE_SECONDS: Final = 300
_LOOK_SECONDS: Final = 0.01

# Of each twenty executions.
_KINDS: Final = ("sleep",) * 12 + ("callback",) * 4 + ("nap",) * 2 + ("retry", "work")
_DUE: Final = frozenset({"nap", "retry", "work"})

_CALL: Final = "arn:aws:lambda:local:000000000000:function:work"
_DEFINITION: Final[dict[str, Any]] = {
    "StartAt": "Which",
    "States": {
        "Which": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.kind", "StringEquals": "sleep", "Next": "Sleep"},
                {"Variable": "$.kind", "StringEquals": "nap", "Next": "Nap"},
                {"Variable": "$.kind", "StringEquals": "callback", "Next": "Ask"},
            ],
            "Default": "Work",
        },
        "Sleep": {"Type": "Wait", "Seconds": 48 * _HOUR_SECONDS, "Next": "Work"},
        "Nap": {"Type": "Wait", "Seconds": _HOUR_SECONDS, "Next": "Work"},
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
            "Next": "Work",
        },
        "Work": {
            "Type": "Task",
            "Resource": _CALL,
            "Retry": [
                {"ErrorEquals": ["Busy"], "IntervalSeconds": _HOUR_SECONDS, "MaxAttempts": 1}
            ],
            "End": True,
        },
    },
}
_HANDLERS: Final = """\
from pathlib import Path

from eventmill import handler

PROJECT = Path(__file__).parents[1]
DUE = int((PROJECT / "due").read_text())
calls = 0


@handler
async def work(event, context):
    global calls
    calls += 1
    if calls == DUE:
        (PROJECT / "dispatched").touch()
    return event


@handler
async def ask(event, context):
    return None
"""


class EarlierClock(SystemClock):
    """The real time of two hours ago, so that short waits are over when the next server comes."""

    def now_ms(self) -> int:
        return super().now_ms() - 2 * _HOUR_SECONDS * 1_000


async def measure(folder: Path, *, quick: bool) -> Figures:
    executions = 200 if quick else 100_000
    with TemporaryDirectory(dir=folder) as own_folder:
        project = make_project(Path(own_folder), executions)
        await asyncio.to_thread(_leave_behind, project, executions)
        return await asyncio.to_thread(_recover, project)


def make_project(folder: Path, executions: int) -> Path:
    """A project whose handler notes when all that is due has been called for."""
    for name in ("workflows", "handlers"):
        (folder / name).mkdir()
    due = sum(kind in _DUE for kind in _KINDS) * executions // len(_KINDS)
    (folder / "due").write_text(str(due + 1))  # one more is started when it is ready
    (folder / "workflows/left.asl.json").write_text(json.dumps(_DEFINITION))
    (folder / "handlers/work.py").write_text(_HANDLERS)
    (folder / "eventmill.toml").write_text('[handlers]\nisolation = "inline"\n')
    return folder


def _leave_behind(project: Path, executions: int) -> None:
    command = [sys.executable, "-m", "bench.recover100k", str(project), str(executions)]
    root = Path(bench.__path__[0]).parent
    left = subprocess.run(command, cwd=root, check=False, timeout=_PATIENCE_SECONDS)
    if left.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the first server ended with {left.returncode}")


def _recover(project: Path) -> Figures:
    command = [sys.executable, "-m", "eventmill", "up", "--project", str(project)]
    began = time.perf_counter()
    server = subprocess.Popen([*command, "--port", "0", "--json"], stdout=subprocess.PIPE)
    try:
        _start_one(_endpoint(server))
        ready_s = time.perf_counter() - began
        while not (project / "dispatched").exists():
            if time.perf_counter() - began > _PATIENCE_SECONDS:
                raise RuntimeError("not all was dispatched: nothing of this counts")
            time.sleep(_LOOK_SECONDS)
        return {"ready_s": ready_s, "dispatched_s": time.perf_counter() - began}
    finally:
        server.kill()
        server.communicate()


def _endpoint(server: "subprocess.Popen[bytes]") -> str:
    assert server.stdout is not None
    for line in server.stdout:
        told = json.loads(line)
        if told["type"] == "ready":
            return str(told["endpoint"])
    raise RuntimeError("the next server did not become ready")


def _start_one(endpoint: str) -> None:
    arn = HOME.state_machine("left")
    request = urllib.request.Request(
        endpoint,
        data=json.dumps({"stateMachineArn": arn, "input": '{"kind":"work"}'}).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "AWSStepFunctions.StartExecution",
        },
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:
        json.load(answer)


# The server that is killed


async def _ask(event: Any, context: Any) -> Any:
    return None


async def _work(event: Any, context: Any) -> Any:
    if event["kind"] == "retry":
        raise HandlerError("Busy", "later")
    await asyncio.Event().wait()


@asynccontextmanager
async def _first_server(project: Path) -> AsyncIterator[tuple[Engine, Machine]]:
    folder = project / ".eventmill"
    folder.mkdir()
    async with (
        SqliteEventLog.open(folder / "log.db") as log,
        InlineExecutor({"ask": _ask, "work": _work}) as executor,
    ):
        catalog = Catalog(log, HOME, AWS_QUOTAS)
        machine = catalog.add("left", (project / "workflows/left.asl.json").read_text())
        datasets = StoredDatasets(FilesystemObjectStore(folder / "buckets"))
        dispatch = LambdaFunction(executor)
        clock = EarlierClock()
        yield Engine(log, clock, catalog, dispatch, datasets, HOME, AWS_QUOTAS), machine


async def _run_first_server(project: Path, executions: int) -> None:
    async with _first_server(project) as (engine, machine):
        await engine.recover()
        for first in range(0, executions, _STARTED_AT_ONCE):
            await engine.start(
                [
                    Start(
                        machine=machine,
                        name=f"left-{number}",
                        input=Payload.of({"kind": _KINDS[number % len(_KINDS)], "number": number}),
                    )
                    for number in range(first, min(first + _STARTED_AT_ONCE, executions))
                ]
            )
        at_work = _KINDS.count("work") * executions // len(_KINDS)
        while engine.in_memory > at_work:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_run_first_server(Path(sys.argv[1]), int(sys.argv[2])))
