"""Disks that are full, read-only or taken by somebody else, until they are not any more."""

import resource
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.crash.server import READY, REFUSED
from tests.crash.servers import Ended, Servers, servers, undisturbed
from tests.crash.workload import LOG, make_project, outcome
from tests.faults.disk import EFFECTS, FILES, failing, why_not

LOOK_SECONDS = 0.01
LOCKED_SECONDS = 10  # twice as long as a statement waits
# Growth of the data folder: the layout alone, the first commits, and most of the work.
SIZES = (60_000, 200_000, 300_000)


FULL = 'mount -t tmpfs -o size=1m none "$0" && head -c 600000 /dev/zero >"$0/ballast"'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'


def mounted(folder: Path, script: str) -> Servers:
    """Servers that see `folder` as the script has mounted it, and nobody else does."""
    folder.mkdir()
    enter = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare, which mounts file systems for one process")
    tried = subprocess.run([*enter, script, str(folder)], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"file systems cannot be mounted here: {tried.stderr.strip()}")
    return Servers(wrapper=[*enter, f'{script} && exec "$@"', str(folder)])


@contextmanager
def meanwhile(when: Callable[[], bool], act: Callable[[], object]) -> Iterator[threading.Event]:
    """While the block runs, act once `when` holds; the event says whether that has come."""
    over, acted = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if when():
                act()
                acted.set()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield acted
    finally:
        over.set()
        watcher.join()


def said(project: Path) -> str:
    """What the server has said so far."""
    path = project.with_name(f"{project.name}.stderr")
    return path.read_text() if path.exists() else ""


def count_effects(project: Path) -> int:
    return len((project / "effects").read_text().split())


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_that_gets_room_again_costs_nothing(size: int, tmp_path: Path) -> None:
    project, hits = make_project(tmp_path / "project", files=FILES), tmp_path / "hits"
    room = tmp_path / "room"

    def is_stuck() -> bool:
        return hits.exists() and len(hits.read_text().splitlines()) > 20

    with meanwhile(is_stuck, room.touch):
        ended = failing().run(
            project,
            environment={
                "DISK_FOLDER": str(project / ".eventmill"),
                "DISK_BYTES": str(size),
                "DISK_ROOM": str(room),
                "DISK_HITS": str(hits),
            },
        )

    assert hits.exists(), f"the work does not need {size} bytes"
    if (project / READY).exists():
        assert ended.code == 0, "it did not go on by itself"
        assert "database or disk is full" in ended.said
    else:
        assert ended.code == REFUSED
        room.touch()
        assert failing().run(project) == Ended(0, "")
    assert outcome(project) == undisturbed(FILES)
    assert count_effects(project) == EFFECTS


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of others are set on Linux")
def test_a_file_that_may_not_grow_until_it_may_costs_nothing(tmp_path: Path) -> None:
    """The limit on the size of a process's files, in the place of a full disk."""
    project = make_project(tmp_path / "project", files=FILES)

    def limit(size: int | None) -> None:
        holder = int((project / f"{LOG}.lock").read_text())
        _, hard = resource.prlimit(holder, resource.RLIMIT_FSIZE)
        resource.prlimit(holder, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    with (
        meanwhile((project / READY).exists, lambda: limit(4096)) as limited,
        meanwhile(lambda: said(project).count("cannot write") > 3, lambda: limit(None)) as lifted,
    ):
        ended = servers().run(project)

    assert limited.is_set()
    assert ended.code == 0, "it did not go on by itself"
    assert lifted.is_set()
    assert outcome(project) == undisturbed(FILES)
    assert count_effects(project) == EFFECTS


@pytest.mark.timeout(40)
def test_a_database_that_somebody_else_has_locked_is_waited_for(tmp_path: Path) -> None:
    """A backup, say, that holds SQLite's lock longer than a statement waits for it."""
    project = make_project(tmp_path / "project", files=FILES)
    holding: list[sqlite3.Connection] = []
    until = time.monotonic() + LOCKED_SECONDS

    def lock() -> None:
        holding.append(sqlite3.connect(project / LOG, check_same_thread=False))
        holding[0].execute("BEGIN IMMEDIATE")

    with (
        meanwhile((project / READY).exists, lock) as locked,
        meanwhile(
            lambda: time.monotonic() > until and "database is locked" in said(project),
            lambda: holding[0].close(),
        ) as released,
    ):
        ended = servers().run(project)

    assert locked.is_set()
    assert released.is_set()
    assert ended.code == 0
    assert outcome(project) == undisturbed(FILES)
    assert count_effects(project) == EFFECTS


def test_a_real_disk_that_is_full_and_gets_room_again_costs_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", files=FILES)
    data = project / ".eventmill"
    with closing(mounted(data, FULL)) as inside:
        there = inside.files / data.relative_to("/")
        with meanwhile(
            lambda: said(project).count("database or disk is full") > 3,
            (there / "ballast").unlink,
        ) as got_room:
            ended = inside.run(project)
        shutil.copytree(there, data, dirs_exist_ok=True)

    assert ended.code == 0, "it did not go on by itself"
    assert got_room.is_set()
    assert outcome(project) == undisturbed(FILES)
    assert count_effects(project) == EFFECTS


def test_a_read_only_disk_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", files=FILES)
    with closing(mounted(project / ".eventmill", READ_ONLY)) as inside:
        ended = inside.run(project)

    assert ended.code == REFUSED
    assert ended.said == f"stopped: cannot open {project / LOG}.lock: Read-only file system\n"
    assert list((project / ".eventmill").iterdir()) == []
    assert servers().run(project) == Ended(0, "")
    assert outcome(project) == undisturbed(FILES)
