"""A server at work on a project: `with EventmillServer(project) as eventmill: …`."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from eventmill.errors import SettingsError
from eventmill.testing.clients import client
from eventmill.testing.service import LocalService

_READY_SECONDS: Final = 60.0
_END_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_LINES_KEPT: Final = 1_000


class EventmillServer(LocalService):
    """`eventmill up` in a process of its own, for a project and with a log of its own."""

    def __init__(
        self,
        project: Path,
        *,
        data: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run `project` with its log in `data`, by default a folder that goes with the server.

        The server and its handlers get `environment` in addition to their own.
        """
        self.project = project
        self._data = data
        self._own: TemporaryDirectory[str] | None = None
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._ready: dict[str, Any] | None = None
        self._heard = threading.Event()
        self._listener: threading.Thread | None = None
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)

    @property
    def data(self) -> Path:
        """The folder with its log."""
        if self._data is None:
            self._own = self._own or TemporaryDirectory(prefix="eventmill-")
            return Path(self._own.name)
        return self._data

    @property
    def endpoint(self) -> str:
        """The URL of its API.

        Raises:
            RuntimeError: It is not running.
        """
        if self._ready is None:
            raise RuntimeError("the server is not running: start it, or use it in a with statement")
        return str(self._ready["endpoint"])

    def start(self) -> Self:
        """Start it, if it is not running, and wait until it is ready.

        Raises:
            SettingsError: It ends, or is not ready within a minute; the message is what it wrote.
        """
        if self._process is not None:
            return self
        command = [sys.executable, "-m", "eventmill", "up", "--json", "--port", "0"]
        command += ["--project", str(self.project), "--data", str(self.data)]
        for name in self._environment:
            command += ["--handler-env", name]
        self._heard.clear()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            env={**os.environ, **self._environment},
            start_new_session=True,  # a Ctrl-C is for the tests, which then stop it
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        if not self._heard.wait(_READY_SECONDS) or self._ready is None:
            self._end(signal.SIGKILL)
            raise SettingsError(f"{self.project} does not start:\n{self.output()}")
        return self

    def stop(self) -> None:
        """Ask it to end and wait until it has; its own log goes with it."""
        self._end(signal.SIGTERM)
        own, self._own = self._own, None
        if own is not None:
            own.cleanup()

    def kill(self) -> None:
        """End it at once, as a crash would; `start` lets it go on."""
        self._end(signal.SIGKILL)

    def output(self) -> str:
        """What it has written lately, a JSON document on each line."""
        return "\n".join(self.lines)

    def client(self) -> Any:
        """A client of boto3 for its API, which is that of Step Functions."""
        return client("stepfunctions", self.endpoint)

    def executions(self, state_machine: str | None = None) -> list[dict[str, Any]]:
        """All executions, or those of one state machine, as DescribeExecution tells them.

        The first to start comes first. `input` and `output` are values, not texts.
        """
        api = self.client()
        try:
            machines = api.get_paginator("list_state_machines").paginate()
            listed = [
                row["executionArn"]
                for page in machines
                for machine in page["stateMachines"]
                if state_machine in (None, machine["name"])
                for rows in api.get_paginator("list_executions").paginate(
                    stateMachineArn=machine["stateMachineArn"]
                )
                for row in rows["executions"]
            ]
            described = [api.describe_execution(executionArn=arn) for arn in listed]
        finally:
            api.close()
        return sorted(map(_read, described), key=lambda each: each["startDate"])

    def ended(
        self,
        count: int = 1,
        state_machine: str | None = None,
        *,
        seconds: float = _PATIENCE_SECONDS,
    ) -> list[dict[str, Any]]:
        """The executions that have ended, once they are `count` or more.

        Raises:
            TimeoutError: They are not in so many seconds; the message tells what there is.
        """
        deadline = time.monotonic() + seconds
        while True:
            all_ = self.executions(state_machine)
            found = [each for each in all_ if each["status"] != "RUNNING"]
            if len(found) >= count:
                return found
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the server has ended:\n{self.output()}")
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(found)} executions of {count} ended in {seconds:g} s, and "
                    f"{len(all_) - len(found)} are running; the server wrote:\n{self.output()}"
                )
            time.sleep(_LOOK_SECONDS)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        """Keep what it writes, so that it never waits for a reader, until it has ended."""
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
            if self._ready is None and line.startswith('{"type":"ready"'):
                self._ready = json.loads(line)
                self._heard.set()
        self._heard.set()

    def _end(self, number: signal.Signals) -> None:
        process, listener = self._process, self._listener
        self._process = self._listener = None
        if process is None or listener is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.join(_END_SECONDS)
        self._ready = None
        assert process.stdout is not None
        process.stdout.close()


def _read(described: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: json.loads(described[name]) for name in ("input", "output") if name in described
    }
    return {**described, **values}
