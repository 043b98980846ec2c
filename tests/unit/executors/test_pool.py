"""What the worker pool does with calls, and how it starts, renews and ends its workers."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from eventmill.errors import SettingsError
from eventmill.model import Json
from tests.unit.executors.trial_pool import (
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


async def test_answers_a_thousand_calls_at_once_over_two_workers(folder: Path) -> None:
    async with pool(folder, workers=2, calls_per_worker=50) as executor:
        futures = [start(executor, "echo", n)[1] for n in range(1000)]
        assert [await value(future) for future in futures] == list(range(1000))


async def test_spreads_calls_over_its_workers(folder: Path, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder, workers=2) as executor:
        await until(lambda: len(executor.worker_pids) == 2)
        await asyncio.gather(*(call(executor, "echo") for _ in range(50)))
        await until(lambda: executor.ready_workers == 2)
        futures = await waiter.started(executor, 4)
        waiter.go.touch()
        pids = [await value(future) for future in futures]
        assert sorted(pids) == sorted(executor.worker_pids * 2)


async def test_carries_payloads_of_megabytes(folder: Path) -> None:
    event: Json = {"text": "ü" * 2_500_000}
    async with pool(folder) as executor:
        small = start(executor, "echo", 1)[1]
        assert await value(start(executor, "echo", event)[1]) == event
        assert await value(small) == 1


async def test_calls_wait_for_a_free_place_in_the_order_they_came(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder, calls_per_worker=1) as executor:
        first = await waiter.started(executor, 1)
        queued = [start(executor, "wait_for_file", waiter.event) for _ in range(5)]
        executor.cancel(queued[2][0])
        expired = start(executor, "wait_for_file", waiter.event, deadline_ms=soon(0.05))
        assert error(await expired[1])[0] == "Sandbox.Timedout"
        assert len(waiter.begun()) == 1
        waiter.go.touch()
        kept = [future for index, (_, future) in enumerate(queued) if index != 2]
        await asyncio.gather(*first, *kept)
        order = [f"key-{id_}" for index, (id_, _) in enumerate(queued) if index != 2]
        assert waiter.begun()[1:] == order
        assert not queued[2][1].done()


async def test_a_worker_is_replaced_after_so_many_calls(folder: Path) -> None:
    async with pool(folder, calls_max=10) as executor:
        pids = [await value(start(executor, "pid")[1]) for _ in range(300)]
        await until(lambda: pids[0] not in executor.worker_pids)
        assert await value(start(executor, "pid")[1]) != pids[0]


async def test_a_worker_that_has_grown_is_replaced_and_loses_nothing(
    folder: Path, tmp_path: Path
) -> None:
    waiter = Waiter(tmp_path)
    settings = {"resident_bytes_recycle": 1024, "recycle_seconds_min": 0}
    async with pool(folder, **settings) as executor:
        [before] = executor.worker_pids
        [running] = await waiter.started(executor, 1)
        await until(lambda: executor.worker_pids != [before])
        waiter.go.touch()
        assert await value(running) == before
        await until(lambda: before not in executor.worker_pids)


async def test_what_handlers_print_and_log_reaches_the_log_under_their_name(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with pool(folder) as executor:
        await call(executor, "speak")
        await call(executor, "speak_in_a_thread")
    spoken = [each for each in caplog.record_tuples if each[0].startswith("eventmill.handlers")]
    assert sorted(spoken) == sorted(
        [
            ("eventmill.handlers.speak", logging.INFO, "printed"),
            ("eventmill.handlers.speak", logging.INFO, "no end of line"),
            ("eventmill.handlers.speak", logging.WARNING, "an error"),
            ("eventmill.handlers.speak", logging.WARNING, "logged well"),
            ("eventmill.handlers.speak", logging.ERROR, "library: by a library"),
            ("eventmill.handlers.speak_in_a_thread", logging.INFO, "from a thread"),
        ]
    )


async def test_what_is_written_past_python_reaches_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool(folder) as executor:
        [pid] = executor.worker_pids
        await call(executor, "speak_past_python")
    assert f"worker {pid}: raw bytes" in caplog.messages
    assert f"worker {pid}: by a child" in caplog.messages


async def test_workers_see_only_the_environment_they_are_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with pool(folder, environment={"MODE": "test"}) as executor:
        seen = await value(start(executor, "environment")[1])
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert seen["MODE"] == "test"
    assert seen["PATH"] == os.environ["PATH"]


async def test_handlers_read_nothing_from_the_servers_input(folder: Path) -> None:
    async with pool(folder) as executor:
        assert await value(start(executor, "open_files")[1]) == ""


async def test_says_why_workers_cannot_start(folder: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"(?s)status 1 before its first call, and wrote: .*encodings"
    ):
        async with pool(folder, environment={"PYTHONHOME": "/nowhere"}):
            pass


async def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a folder of handlers"):
        async with pool(tmp_path / "nowhere"):
            pass


async def test_tries_ever_more_rarely_to_start_workers_and_then_runs_what_waited(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, starts = tmp_path / "broken", tmp_path / "starts"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        f"import os\nopen({str(starts)!r}, 'a').write('x')\n"
        f"if os.path.exists({str(broken)!r}): os._exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{site}:{os.environ.get('PYTHONPATH', '')}")
    async with pool(folder) as executor:
        broken.touch()
        os.kill(executor.worker_pids[0], signal.SIGKILL)
        await until(lambda: executor.ready_workers == 0)
        waiting = start(executor, "echo", "at last")[1]
        await until(lambda: len(starts.read_text()) >= 3)
        expired = call(executor, "echo", deadline_ms=soon(0.3))
        assert error(await expired)[0] == "Sandbox.Timedout"
        assert len(starts.read_text()) <= 5
        broken.unlink()
        assert await value(waiting) == "at last"


async def test_a_module_that_ends_the_worker_does_not_keep_others_from_running(
    folder: Path,
) -> None:
    (folder / "deadly.py").write_text(
        "import os\nos._exit(9)\nasync def dead(event, context): ...\n"
    )
    async with pool(folder, preload=True) as executor:
        assert await value(start(executor, "echo", 1)[1]) == 1
        reason = "Runtime exited with error: exit status 9"
        assert error(await call(executor, "dead")) == ("Runtime.ExitError", reason)
        assert await value(start(executor, "echo", 2)[1]) == 2


async def test_leaving_ends_workers_and_all_they_started(folder: Path, tmp_path: Path) -> None:
    waiter = Waiter(tmp_path)
    async with pool(folder, workers=2) as executor:
        await until(lambda: executor.ready_workers == 2)
        child = await value(start(executor, "start_child")[1])
        await waiter.started(executor, 4)
        event: Json = {"log": str(tmp_path / "blocked"), "seconds": 3600}
        start(executor, "block", event)
        await until((tmp_path / "blocked").exists)
        pids = executor.worker_pids
    assert [pid for pid in pids if is_running(pid)] == []
    await until(lambda: not is_running(child))  # the kernel takes its time after SIGKILL


SERVER = """
import asyncio, sys
from pathlib import Path
from eventmill.executors.pool import WorkerPool
from eventmill.executors.pool_settings import PoolSettings
from eventmill.model import Payload
from eventmill.ports import Invocation

async def main():
    async with WorkerPool(Path(sys.argv[1]), settings=PoolSettings(workers=2)) as pool:
        while pool.ready_workers < 2:
            await asyncio.sleep(0.01)
        for id_ in range(2):
            payload = Payload.of({"log": f"{sys.argv[1]}/blocked{id_}", "seconds": 3600})
            pool.invoke(Invocation(id=id_, function="block", payload=payload, execution_arn="",
                state="", token="", idempotency_key="", attempt=1, deadline_ms=None), print)
            while not Path(f"{sys.argv[1]}/blocked{id_}").exists():
                await asyncio.sleep(0.01)
            if id_ == 0 and sys.argv[2] == "idle":
                break
        print(*pool.worker_pids, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("second_worker", ["idle", "blocked"])
def test_a_killed_server_leaves_no_worker_behind(folder: Path, second_worker: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder), second_worker], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in server.stdout.readline().split()]
        server.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    assert len(workers) == 2
