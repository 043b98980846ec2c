"""The pool's side of one worker process: its start, its socket, its output and its end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Final

from eventmill.executors.frames import (
    Blocked,
    FromWorker,
    Invoke,
    Setup,
    Stop,
    decode_from_worker,
)
from eventmill.executors.link import Link
from eventmill.ports import Answer, Invocation

_log: Final = logging.getLogger(__name__)

_LINE_BYTES_MAX: Final = 65_536


class PooledCall:
    """One invocation in the pool, from `invoke` to its answer."""

    __slots__ = (
        "alone",
        "answer",
        "deadline_ms",
        "invocation",
        "is_overdue",
        "reruns",
        "started_ms",
        "worker",
    )

    def __init__(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        self.invocation = invocation
        self.answer: Callable[[Answer], None] | None = answer  # None once nobody waits any more
        self.started_ms = int(time.time() * 1000)
        self.deadline_ms = invocation.deadline_ms
        self.worker: PooledWorker | None = None  # None while it waits for one
        self.alone = False  # must run with no neighbours, to see who takes the worker down
        self.is_overdue = False  # it was to stop and did not within the grace
        self.reruns = 0


class Doom(Enum):
    """Why the pool killed a worker."""

    STUCK = auto()  # calls that are overdue would not end
    MEMORY = auto()  # it held more memory than it may
    UNWANTED = auto()  # it has no calls that anybody waits for


class PooledWorker:
    """A worker process and the calls it has."""

    def __init__(
        self,
        on_frame: Callable[["PooledWorker", FromWorker], None],
        *,
        grace_seconds: float,
    ) -> None:
        self.calls: dict[int, PooledCall] = {}
        self.is_ready = False
        self.is_retired = False  # gets no more work
        self.is_stale = False  # to be retired when its replacement is ready
        self.is_exclusive = False  # kept for, or busy with, a call that runs alone
        self.is_silent = False  # not even its watchdog was heard of
        self.doom: Doom | None = None
        self.served = 0
        self.heard_at = time.monotonic()
        self.blocked: Blocked | None = None
        self.blocked_at = 0.0
        self.pid: int | None = None
        self.last_lines: deque[str] = deque(maxlen=10)  # of what it wrote past Python's streams
        self._unfinished = b""
        self.made_at = time.monotonic()
        self._on_frame = on_frame
        self._grace_seconds = grace_seconds
        self._has_ended = False
        self._link: Link[FromWorker] | None = None
        self._loop = asyncio.get_running_loop()
        self._kill_timer: asyncio.TimerHandle | None = None

    async def live(self, setup: Setup, environment: Mapping[str, str]) -> int:
        """Start, and return when the process has ended; its exit status, or minus the signal.

        All it sent has been received by then.

        Raises:
            OSError: The process could not be started.
        """
        ours, theirs = socket.socketpair()
        output, output_end = os.pipe()
        link = Link(ours, decode_from_worker, on_frame=self._receive, on_close=self._closed)
        self._link = link
        link.post(setup)
        try:
            started = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "eventmill.executors.worker"),
                *(str(theirs.fileno()), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output_end,
                stderr=output_end,
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=Path(setup.folder).parent,
                start_new_session=True,
            )
        except OSError:
            os.close(output)
            link.close()
            raise
        finally:
            theirs.close()
            os.close(output_end)
        self.pid = started.pid
        self._loop.add_reader(output, self._read_output, output)
        if self.doom is not None:
            self._signal(signal.SIGKILL)
        status = await started.wait()
        self._ended(link, output)
        return status

    def invoke(self, call: PooledCall) -> None:
        """Send a call."""
        if not self.calls:
            self.heard_at = time.monotonic()
        invocation = call.invocation
        call.worker = self
        self.calls[invocation.id] = call
        self.served += 1
        assert self._link is not None, "only workers that are ready get calls"
        self._link.post(
            Invoke(
                invocation.id,
                invocation.function,
                invocation.payload.text,
                invocation.execution_arn,
                invocation.state,
                invocation.token,
                invocation.idempotency_key,
                invocation.attempt,
                invocation.deadline_ms,
            )
        )

    def stop(self, call: PooledCall) -> None:
        """Ask for a call to be cancelled; it stays in `calls` until the worker says it ended."""
        if self._link is not None and call.invocation.id in self.calls:
            self._link.post(Stop(call.invocation.id))

    def leave(self) -> None:
        """Let the worker end by itself; after the grace it is killed."""
        if self._link is not None:
            self._link.close()

    def kill(self, doom: Doom) -> None:
        """SIGTERM, and after the grace SIGKILL to the worker and all it started.

        For too much memory there is no grace.
        """
        if self.doom is not None:
            return
        self.doom = doom
        self.is_retired = True
        if doom is Doom.MEMORY:
            self._signal(signal.SIGKILL)
        else:
            self._signal(signal.SIGTERM)
            self._kill_later()

    def _kill_later(self) -> None:
        if self._kill_timer is None and not self._has_ended:
            self._kill_timer = self._loop.call_later(
                self._grace_seconds, self._signal, signal.SIGKILL
            )

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number is signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def _receive(self, frame: FromWorker) -> None:
        self.heard_at = time.monotonic()
        self._on_frame(self, frame)

    def _closed(self) -> None:
        # Without its socket a worker is of no use; this is how it normally ends, too.
        self.is_retired = True
        self._kill_later()

    def _read_output(self, output: int) -> None:
        try:
            data = os.read(output, 65_536)
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(output)
            return
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _LINE_BYTES_MAX:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in lines:
            self._log_line(line)

    def _log_line(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace")
        self.last_lines.append(text)
        _log.warning("worker %s: %s", self.pid, text)

    def _ended(self, link: Link[FromWorker], output: int) -> None:
        self._has_ended = True
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._signal(signal.SIGKILL)  # what the handlers started, and left behind
        link.receive_rest()
        os.set_blocking(output, False)
        self._read_output(output)
        self._loop.remove_reader(output)
        os.close(output)
        if self._unfinished:
            self._log_line(self._unfinished)
        self.pid = None
