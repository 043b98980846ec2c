"""What only an `EventLog` in a file must survive: crashes, disks, other processes, and closing."""

import asyncio
import gc
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eventmill.errors import LogInUse, LogUnavailable
from eventmill.log.audit import audit_database
from eventmill.log.connection import driver
from eventmill.log.sqlite import SqliteEventLog
from eventmill.log.writer import Writer
from eventmill.ports import Transaction
from eventmill.rows import ExecutionRow, StepRow

NOBODY = 65_534


def execution(id: int) -> ExecutionRow:
    return ExecutionRow(
        id=id,
        arn=f"arn:{id}",
        state_machine_arn="arn:m",
        name=str(id),
        definition="d",
        status="RUNNING",
        start_ms=1,
    )


def started(id: int) -> Transaction:
    return Transaction(created=[execution(id)], steps=[step(id, 1)])


def step(execution: int, number: int, body: bytes = b"{}") -> StepRow:
    return StepRow(execution=execution, step=number, body=body)


def extended(execution: int, number: int, body: bytes = b"{}") -> Transaction:
    return Transaction(steps=[step(execution, number, body)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process; it is killed at the end."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# Crashes

# Sixteen clients. Each transaction extends two executions, sets a timer and notes its number; the
# number is printed once the transaction is durable. Every tenth is refused.
WRITES_UNTIL_KILLED = """
import asyncio, sys
from eventmill.errors import AppendConflict
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import ExecutionRow, StepRow, Transaction

def row(id):
    return ExecutionRow(id=id, arn=f"arn:{id}", state_machine_arn="arn:m", name=str(id),
                        definition="d", status="RUNNING", start_ms=1)

async def client(log, first):
    second = first + 1
    await log.commit(Transaction(created=[row(first), row(second)]))
    number = 0
    while True:
        number += 1
        body = b"x" * (number * 37 % 3000)
        if number % 10 == 0:
            try:
                await log.commit(Transaction(steps=[StepRow(execution=first, step=1, body=body)]))
            except AppendConflict:
                pass
        await log.commit(Transaction(
            steps=[StepRow(execution=first, step=number, body=body),
                   StepRow(execution=second, step=number, body=body)],
            timers={first: number},
            sensor_state={("client", str(first)): b"%d" % number},
        ))
        print(first, number, flush=True)

async def main():
    async with SqliteEventLog.open(sys.argv[1]) as log:
        await asyncio.gather(*(client(log, first) for first in range(1, 33, 2)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged_before", [1, 400, 3_000])
async def test_survives_kill_9_with_all_that_was_acknowledged_and_nothing_by_halves(
    path: Path, acknowledged_before: int
) -> None:
    acknowledged: dict[int, int] = {}
    with running(WRITES_UNTIL_KILLED, path) as process:
        for _ in range(acknowledged_before):
            first, number = map(int, line_of(process).split())
            acknowledged[first] = number
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        for line in rest.splitlines(keepends=True):
            if line.endswith("\n"):
                first, number = map(int, line.split())
                acknowledged[first] = number
    async with SqliteEventLog.open(path) as log:
        noted = await log.sensor_state("client")
        due = {first: at for at, first in await log.due(2**62, limit=100)}
        for row in await log.executions():
            first = row.id - (row.id + 1) % 2
            assert row.steps >= acknowledged.get(first, 0)
            assert row.steps == int(noted.get(str(first), b"0"))
            assert row.steps == due.get(first, 0)
            assert [each.step for each in await log.read(row.id)] == list(range(1, row.steps + 1))
    assert sum(acknowledged.values()) >= acknowledged_before
    assert audit_database(path).problem is None


# Disks


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_without_room_fails_all_that_is_handed_over_until_it_has_room_again(
    path: Path,
) -> None:
    big = b"x" * 1_000_000
    async with SqliteEventLog.open(path) as log:
        await log.commit(Transaction(created=[execution(1), execution(2)]))
        # The last are those that wait while the batch before them fails.
        handed_over = [extended(1, number, big) for number in range(1, 21)]
        with files_limited_to(path.with_name("log.db-wal").stat().st_size + 100_000):
            done = await asyncio.gather(
                *(log.commit(each) for each in [*handed_over, extended(2, 1)]),
                return_exceptions=True,
            )
            with pytest.raises(LogUnavailable):
                await log.commit(extended(1, 1, big))
            assert list(await log.read(1)) == []
        assert [type(each) for each in done] == [LogUnavailable] * 21
        assert len({id(each) for each in done}) == 21
        assert str(path) in str(done[0])
        assert list(await log.read(1)) == []
        assert list(await log.read(2)) == []
        await asyncio.gather(*(log.commit(each) for each in handed_over))
        assert [each.step for each in await log.read(1)] == list(range(1, 21))
    assert audit_database(path).problem is None


async def test_a_log_that_somebody_locked_is_unavailable_until_it_is_free(path: Path) -> None:
    async with SqliteEventLog.open(path, busy_timeout_ms=20) as log:
        with closing(driver.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LogUnavailable, match="database is locked"):
                await log.commit(started(1))
            assert await log.execution_by_id(1) is None
        await log.commit(started(1))
        assert await log.execution_by_id(1) is not None


@pytest.fixture
def foreign_folder() -> Iterator[Path]:
    """A folder this process may read but not write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_a_folder_that_cannot_be_written_is_told(foreign_folder: Path) -> None:
    with (
        unprivileged(foreign_folder),
        pytest.raises(LogUnavailable, match=r"cannot open .*log\.db\.lock: Permission denied"),
    ):
        async with SqliteEventLog.open(foreign_folder / "log.db"):
            pass


async def test_a_log_in_a_folder_that_cannot_be_written_can_be_read(foreign_folder: Path) -> None:
    path = foreign_folder / "log.db"
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
    with unprivileged(foreign_folder):
        async with SqliteEventLog.open(path, read_only=True) as log:
            assert list(await log.read(1)) == [step(1, 1)]
        assert audit_database(path).problem is None


async def test_a_file_that_cannot_be_written_is_told(foreign_folder: Path) -> None:
    path = foreign_folder / "log.db"
    async with SqliteEventLog.open(path):
        pass
    path.chmod(0o444)
    path.with_name("log.db.lock").chmod(0o666)
    with unprivileged(foreign_folder), pytest.raises(LogUnavailable, match="readonly"):
        async with SqliteEventLog.open(path) as log:
            await log.commit(started(1))


async def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="No such file or directory"):
        async with SqliteEventLog.open(tmp_path / "none" / "log.db"):
            pass


async def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1?mode=ro & Grüße.db"
    async with SqliteEventLog.open(str(path)) as log:
        await log.commit(started(1))
        assert await log.execution("arn:1") is not None
    assert path.exists()


# Other processes

HOLDS_UNTIL_KILLED = """
import asyncio, sys
from eventmill.log.sqlite import SqliteEventLog

async def main():
    async with SqliteEventLog.open(sys.argv[1]):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_log_belongs_to_one_server_until_that_is_gone_however_it_went(path: Path) -> None:
    with running(HOLDS_UNTIL_KILLED, path) as process:
        assert line_of(process) == "open"
        with pytest.raises(LogInUse, match=f"in use by the process {process.pid}$"):
            async with SqliteEventLog.open(path):
                pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        async with SqliteEventLog.open(path) as log:
            await log.commit(started(1))


async def test_a_log_can_be_opened_once_in_a_process(path: Path) -> None:
    async with SqliteEventLog.open(path):
        with pytest.raises(LogInUse, match=f"in use by the process {os.getpid()}$"):
            async with SqliteEventLog.open(path):
                pass
    async with SqliteEventLog.open(path):
        pass


async def test_a_reader_needs_no_lock_and_sees_what_is_committed_meanwhile(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        async with SqliteEventLog.open(path, read_only=True) as reader:
            await log.commit(started(1))
            assert list(await reader.read(1)) == [step(1, 1)]
            with pytest.raises(LogUnavailable, match=r"log\.db is open for reading only"):
                reader.commit(started(2))
        await log.commit(extended(1, 2))
    async with SqliteEventLog.open(path, read_only=True) as reader:
        assert [each.step for each in await reader.read(1)] == [1, 2]


# Batches and closing


async def test_a_lone_transaction_waits_for_no_other(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        async with asyncio.timeout(10):
            await log.commit(started(1))


def noted_batches(writer: Writer) -> list[int]:
    """The sizes of all batches to come."""
    sizes: list[int] = []
    commit = writer.commit

    def noting(batch: Sequence[Transaction]) -> Sequence[Exception | None]:
        sizes.append(len(batch))
        return commit(batch)

    writer.commit = noting  # type: ignore[method-assign]  # the writer lives inside the log
    return sizes


async def test_batches_are_bounded_in_bytes_and_still_keep_the_order(path: Path) -> None:
    body = b"x" * 3_000_000
    async with SqliteEventLog.open(path) as log:
        await log.commit(Transaction(created=[execution(1)]))
        batches = await log.carry_out(noted_batches)
        await asyncio.gather(*(log.commit(extended(1, number, body)) for number in range(1, 9)))
        assert batches == [3, 3, 2]
        assert [each.step for each in await log.read(1)] == list(range(1, 9))


async def test_batches_are_bounded_in_transactions_too(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        batches = await log.carry_out(noted_batches)
        await asyncio.gather(*(log.commit(started(id)) for id in range(1, 301)))
        assert batches == [128, 128, 44]
        assert len(await log.executions(limit=2_000)) == 300


async def test_what_was_handed_over_behind_a_batch_that_is_lost_is_lost_with_it(
    path: Path,
) -> None:
    def refuse_once(writer: Writer) -> None:
        commit = writer.commit

        def refusing(batch: Sequence[Transaction]) -> Sequence[Exception | None]:
            writer.commit = commit  # type: ignore[method-assign]  # the writer lives in the log
            raise LogUnavailable("the disk says no")

        writer.commit = refusing  # type: ignore[method-assign]  # likewise

    async with SqliteEventLog.open(path) as log:
        await log.carry_out(refuse_once)
        lost = [log.commit(started(id)) for id in range(1, 301)]
        outcomes = await asyncio.gather(*lost, return_exceptions=True)
        assert {str(each) for each in outcomes} == {"the disk says no"}
        assert list(await log.executions()) == []
        await asyncio.gather(*(log.commit(started(id)) for id in range(1, 301)))
        assert len(await log.executions(limit=2_000)) == 300
    assert audit_database(path).problem is None


async def test_a_log_that_is_closed_refuses_everything(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))
    with pytest.raises(LogUnavailable, match=r"log\.db is closed"):
        await log.commit(started(2))
    with pytest.raises(LogUnavailable, match=r"log\.db is closed"):
        await log.read(1)


async def test_an_error_of_the_user_passes_through_unchanged(path: Path) -> None:
    async def serve() -> None:
        async with SqliteEventLog.open(path) as log:
            await log.commit(started(1))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await serve()


async def test_a_mistake_of_ours_ends_the_block_and_fails_what_waits(path: Path) -> None:
    waiting: list[asyncio.Future[None]] = []

    async def serve() -> None:
        async with SqliteEventLog.open(path) as log:
            waiting.extend((log.commit(started(0)), log.commit(started(1))))
            await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="execution 0"):
        await serve()
    assert [type(each.exception()) for each in waiting] == [LogUnavailable] * 2
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    async with SqliteEventLog.open(path) as log:
        await log.commit(started(1))


def workers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if "_connection_worker_thread" in each.name]


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 40])
async def test_a_log_that_is_cancelled_leaves_no_thread_and_no_lock(path: Path, turns: int) -> None:

    async def serve() -> None:
        async with SqliteEventLog.open(path) as log:
            id = 0
            while True:
                id += 1
                await log.commit(started(id))

    task = asyncio.create_task(serve())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    for thread in workers():
        thread.join(10)
    assert workers() == []
    async with SqliteEventLog.open(path) as log:
        rows = await log.executions(limit=10_000)
        assert [row.steps for row in rows] == [1] * len(rows)
    assert audit_database(path).problem is None


def test_a_process_that_opened_a_log_ends(path: Path) -> None:
    # aiosqlite's threads are not daemons: one left running would keep the process alive.
    script = """
import asyncio, sys
from eventmill.log.sqlite import SqliteEventLog

async def main():
    async with SqliteEventLog.open(sys.argv[1]) as log:
        await log.executions()
    try:
        async with SqliteEventLog.open(sys.argv[1] + "/none/log.db"):
            pass
    except Exception as error:
        print(type(error).__name__)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script, path],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "LogUnavailable\n", "")
