"""A worker pool with short limits, handlers that make trouble, and ways to watch both."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from eventmill.executors.pool import WorkerPool
from eventmill.executors.pool_settings import PoolSettings
from eventmill.model import Json, Payload
from eventmill.ports import Answer, Invocation, Raised, Returned

HANDLERS = '''
import asyncio
import ctypes
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

async def echo(event, context):
    return event

async def pid(event, context):
    return os.getpid()

async def wait_for_file(event, context):
    """Note that it began, wait until it may go on, and say in which process."""
    with open(event["log"], "a") as log:
        log.write(f"{context.idempotency_key}\\n")
    while not Path(event["go"]).exists():
        await asyncio.sleep(0.01)
    return os.getpid()

async def exit_at_once(event, context):
    os._exit(event)

async def speak_and_exit(event, context):
    for number in range(event):
        print(f"line {number} of many")
    os._exit(1)

async def crash(event, context):
    ctypes.string_at(0)

async def note(event, context):
    with open(event, "a") as log:
        log.write(f"{context.idempotency_key}\\n")

async def block(event, context):
    await note(event["log"], context)
    time.sleep(event["seconds"])
    return "unblocked"

async def block_in_a_task(event, context):
    async def inner():
        time.sleep(event["seconds"])
    await asyncio.create_task(inner())

async def hold_the_interpreter(event, context):
    re.match("(a+)+$", "a" * 40 + "b")

async def leak(event, context):
    kept = []
    for _ in range(100):
        kept.append(bytearray(os.urandom(1024)) * 10_240)
        await asyncio.sleep(0.02)

async def take(event, context):
    return len(bytearray(event))

async def never_give_in(event, context):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue

async def exit_in_own_task(event, context):
    async def inner():
        sys.exit(1)
    asyncio.create_task(inner())
    await asyncio.sleep(0.05)
    return "still here"

async def speak(event, context):
    print("printed")
    print("no end of line", end="")
    print("an error", file=sys.stderr)
    context.logger.warning("logged %s", "well")
    logging.getLogger("library").error("by a library")

async def speak_in_a_thread(event, context):
    await asyncio.to_thread(print, "from a thread")

async def speak_past_python(event, context):
    os.write(1, b"raw bytes\\n")
    subprocess.run(["echo", "by a child"], check=True)

async def environment(event, context):
    return dict(os.environ)

async def open_files(event, context):
    return sys.stdin.read()

async def start_child(event, context):
    return subprocess.Popen(["sleep", "3600"]).pid

async def start_child_and_exit(event, context):
    Path(event).write_text(str(subprocess.Popen(["sleep", "3600"]).pid))
    os._exit(1)
'''

ids = count(1)


def write_handlers(tmp_path: Path) -> Path:
    """A folder with the handlers above."""
    handlers = tmp_path / "handlers"
    handlers.mkdir()
    (handlers / "work.py").write_text(HANDLERS)
    return handlers


@asynccontextmanager
async def pool(folder: Path, **settings: Any) -> AsyncIterator[WorkerPool]:
    quick = {"workers": 1, "grace_seconds": 0.1, "blocked_seconds": 0.2, "rescue_seconds": 0.2}
    faults: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: faults.append(context))
    async with WorkerPool(folder, settings=PoolSettings(**quick | settings)) as executor:
        yield executor
    assert faults == []


def start(
    executor: WorkerPool, function: str, event: Json = None, **fields: Any
) -> tuple[int, "asyncio.Future[Answer]"]:
    """Invoke; a second answer is a fault, which `pool` notices."""
    id_ = next(ids)
    values: dict[str, Any] = {
        "id": id_,
        "function": function,
        "payload": Payload.of(event),
        "execution_arn": "arn",
        "state": "Work",
        "token": "token",
        "idempotency_key": f"key-{id_}",
        "attempt": 1,
        "deadline_ms": None,
    }
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    executor.invoke(Invocation(**values | fields), future.set_result)
    return id_, future


async def call(executor: WorkerPool, function: str, event: Json = None, **fields: Any) -> Answer:
    return await start(executor, function, event, **fields)[1]


async def value(future: "asyncio.Future[Answer]") -> Any:
    answer = await future
    assert isinstance(answer, Returned), answer
    return answer.output.value


def error(answer: Answer) -> tuple[str, str]:
    """The error name, and the message after the request id."""
    assert isinstance(answer, Raised), answer
    cause = json.loads(answer.cause)
    assert cause["errorType"] == answer.error
    return answer.error, cause["errorMessage"].partition(" Error: ")[2]


def soon(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds; the test's timeout is the limit."""
    while not condition():  # noqa: ASYNC110  # another process brings it about, without a signal
        await asyncio.sleep(0.005)


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Waiter:
    """Calls of a handler that waits for a file, and what it noted about them."""

    def __init__(self, folder: Path) -> None:
        self.log, self.go = folder / "waiter.log", folder / "waiter.go"
        self.event: Json = {"log": str(self.log), "go": str(self.go)}

    def begun(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    async def started(self, executor: WorkerPool, number: int) -> "list[asyncio.Future[Answer]]":
        futures = [start(executor, "wait_for_file", self.event)[1] for _ in range(number)]
        await until(lambda: len(self.begun()) == number)
        return futures


KILLED = ("Runtime.ExitError", "Runtime exited with error: signal: killed")
