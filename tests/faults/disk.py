"""A disk that fails at its n-th call, and what a server has to do about it."""

import atexit
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from shutil import rmtree, which
from tempfile import mkdtemp
from typing import Final

from tests.crash.server import READY, REFUSED
from tests.crash.servers import KILLED, Ended, Servers, undisturbed
from tests.crash.workload import make_project, outcome

FILES: Final = ("one.txt",)
# Of the file and of the call: ten keys each, and the first attempt of `flaky`.
EFFECTS: Final = 22

_SOURCE: Final = Path(__file__).with_name("disk.c")


def why_not() -> str | None:
    """The reason why there can be no such disk here; None where there can."""
    if not sys.platform.startswith("linux"):
        return "calls to the disk are intercepted on Linux only"
    if which("cc") is None:
        return "there is no C compiler to build the failing disk with"
    return None


@cache
def library() -> Path:
    """The library to preload, compiled once for each process."""
    folder = mkdtemp(prefix="eventmill-disk-")
    atexit.register(rmtree, folder)
    built = Path(folder) / "disk.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(built), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


@cache
def failing() -> Servers:
    """Servers whose disk fails when it is told to."""
    started = Servers(library())
    atexit.register(started.close)
    return started


def _fault(call: str, fault: str, calls: int = 1, kill: int = 0) -> Mapping[str, str]:
    told = {"DISK_CALL": call, "DISK_FAULT": fault, "DISK_FOR": calls, "DISK_KILL": kill}
    return {name: str(value) for name, value in told.items()}


FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "a write finds no room": _fault("write", "ENOSPC"),
    "a write fails": _fault("write", "EIO"),
    "a write is cut short": _fault("write", "SHORT", 2),
    "writes find no room for a while": _fault("write", "ENOSPC", 30),
    "writes fail for a while": _fault("write", "EIO", 30),
    "a flush fails": _fault("sync", "EIO"),
    "flushes fail for a while": _fault("sync", "EIO", 10),
    "a read fails": _fault("read", "EIO"),
    "reads fail for a while": _fault("read", "EIO", 30),
    "a file cannot be cut": _fault("truncate", "EIO"),
    "a file cannot be opened": _fault("open", "EIO"),
    "files cannot be opened for a while": _fault("open", "EROFS", 10),
    "a flush fails, killed at the next call": _fault("sync", "EIO", kill=1),
    "a flush fails, killed at the call after": _fault("sync", "EIO", kill=2),
    "a flush fails, killed three calls later": _fault("sync", "EIO", kill=3),
    "a flush fails, killed five calls later": _fault("sync", "EIO", kill=5),
    "killed before a write": _fault("write", "KILL"),
    "killed before a flush": _fault("sync", "KILL"),
    "killed before a file is cut": _fault("truncate", "KILL"),
    "killed before a file is opened": _fault("open", "KILL"),
}


def disturb(name: str, number: int, folder: Path) -> bool:
    """Let a disk fail from its n-th call on; then, if that ended the server, start another one.

    Returns whether there were so many calls.

    Raises:
        AssertionError: Something was lost or doubled, or the server did not say what is wrong, or
            did not go on by itself although it had been ready.
    """
    project = make_project(folder / "project", files=FILES)
    hits = folder / "hits"
    ended = failing().run(
        project,
        environment={
            "DISK_FOLDER": str(project / ".eventmill"),
            "DISK_AT": str(number),
            "DISK_HITS": str(hits),
            **FAULTS[name],
        },
    )
    was_hit = hits.exists()
    if not was_hit:
        assert ended == Ended(0, "")
    if ended.code == KILLED:
        assert was_hit
        assert FAULTS[name]["DISK_FAULT"] == "KILL" or FAULTS[name]["DISK_KILL"] != "0"
    if ended.code == REFUSED:
        fault = FAULTS[name]
        is_lasting = fault["DISK_CALL"] == "read" and int(fault["DISK_FOR"]) > 1
        _check_refusal(project, ended, may_seem_damaged=is_lasting)
    runs_again = ended.code == KILLED or (ended.code == REFUSED and (project / READY).exists())
    if ended.code != 0:
        assert failing().run(project) == Ended(0, "")
    assert outcome(project) == undisturbed(FILES)
    if not runs_again:
        effects = len((project / "effects").read_text().split())
        assert effects == EFFECTS, f"handlers ran {effects} times, not {EFFECTS}"
    return was_hit


def _check_refusal(project: Path, ended: Ended, *, may_seem_damaged: bool) -> None:
    """See that a server that stopped was right to do so, and said why."""
    # A file that can never be read is the same to SQLite as one that is damaged.
    is_damage = "log.db is damaged" in ended.said
    assert may_seem_damaged or not is_damage, ended.said
    assert is_damage or not (project / READY).exists(), f"did not go on: {ended.said}"
    assert is_damage or "stopped: cannot " in ended.said, ended.said
