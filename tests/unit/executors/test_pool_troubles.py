"""What the worker pool does when workers die, hang or swell: who pays, and who does not."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from eventmill.model import Json
from eventmill.ports import Answer, Raised
from tests.unit.executors.trial_pool import (
    KILLED,
    Waiter,
    call,
    error,
    is_running,
    pool,
    soon,
    start,
    until,
    value,
    write_handlers,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_handlers(tmp_path)


@pytest.mark.parametrize(
    ("function", "event", "reason"),
    [
        ("exit_at_once", 7, "Runtime exited with error: exit status 7"),
        ("exit_at_once", 0, "Runtime exited without providing a reason"),
        ("crash", None, "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_a_dying_worker_costs_the_calls_in_it_and_is_replaced(
    folder: Path, tmp_path: Path, function: str, event: Json, reason: str
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder) as executor:
        [before] = executor.worker_pids
        [neighbour] = await waiter.started(executor, 1)
        assert error(await call(executor, function, event)) == ("Runtime.ExitError", reason)
        assert error(await neighbour) == ("Runtime.ExitError", reason)
        assert await value(start(executor, "pid")[1]) != before
        assert not psutil.pid_exists(before)


async def test_what_a_dying_worker_had_started_dies_too(folder: Path, tmp_path: Path) -> None:
    note = tmp_path / "child"
    async with pool(folder) as executor:
        assert error(await call(executor, "start_child_and_exit", str(note)))[0] == KILLED[0]
        child = int(note.read_text())
        await until(lambda: not is_running(child))


async def test_a_killed_worker_costs_no_call_in_another(folder: Path, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder, workers=2) as executor:
        await until(lambda: executor.ready_workers == 2)
        futures = await waiter.started(executor, 10)
        os.kill(executor.worker_pids[0], signal.SIGKILL)
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        waiter.go.touch()
        answers = await asyncio.gather(*futures)
        assert [error(each) for each in answers if isinstance(each, Raised)] == [KILLED] * 5
        assert len(waiter.begun()) == 10


async def test_a_handler_that_blocks_the_loop_costs_only_its_own_call(
    folder: Path, tmp_path: Path
) -> None:
    waiter, log = Waiter(tmp_path), tmp_path / "blocked"
    async with pool(folder, rescue_seconds=3600) as executor:
        [before] = executor.worker_pids
        [begun] = await waiter.started(executor, 1)
        event: Json = {"log": str(log), "seconds": 3600}
        blocked = start(executor, "block", event, deadline_ms=soon(1.5))[1]
        await until(log.exists)
        others = [start(executor, "pid")[1] for _ in range(20)]
        pids = {await value(future) for future in others}
        assert before not in pids
        assert not blocked.done()
        assert error(await blocked)[0] == "Sandbox.Timedout"
        waiter.go.touch()
        assert await value(begun) != before
        assert len(waiter.begun()) == 2  # before its worker was killed, and again


async def test_calls_that_a_blocked_worker_has_not_begun_run_once_and_in_order(
    folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with pool(folder, calls_per_worker=3) as executor:
        blocked_id, blocked = start(executor, "block", {"log": str(log), "seconds": 1})
        await until(log.exists)
        notes = [start(executor, "note", str(log)) for _ in range(6)]
        await asyncio.gather(*(future for _, future in notes))
        assert not blocked.done()
        assert await value(blocked) == "unblocked"
        await until(lambda: len(executor.worker_pids) == 1)
    assert log.read_text().split() == [f"key-{id_}" for id_ in (blocked_id, *(n for n, _ in notes))]


async def test_what_a_handler_said_before_its_worker_died_is_in_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with pool(folder) as executor:
        assert error(await call(executor, "speak_and_exit", 100))[0] == "Runtime.ExitError"
    spoken = [text for name, _, text in caplog.record_tuples if name.endswith("speak_and_exit")]
    assert spoken == [f"line {number} of many" for number in range(100)]


async def test_calls_that_a_blocked_worker_has_begun_are_rescued(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder) as executor:
        [before] = executor.worker_pids
        [begun] = await waiter.started(executor, 1)
        event: Json = {"log": str(tmp_path / "blocked"), "seconds": 1.5}
        blocked = start(executor, "block", event)[1]
        await until((tmp_path / "blocked").exists)
        waiter.go.touch()
        assert await value(begun) != before
        assert not blocked.done()
        assert await value(blocked) == "unblocked"
        assert await value(start(executor, "pid")[1]) != before
        await until(lambda: not psutil.pid_exists(before))


async def test_finds_the_culprit_when_a_task_of_its_own_blocks(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool(folder) as executor:
        blocked = call(executor, "block_in_a_task", {"seconds": 3600}, deadline_ms=soon(0.6))
        assert error(await blocked)[0] == "Sandbox.Timedout"
    assert "is blocked by handler block_in_a_task at" in caplog.text
    assert "work.py:" in caplog.text


async def test_a_neighbours_deadline_does_not_kill_a_blocked_worker(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder, rescue_seconds=3600) as executor:
        _, neighbour = start(executor, "wait_for_file", waiter.event, deadline_ms=soon(0.6))
        await until(lambda: len(waiter.begun()) == 1)
        event: Json = {"log": str(tmp_path / "blocked"), "seconds": 1.5}
        blocked = start(executor, "block", event)[1]
        assert error(await neighbour)[0] == "Sandbox.Timedout"
        assert await value(blocked) == "unblocked"
        assert len((tmp_path / "blocked").read_text().split()) == 1


async def test_native_code_that_holds_the_interpreter_costs_only_its_own_call(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder) as executor:
        futures = await waiter.started(executor, 2)
        waiter.go.touch()
        deadline_ms = soon(2)
        held = start(executor, "hold_the_interpreter", deadline_ms=deadline_ms)[1]
        caught = start(executor, "echo", "caught")[1]
        await until(lambda: len(executor.worker_pids) == 2)
        assert await value(start(executor, "echo", "later")[1]) == "later"
        assert soon(0) < deadline_ms
        assert not held.done()
        assert error(await held)[0] == "Sandbox.Timedout"
        assert await value(caught) == "caught"
        await asyncio.gather(*map(value, futures))


async def test_a_leak_costs_only_the_call_that_leaks(folder: Path, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    limit = 150 * 1024 * 1024
    async with pool(folder, resident_bytes_max=limit, resident_bytes_recycle=None) as executor:
        neighbours = await waiter.started(executor, 3)
        leaking = start(executor, "leak")[1]
        await until(lambda: len(waiter.begun()) > 3)
        assert await value(start(executor, "echo", "meanwhile")[1]) == "meanwhile"
        waiter.go.touch()
        assert error(await leaking) == ("Runtime.OutOfMemory", KILLED[1])
        assert len([await value(future) for future in neighbours]) == 3
        await until(lambda: len(executor.worker_pids) == executor.ready_workers == 1)


async def test_finds_out_who_leaks_by_running_each_alone(folder: Path, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    limit = 150 * 1024 * 1024
    async with pool(folder, resident_bytes_max=limit, resident_bytes_recycle=None) as executor:
        leaking = start(executor, "leak")[1]
        [neighbour] = await waiter.started(executor, 1)
        assert error(await leaking)[0] == "Runtime.OutOfMemory"
        await until(lambda: len(waiter.begun()) == 2)
        waiter.go.touch()
        await value(neighbour)


async def test_memory_beyond_the_resource_limit_is_an_ordinary_error(folder: Path) -> None:
    async with pool(folder, data_bytes_max=300 * 1024 * 1024) as executor:
        answer = await call(executor, "take", 10**9)
        assert isinstance(answer, Raised)
        assert answer.error == "MemoryError"
        assert await value(start(executor, "take", 1000)[1]) == 1000


async def test_a_handler_that_does_not_give_in_is_killed_and_its_neighbours_run_again(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder) as executor:
        [before] = executor.worker_pids
        [neighbour] = await waiter.started(executor, 1)
        stuck = call(executor, "never_give_in", deadline_ms=soon(0.1))
        assert error(await stuck)[0] == "Sandbox.Timedout"
        assert not psutil.pid_exists(before)
        waiter.go.touch()
        assert await value(neighbour) != before
        first, again = waiter.begun()
        assert first == again


def has_moved_on(call: "asyncio.Future[Answer]", waiter: Waiter, begun: int) -> bool:
    return call.done() or len(waiter.begun()) > begun


async def test_a_call_is_not_run_again_for_ever(folder: Path, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder, reruns_max=2) as executor:
        [neighbour] = await waiter.started(executor, 1)
        for _ in range(3):
            begun = len(waiter.begun())
            await call(executor, "never_give_in", deadline_ms=soon(0.1))
            await until(partial(has_moved_on, neighbour, waiter, begun))
        assert error(await neighbour)[0] == "Runtime.ExitError"
        assert len(waiter.begun()) == 3


async def test_a_cancelled_call_that_does_not_give_in_takes_no_neighbour_along(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder) as executor:
        [before] = executor.worker_pids
        [neighbour] = await waiter.started(executor, 1)
        stuck, _ = start(executor, "never_give_in")
        await call(executor, "echo")
        executor.cancel(stuck)
        await until(lambda: executor.worker_pids != [before])
        waiter.go.touch()
        assert await value(neighbour) == before
        await until(lambda: not psutil.pid_exists(before))


async def test_a_task_that_exits_takes_no_neighbour_along(folder: Path) -> None:
    async with pool(folder) as executor:
        [before] = executor.worker_pids
        assert await value(start(executor, "exit_in_own_task")[1]) == "still here"
        assert await value(start(executor, "pid")[1]) == before


async def test_a_crash_leaves_the_place_of_the_crash_in_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool(folder) as executor:
        await call(executor, "crash")
    assert "Fatal Python error: Segmentation fault" in caplog.text
    assert "work.py" in caplog.text
