"""What a writer who was killed has left is removed; what somebody still writes is not."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest

from eventmill.objects import unfinished
from eventmill.objects.filesystem import FilesystemObjectStore

WRITES_FOR_EVER = """
import sys
from pathlib import Path
from typing import IO
from eventmill.objects import unfinished
file, path = unfinished.create(Path(sys.argv[1]))
file.write(b"half of it")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    folder.mkdir()
    return folder


def left(bucket: Path) -> list[str]:
    return [name for name in os.listdir(bucket) if name.startswith(unfinished.PREFIX)]


async def keys(store: FilesystemObjectStore) -> list[str]:
    return [each.key async for each in store.list("bucket")]


def writer(bucket: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, str(bucket)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


async def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(
    tmp_path: Path, bucket: Path
) -> None:
    store = FilesystemObjectStore(tmp_path)
    (bucket / "kept").write_bytes(b"x")
    (bucket / "folder").mkdir()
    (bucket / f"{unfinished.PREFIX}folder").mkdir()
    with writer(bucket) as killed, writer(bucket) as living:
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        assert len(left(bucket)) == 3
        assert await keys(store) == ["folder/", "kept"]
        assert await store.remove_abandoned() == 1
        assert await store.remove_abandoned() == 0
        assert len(left(bucket)) == 2
        living.kill()
    assert await store.remove_abandoned() == 1
    assert await keys(store) == ["folder/", "kept"]


async def test_a_write_under_way_in_this_process_is_left_alone(
    tmp_path: Path, bucket: Path
) -> None:
    store, go_on = FilesystemObjectStore(tmp_path), asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"first "
        assert await store.remove_abandoned() == 0
        await go_on.wait()
        yield b"second"

    write = asyncio.create_task(store.write("bucket", "key", content()))
    go_on.set()
    assert await write == 12
    assert (bucket / "key").read_bytes() == b"first second"
    assert left(bucket) == []


@pytest.mark.parametrize("meanwhile", ["removed", "locked"])
def test_a_file_that_is_taken_before_it_is_locked_is_made_anew(
    bucket: Path, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    taken: list[IO[bytes]] = []

    def late(file: IO[bytes], operation: int) -> None:
        if not taken:
            (path,) = bucket.iterdir()
            taken.append(path.open("rb"))
            lock(taken[0], operation)
            path.unlink()
            if meanwhile == "removed":
                taken[0].close()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    file, path = unfinished.create(bucket)
    with file:
        assert [path.name] == left(bucket)
    taken[0].close()


def test_there_may_be_no_buckets(tmp_path: Path) -> None:
    assert unfinished.remove_abandoned(tmp_path / "nowhere") == 0
