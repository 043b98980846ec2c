"""Runs of the server under test: each a process of its own, that may be killed."""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tests.crash.server import REFUSED
from tests.crash.workload import FILES, make_project, outcome

ROOT: Final = Path(__file__).parents[2]
KILLED: Final = -signal.SIGKILL
# What compiled coroutines warn of (pyproject.toml) is shown where `__main__` waits for them.
HIDDEN: Final = "ignore:the (type, exc, tb) signature of throw() is deprecated:DeprecationWarning"


class Ended(NamedTuple):
    """How a run ended, what it said on stderr, and whether it was killed because of the time."""

    code: int
    said: str
    is_moment: bool = False


class Servers:
    """Starts servers one after the other.

    `preload` is a library for all of them; `wrapper` a command that runs the command after it.
    """

    def __init__(self, preload: Path | None = None, wrapper: Sequence[str] = ()) -> None:
        environment = dict(os.environ)
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-W", HIDDEN, "-m", "tests.crash.server"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def files(self) -> Path:
        """The root of the file system as these servers see it."""
        return Path(f"/proc/{self._process.pid}/root")

    def run(
        self,
        project: Path,
        point: str | None = None,
        times: int = 0,
        environment: Mapping[str, str] = MappingProxyType({}),
        executions: int | None = None,
        seconds: float | None = None,
    ) -> Ended:
        """Run a server until its work is done, or until it passes `point` for the n-th time.

        Its work is what the project of `workload` has to do, or that so many executions end. After
        `seconds` it is killed, whatever it is doing.
        """
        stderr = project.with_name(f"{project.name}.stderr")
        stderr.unlink(missing_ok=True)
        order = {
            "project": str(project),
            "stderr": str(stderr),
            "point": point,
            "times": times,
            "environment": dict(environment),
            "executions": executions,
            "seconds": seconds,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        ended = Ended(answer["code"], stderr.read_text(), answer["is_moment"])
        assert ended.code in (0, KILLED, REFUSED), ended.said
        assert "Traceback" not in ended.said, ended.said
        return ended

    def close(self) -> None:
        """End the process that starts the servers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@cache
def servers() -> Servers:
    """Those of this process, which end with it."""
    started = Servers()
    atexit.register(started.close)
    return started


@cache
def undisturbed(files: tuple[str, ...] = FILES) -> Any:
    """What comes of a project that nobody disturbs."""
    with TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", files=files)
        assert servers().run(project) == Ended(0, "")
        return outcome(project)
