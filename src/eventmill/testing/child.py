"""A process of ours that ends when its owner does, however that ends: at the end of its stdin."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from tempfile import TemporaryFile
from threading import Lock
from typing import Final

from eventmill.errors import SettingsError

_END_SECONDS: Final = 30.0  # for all that it keeps


class Child:
    """A module in a Python of its own; `told` is the line by which it said that it is ready."""

    def __init__(
        self, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it, by default with the environment of this process, and wait for that line.

        Raises:
            SettingsError: It ends before; the message is the last line it wrote.
        """
        self._module = module
        self._talk = Lock()
        self._errors = TemporaryFile(  # noqa: SIM115 - `end` closes it
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env=environment,
            start_new_session=True,  # a Ctrl-C is for its owner, who ends it when it is time
        )
        assert self._process.stdout is not None
        self.told = self._process.stdout.readline().strip()
        if not self.told:
            self.end()
            raise SettingsError(f"{module} does not start")

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, line: str) -> str:
        """Give it a line and wait for the one that it answers.

        Raises:
            RuntimeError: It has ended.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._talk:
            with suppress(BrokenPipeError):
                process.stdin.write(f"{line}\n")
                process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            process.wait(_END_SECONDS)
            raise RuntimeError(f"{self._module} has ended: {self._last_line()}")
        return answer.rstrip("\n")

    def end(self) -> None:
        """Let it end, and wait until it has; by force if it takes too long.

        Raises:
            SettingsError: It ended in failure; the message is the last line it wrote.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._errors, process.stdout:
            with suppress(BrokenPipeError):  # it has ended, and left a line unread
                process.stdin.close()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.returncode:
                raise SettingsError(self._last_line())

    def _last_line(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"{self._module} ended with {self._process.returncode}"
