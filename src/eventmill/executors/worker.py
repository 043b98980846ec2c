"""The worker process: `python -m eventmill.executors.worker <socket> <server's process id>`.

It runs what the pool sends over the socket, many calls at once in one event loop, and ends when
the socket does. The pool starts it; nobody else has a use for it.
"""

import asyncio
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import NoReturn

from eventmill.arn import Home
from eventmill.executors.calls import Calls, Handler
from eventmill.executors.frames import (
    Blocked,
    Done,
    Failed,
    Heartbeat,
    Invoke,
    OwnDeadline,
    Pulse,
    Ready,
    Setup,
    Stop,
    ToWorker,
    decode_to_worker,
)
from eventmill.executors.link import Link
from eventmill.executors.loader import Loader
from eventmill.executors.output import Output
from eventmill.executors.watchdog import Watchdog
from eventmill.model import Payload
from eventmill.ports import Answer, Invocation, Returned


class Worker:
    """Turns frames into calls, and their answers into frames."""

    def __init__(self, end: socket.socket) -> None:
        """Serve the pool at the other side of `end`. Needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._link = Link(end, decode_to_worker, on_frame=self._receive, on_close=self.leave)
        self._leaving: asyncio.Task[None] | None = None
        self._grace_seconds = 0.0
        self._begun: set[int] = set()
        self._begins = True  # false once the loop was blocked: the pool has sent the rest elsewhere
        self._lock = threading.Lock()  # over the two above, which the watchdog's thread reads
        self._starting = 0
        self._calls: Calls | None = None
        self._loader: Loader
        self._output: Output
        self._watchdog: Watchdog

    def leave(self) -> None:
        """Cancel all calls, give them time to clean up, and end the process."""
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._leave())

    async def _leave(self) -> None:
        with self._lock:
            self._begins = False
        try:
            if self._calls is not None:
                self._calls.close()
                await asyncio.wait_for(self._calls.drained(), self._grace_seconds)
        finally:
            _end_process()

    def _receive(self, frame: ToWorker) -> None:
        match frame:
            case Invoke():
                self._invoke(frame)
            case Stop() if self._calls is not None:
                self._calls.stop(frame.id)
            case Setup():
                is_set_up = False
                try:
                    self._set_up(frame)
                    is_set_up = True
                finally:
                    if not is_set_up:  # the pool reads the reason from what was written
                        traceback.print_exc(file=sys.__stderr__)
                        os._exit(1)

    def _set_up(self, setup: Setup) -> None:
        if setup.data_bytes_max is not None:
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (setup.data_bytes_max, hard))
        self._grace_seconds = setup.grace_seconds
        self._output = Output(self._link.post_now, lambda: self._link.unsent_frames)
        self._output.capture(setup.log_level)
        self._calls = Calls(
            self._find,
            threads_max=setup.threads_max,
            response_bytes_max=setup.response_bytes_max,
            on_heartbeat=lambda invocation: self._link.post_now(Heartbeat(invocation.id)),
            on_own_deadline=lambda id_, at_ms: self._link.post(OwnDeadline(id_, at_ms)),
        )
        self._watchdog = Watchdog(
            self._calls,
            pulse_seconds=setup.pulse_seconds,
            blocked_seconds=setup.blocked_seconds,
            import_seconds=setup.import_seconds,
            on_pulse=lambda: self._link.post_now(Pulse(_resident_bytes())),
            on_blocked=self._blocked,
            on_orphaned=_end_process,
        )
        self._loader = Loader(Path(setup.folder), Home(account=setup.account, region=setup.region))
        if setup.preload:
            self._loader.preload()
        self._watchdog.start()
        self._link.post(Ready())

    def _find(self, reference: str) -> Handler:
        if self._loader.is_loaded(reference):
            return self._loader(reference)
        with self._watchdog.importing(self._starting):
            return self._loader(reference)

    def _invoke(self, frame: Invoke) -> None:
        with self._lock:
            if not self._begins:
                return
            self._begun.add(frame.id)
        assert self._calls is not None, "the setup comes before all calls"
        self._starting = frame.id
        invocation = Invocation(
            id=frame.id,
            function=frame.function,
            payload=Payload(frame.payload),
            execution_arn=frame.execution_arn,
            state=frame.state,
            token=frame.token,
            idempotency_key=frame.idempotency_key,
            attempt=frame.attempt,
            deadline_ms=frame.deadline_ms,
        )
        self._calls.start(invocation, partial(self._answer, frame.id))

    def _answer(self, id_: int, answer: Answer) -> None:
        self._output.end_lines()
        with self._lock:
            self._begun.discard(id_)
        if isinstance(answer, Returned):
            self._link.post(Done(id_, answer.output.text))
        else:
            self._link.post(Failed(id_, answer.error, answer.cause))

    def _blocked(self, culprit: int | None, place: str) -> None:
        with self._lock:
            self._begins = False
            begun = list(self._begun)
        self._link.post_now(Blocked(culprit, place, begun))


def _resident_bytes() -> int:
    """The physical memory in use; where the system does not tell, the most there was."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _end_process() -> NoReturn:
    """End at once, with all processes that handlers started; threads may be stuck for ever."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _die_with_server(server: int) -> None:
    """Ask Linux to kill this process when the server dies, however it dies."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(0)


def main() -> None:
    """Run until the pool closes the socket."""
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    _die_with_server(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def begin() -> None:
        worker = Worker(end)
        loop.add_signal_handler(signal.SIGTERM, worker.leave)

    loop.call_soon(begin)
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # asyncio lets these out when a task that a handler made for itself raises them.
            continue


if __name__ == "__main__":
    main()
