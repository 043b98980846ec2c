"""A process of ours that ends when its owner does, however that ends: at the end of its stdin."""

import os
import subprocess
import sys
from tempfile import TemporaryFile
from typing import Final

from eventmill.errors import SettingsError

_END_SECONDS: Final = 10.0


class Child:
    """A module in a Python of its own; `told` is the line by which it said that it is ready."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start it and wait for that line.

        Raises:
            SettingsError: It ends before; the message is the last line it wrote.
        """
        with TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # a Ctrl-C is for its owner, who ends it when it is time
            )
            assert self._process.stdout is not None
            self.told = self._process.stdout.readline().strip()
            if not self.told:
                self.end()
                errors.seek(0)
                lines = errors.read().strip().splitlines()
                raise SettingsError(lines[-1] if lines else f"{module} does not start")

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def end(self) -> None:
        """Let it end, and wait until it has; by force if it takes too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
