"""Real servers for the tests of the command line: `eventmill up` in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Server:
    """A process of `eventmill up`, read line by line; stderr goes along with stdout."""

    def __init__(self, command: Sequence[str], cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env={name: value for name, value in os.environ.items() if name != "FORCE_COLOR"},
        )
        self.seen: list[str] = []

    def line(self, wanted: Callable[[str], bool]) -> str:
        """The next line that is wanted; the timeout of the test is the limit."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(line)
            if wanted(line):
                return line
        raise AssertionError("the server ended; it wrote:\n" + "".join(self.seen))

    def told(self, type_: str) -> Line:
        """The next line of JSON with this type."""
        return dict(json.loads(self.line(lambda line: json.loads(line)["type"] == type_)))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """The exit code, once it has ended, and all it wrote since it was last read."""
        rest, _ = self.process.communicate()
        return self.process.returncode, rest


@contextmanager
def server(project: Path, *arguments: str, as_json: bool = True) -> Iterator[Server]:
    """A server at work on `project`, gone after the block."""
    command = [sys.executable, "-m", "eventmill", "up", "--project", str(project)]
    with started([*command, *(["--json"] if as_json else []), *arguments]) as running:
        yield running


@contextmanager
def started(command: Sequence[str], cwd: Path | None = None) -> Iterator[Server]:
    """The server that `command` starts, gone after the block, however the test ends."""
    running = Server(command, cwd)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        assert running.process.stdout is not None
        if not running.process.stdout.closed:
            running.process.communicate()
