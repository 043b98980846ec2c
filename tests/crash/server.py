"""A server that can be told to kill itself, and the callers that use it.

`server.py` reads one order in JSON from each line of stdin and carries it out in a process of its
own, which begins as a copy of this one: so a run costs no imports. It answers with the `code` that
the process ended with, and with `is_moment`: whether it was killed because of the time. An order
has `project`, `stderr` (a file), `point` and `times` (or null and 0), `seconds` (after which it is
killed wherever it is, or null), `environment`, and `executions` (or null).

The run ends with 0 when so many executions have ended (without a number: all that the work makes),
with 3 when the server refuses to start or has to stop and says why.
"""

import asyncio
import faulthandler
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from eventmill.api.operations.executions import start_execution
from eventmill.api.operations.tasks import send_task_success
from eventmill.errors import EventmillError, ExecutionAlreadyExists, LogUnavailable, TaskTimedOut
from eventmill.events import TriggerEvent
from eventmill.faults import POINTS, set_hook
from eventmill.log import database
from eventmill.runtime import system as wiring
from eventmill.runtime.engine import Engine
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import SETTINGS_FILE, load_settings
from eventmill.runtime.snapshots import SnapshotRule
from eventmill.runtime.system import System, running
from tests.crash.workload import BY_CALL, BY_EVENT, NOTES, expected_executions

SPEED: Final = 20
SECONDS_MAX: Final = 40
EXECUTIONS_PER_SECOND: Final = 50  # at least, when there are so many that they take longer
LOOK_SECONDS: Final = 0.01
CHECKPOINT_PAGES: Final = 50  # so few that this little work passes checkpoints
# So cheap that executions with a few events have snapshots, and go on from them after a crash.
EAGER: Final = partial(
    Engine,
    snapshot_rule=SnapshotRule(leaving_us=0, staying_us=60, snapshot_us=0, snapshot_byte_us=0),
)
READY: Final = "ready"  # a file in the project that says that the server was ready
REFUSED: Final = 3


class FastClock:
    """A clock that goes `SPEED` times as fast as the machine's, since a moment all runs share."""

    def __init__(self, epoch_ms: int) -> None:
        self._epoch_ms = epoch_ms

    def now_ms(self) -> int:
        return self._epoch_ms + SPEED * (time.time_ns() // 1_000_000 - self._epoch_ms)

    def steady_ms(self) -> int:
        return SPEED * (time.monotonic_ns() // 1_000_000)

    async def pause(self, length_ms: int) -> None:
        await asyncio.sleep(length_ms / 1000 / SPEED)

    async def sleep_until(self, at_ms: int) -> None:
        left_ms = at_ms - self.now_ms()
        while left_ms > 0:
            # A clock has no event to wait for.
            await asyncio.sleep(left_ms / 1000 / SPEED)
            left_ms = at_ms - self.now_ms()


def kill_at(wanted: str, times: int) -> None:
    assert wanted in POINTS
    passed = 0

    def hook(name: str) -> None:
        nonlocal passed
        passed += name == wanted
        if passed == times and name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    set_hook(hook)


class Callers:
    """Those who use the server: they repeat what was not acknowledged, and only that."""

    def __init__(self, system: System, project: Path) -> None:
        self._system = system
        self._project = project
        self._acknowledged = project / "acknowledged"

    async def start(self) -> None:
        """Start one execution."""
        arn = self._system.catalog.machine("work").arn
        wanted = {"folder": "archive", "name": BY_CALL, "numbers": [1, 2, 3], "notes": NOTES}
        request = {"stateMachineArn": arn, "name": "by-call", "input": json.dumps(wanted)}
        while not self._is_acknowledged("start"):
            try:
                await start_execution(self._system, request)
            except ExecutionAlreadyExists:
                pass  # it was started, and has ended, before that was acknowledged
            except LogUnavailable as error:
                await self._refused(error)
                continue
            self._acknowledge("start")

    async def send(self) -> None:
        """Send one event."""
        home = self._system.settings.home
        event = TriggerEvent(
            id="order-1",
            source="my.shop",
            detail_type="Order Placed",
            at_ms=0,
            account=home.account,
            region=home.region,
            detail={"name": BY_EVENT},
        )
        while not self._is_acknowledged("send"):
            (error,) = await self._system.bus.put([event])
            if error is not None:
                await self._refused(error)
                continue
            self._acknowledge("send")

    async def answer(self) -> None:
        """Answer the tasks that ask, until cancelled."""
        while True:
            for path in (self._project / "tokens").iterdir():
                if self._is_acknowledged(path.name):
                    continue
                request = {"taskToken": path.read_text(), "output": f'"heard of {path.name}"'}
                try:
                    await send_task_success(self._system, request)
                except TaskTimedOut:
                    pass  # the answer was taken before that was acknowledged
                except LogUnavailable as error:
                    await self._refused(error)
                    continue
                self._acknowledge(path.name)
            await asyncio.sleep(LOOK_SECONDS)

    async def _refused(self, error: LogUnavailable) -> None:
        print(f"refused: {error}", file=sys.stderr)  # noqa: T201 - the driver reads it
        await asyncio.sleep(LOOK_SECONDS)

    def _is_acknowledged(self, name: str) -> bool:
        return self._acknowledged.exists() and name in self._acknowledged.read_text().split()

    def _acknowledge(self, name: str) -> None:
        with self._acknowledged.open("a") as file:
            file.write(f"{name}\n")


async def ended(system: System, count: int) -> None:
    """Wait until `count` executions have ended; new ones are looked for all the time."""
    seen: set[int] = set()
    while len(seen) < count:
        try:
            for row in await system.log.executions():
                if row.id not in seen:
                    await system.engine.ended(row.id)
                    seen.add(row.id)
        except LogUnavailable:
            pass  # until it can be read again
        await asyncio.sleep(LOOK_SECONDS)


async def run(project: Path) -> None:
    settings = load_settings(project)
    count = expected_executions(project)
    async with running(settings, load_project(settings)) as system:
        (project / READY).touch()
        callers = Callers(system, project)
        answering = asyncio.ensure_future(callers.answer())
        working = asyncio.gather(callers.start(), callers.send(), ended(system, count))
        watched = (system.broken, answering, working)
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for each in watched:
            if each.done():
                each.result()
        answering.cancel()
        working.cancel()


async def run_until(project: Path, executions: int) -> None:
    """Run until so many executions have ended; nobody calls."""
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        counting = asyncio.ensure_future(until_ended(settings.log_path, executions))
        await asyncio.wait((system.broken, counting), return_when=asyncio.FIRST_COMPLETED)
        if system.broken.done():
            system.broken.result()
        counting.cancel()


async def until_ended(log: Path, executions: int) -> None:
    # A look of its own into the log: reading thousands of rows again and again would take long.
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        while True:
            (ended,) = connection.execute(
                "SELECT count(*) FROM executions WHERE status <> 'RUNNING'"
            ).fetchone()
            if ended >= executions:
                return
            await asyncio.sleep(LOOK_SECONDS)


def carry_out(order: dict[str, Any]) -> int:
    """Be the server of an order, to the end; returns the exit code."""
    os.dup2(os.open(order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
    seconds_max = SECONDS_MAX + (order["executions"] or 0) / EXECUTIONS_PER_SECOND
    faulthandler.dump_traceback_later(seconds_max, exit=True)
    project = Path(order["project"])
    epoch_ms = (project / SETTINGS_FILE).stat().st_mtime_ns // 1_000_000
    os.environ.update(order["environment"])
    if order["point"] is not None:
        kill_at(order["point"], order["times"])
    try:
        with (
            patch.object(wiring, "SystemClock", lambda: FastClock(epoch_ms)),
            patch.object(database, "_CHECKPOINT_PAGES", CHECKPOINT_PAGES),
            patch.object(wiring, "Engine", EAGER),
        ):
            executions = order["executions"]
            asyncio.run(run(project) if executions is None else run_until(project, executions))
    except EventmillError as error:
        print(f"stopped: {error}", file=sys.stderr)  # noqa: T201 - the driver reads it
        return REFUSED
    return 0


def wait_for(child: int, seconds: float | None) -> tuple[int, bool]:
    """Wait until a process has ended, by itself or by SIGKILL after so many seconds.

    Returns its status, and whether the time had come.
    """
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        os.kill(child, signal.SIGKILL)

    if seconds is not None:
        killing = threading.Timer(seconds, kill)
        killing.start()
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # so its number is nobody else's yet
        killing.cancel()
        killing.join()
    return os.waitpid(child, 0)[1], killed.is_set()


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = carry_out(json.loads(line))
            except BaseException:
                sys.excepthook(*sys.exc_info())
                raise
            finally:
                sys.stderr.flush()
                os._exit(code)
        status, is_moment = wait_for(child, json.loads(line)["seconds"])
        answer = {"code": os.waitstatus_to_exitcode(status), "is_moment": is_moment}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the driver reads it


if __name__ == "__main__":
    main()
