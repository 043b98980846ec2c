"""Runs handlers in a pool of warm worker processes: the executor to use.

What each kind of trouble costs:

* A handler that raises, or returns what is not JSON: its own call.
* A worker that dies (crash, `os._exit`, the kernel's out-of-memory killer): `Runtime.ExitError`
  for every call in it, since nobody can tell whose fault it was.
* A handler that does not end within the grace after its deadline: its own call; the worker is
  killed, and the other calls in it are run again elsewhere.
* A handler that blocks its worker's loop: its own call. The worker gets no more work, and calls
  it has not begun go elsewhere at once; those it has begun, when it stays blocked. It is killed
  when the deadline of the culprit passes, and never for a culprit without a deadline.
* A worker above its memory limit is killed. If it ran one call, that is `Runtime.OutOfMemory`;
  else each is run again alone, which shows who it was.

To be run again is allowed because handlers run at least once, with the same idempotency key;
a call is run again `reruns_max` times at most, and then answered `Runtime.ExitError`.
"""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from eventmill.arn import Home
from eventmill.errors import SettingsError
from eventmill.executors.answers import exited, out_of_memory, timed_out
from eventmill.executors.deadlines import Deadlines
from eventmill.executors.frames import (
    Blocked,
    Done,
    Failed,
    FromWorker,
    Heartbeat,
    Line,
    OwnDeadline,
    Pulse,
    Ready,
    Setup,
)
from eventmill.executors.pool_settings import PoolSettings, worker_environment
from eventmill.executors.pooled_worker import Doom, PooledCall, PooledWorker
from eventmill.model import Payload
from eventmill.ports import Answer, Invocation, Raised, Returned

_log: Final = logging.getLogger(__name__)

_BACKOFF_SECONDS_MAX: Final = 10.0


class WorkerPool:
    """An `Executor` over worker processes, which live as long as the `async with` block.

    Calls that find no free place wait in the order in which they came. When the block is left,
    calls are cancelled, workers are ended, and nothing is answered any more: whoever invoked
    must be ready to invoke again after a restart, as after a crash.
    """

    def __init__(
        self,
        folder: Path,
        *,
        home: Home | None = None,
        settings: PoolSettings | None = None,
        on_heartbeat: Callable[[Invocation], None] | None = None,
        on_end: Callable[[int], None] | None = None,
    ) -> None:
        """Serve the handlers of `folder`. Needs a running event loop.

        `on_end` is called with the id of each call when it has left its worker for good, which may
        be some time after it was cancelled.
        """
        self._home = home or Home()
        self._folder = folder.resolve()
        self._settings = settings or PoolSettings()
        self._on_heartbeat = on_heartbeat
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, PooledCall] = {}
        self._waiting: OrderedDict[int, PooledCall] = OrderedDict()
        self._waiting_alone: OrderedDict[int, PooledCall] = OrderedDict()
        self._deadlines = Deadlines(self._calls.keys(), self._expire)
        self._workers: list[PooledWorker] = []
        self._lives: set[asyncio.Task[None]] = set()
        self._start_failures = 0
        self._paused_until = 0.0
        self._preload = self._settings.preload
        self._first_start: asyncio.Future[None] = self._loop.create_future()
        self._watch_timer: asyncio.TimerHandle | None = None
        self._watch_due = 0.0
        self._is_closed = False

    async def __aenter__(self) -> "WorkerPool":
        """Start the workers; returns when the first is ready.

        Raises:
            SettingsError: Workers cannot be started here; the message has what they wrote.
        """
        if not self._folder.is_dir():
            raise SettingsError(f"{self._folder} is not a folder of handlers")
        self._fill()
        try:
            await asyncio.shield(self._first_start)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        """Start a call; see `Executor.invoke`."""
        if self._is_closed:
            return
        call = PooledCall(invocation, answer)
        self._calls[invocation.id] = call
        if invocation.deadline_ms is not None:
            self._deadlines.add(invocation.id, invocation.deadline_ms)
        self._waiting[invocation.id] = call
        self._dispatch()
        if self._watch_timer is None:
            self._watch_later()

    def cancel(self, invocation: int) -> None:
        """Stop a call; see `Executor.cancel`."""
        call = self._calls.get(invocation)
        if call is None or call.answer is None:
            return
        call.answer = None
        if call.worker is None:
            self._forget(call)
            return
        call.worker.stop(call)
        self._give_grace(call, call.worker)

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of all workers that live."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    @property
    def ready_workers(self) -> int:
        """How many workers take calls."""
        return sum(worker.is_ready and not worker.is_retired for worker in self._workers)

    # Calls find workers.

    def _dispatch(self) -> None:
        if self._waiting_alone:
            self._dispatch_alone()
        while self._waiting:
            worker = self._least_loaded()
            if worker is None:
                return
            worker.invoke(self._waiting.popitem(last=False)[1])
            calls_max = self._settings.calls_max
            if calls_max is not None and worker.served >= calls_max:
                self._recycle(worker)

    def _least_loaded(self) -> PooledWorker | None:
        best, least = None, self._settings.calls_per_worker
        for worker in self._workers:
            if worker.is_ready and not worker.is_retired and not worker.is_exclusive:
                load = len(worker.calls)
                if load < least:
                    best, least = worker, load
        return best

    def _dispatch_alone(self) -> None:
        for worker in self._workers:
            if not self._waiting_alone or self._exclusive_workers() == self._settings.workers:
                return
            if worker.is_ready and not worker.is_retired and not worker.calls:
                worker.is_exclusive = True
                worker.invoke(self._waiting_alone.popitem(last=False)[1])
                self._fill()

    def _exclusive_workers(self) -> int:
        return sum(worker.is_exclusive for worker in self._workers)

    def _release(self, worker: PooledWorker) -> None:
        """The call that ran alone has ended; its worker takes any, or is one too many."""
        worker.is_exclusive = False
        if len(self._open_workers()) > self._settings.workers and not self._waiting_alone:
            self._retire(worker)

    def _forget(self, call: PooledCall) -> None:
        """Drop a call from wherever it is, which frees its place."""
        id_ = call.invocation.id
        if self._calls.pop(id_, None) is not None and self._on_end is not None:
            self._loop.call_soon(self._on_end, id_)  # later, because it may invoke
        self._waiting.pop(id_, None)
        self._waiting_alone.pop(id_, None)
        worker, call.worker = call.worker, None
        if worker is not None:
            del worker.calls[id_]
            if worker.is_exclusive:
                self._release(worker)
            if worker.is_retired and worker in self._workers:
                self._settle(worker)
            self._dispatch()

    def _finish(self, call: PooledCall, answer: Answer) -> None:
        waiting, call.answer = call.answer, None
        self._forget(call)
        if waiting is not None:
            # Later, because `waiting` may invoke or cancel, and may raise.
            self._loop.call_soon(waiting, answer)

    def _run_again(self, call: PooledCall, status: int, *, alone: bool) -> None:
        """Put a call that lost its worker, or could not begin in it, before all that wait."""
        if call.answer is None:
            self._forget(call)
        elif call.reruns >= self._settings.reruns_max:
            self._finish(call, exited(call.invocation, status))
        else:
            call.reruns += 1
            call.alone = call.alone or alone
            call.deadline_ms = call.invocation.deadline_ms  # its handler's own begins again
            if call.worker is not None:
                call.worker.calls.pop(call.invocation.id, None)
                call.worker = None
            queue = self._waiting_alone if call.alone else self._waiting
            queue[call.invocation.id] = call
            queue.move_to_end(call.invocation.id, last=False)

    # Workers report.

    def _receive(self, worker: PooledWorker, frame: FromWorker) -> None:
        match frame:
            case Done(id=id_, output=output):
                if (call := worker.calls.get(id_)) is not None:
                    self._finish(call, Returned(output=Payload.compact(output)))
            case Failed(id=id_, error=error, cause=cause):
                if (call := worker.calls.get(id_)) is not None:
                    self._finish(call, Raised(error=error, cause=cause))
            case Line(function=function, level=level, text=text):
                name = f"eventmill.handlers.{function}" if function else "eventmill.handlers"
                logging.getLogger(name).log(level, "%s", text)
            case Pulse(resident_bytes=resident_bytes):
                self._pulse(worker, resident_bytes)
            case Heartbeat(id=id_):
                call = worker.calls.get(id_)
                if call is not None and call.answer is not None and self._on_heartbeat is not None:
                    self._on_heartbeat(call.invocation)
            case OwnDeadline(id=id_, deadline_ms=deadline_ms):
                if (call := worker.calls.get(id_)) is not None:
                    call.deadline_ms = deadline_ms
                    self._deadlines.add(id_, deadline_ms)
            case Blocked():
                self._blocked(worker, frame)
            case Ready():
                self._ready(worker)

    def _ready(self, worker: PooledWorker) -> None:
        worker.is_ready = True
        self._start_failures = 0
        if not self._first_start.done():
            self._first_start.set_result(None)
        for stale in [each for each in self._workers if each.is_stale and not each.is_retired][:1]:
            self._retire(stale)
        self._dispatch()

    def _pulse(self, worker: PooledWorker, resident_bytes: int) -> None:
        settings = self._settings
        if settings.resident_bytes_max is not None and resident_bytes > settings.resident_bytes_max:
            _log.warning("worker %s holds %d bytes and is killed", worker.pid, resident_bytes)
            worker.kill(Doom.MEMORY)
        elif (
            settings.resident_bytes_recycle is not None
            and resident_bytes > settings.resident_bytes_recycle
            and time.monotonic() - worker.made_at > settings.recycle_seconds_min
        ):
            self._recycle(worker)

    def _blocked(self, worker: PooledWorker, frame: Blocked) -> None:
        culprit = worker.calls.get(frame.culprit) if frame.culprit is not None else None
        _log.warning(
            "worker %s is blocked by handler %s at %s; use a plain def, which runs in a thread",
            worker.pid,
            "?" if culprit is None else culprit.invocation.function,
            frame.place,
        )
        worker.blocked, worker.blocked_at = frame, time.monotonic()
        for call in self._not_begun(worker, frame):
            call.reruns -= 1  # it has not run yet
            self._run_again(call, 0, alone=False)
        self._retire(worker)

    def _not_begun(self, worker: PooledWorker, frame: Blocked) -> list[PooledCall]:
        begun = set(frame.begun)
        return [call for id_, call in worker.calls.items() if id_ not in begun][::-1]

    # Time passes.

    def _expire(self, id_: int) -> None:
        call = self._calls[id_]
        deadline_ms = call.deadline_ms
        if deadline_ms is None or time.time() * 1000 < deadline_ms:
            return  # the deadline was the handler's own, in a worker that is no more
        if call.worker is None:
            self._finish(call, self._timed_out(call))
        else:
            self._give_grace(call, call.worker)

    def _give_grace(self, call: PooledCall, worker: PooledWorker) -> None:
        self._loop.call_later(self._settings.grace_seconds, self._grace_is_over, call, worker)

    def _grace_is_over(self, call: PooledCall, worker: PooledWorker) -> None:
        """A call was to stop; see whether the worker has said that it did."""
        id_ = call.invocation.id
        if self._calls.get(id_) is not call:
            return
        if call.worker is None:  # it lost its worker meanwhile
            self._finish(call, self._timed_out(call))
            return
        if call.worker is not worker:
            self._give_grace(call, call.worker)
            return
        call.is_overdue = True
        culprit = worker.blocked.culprit if worker.blocked is not None else None
        if culprit is not None and culprit != id_:
            # It is stuck because of another, which may have time left.
            if call.answer is not None:
                waiting, call.answer = call.answer, None
                worker.stop(call)
                self._loop.call_soon(waiting, self._timed_out(call))
        elif call.answer is not None:
            worker.kill(Doom.STUCK)
        self._retire(worker)

    def _watch_later(self) -> None:
        self._watch_due = time.monotonic() + self._settings.pulse_seconds
        self._watch_timer = self._loop.call_later(self._settings.pulse_seconds, self._watch)

    def _watch(self) -> None:
        self._watch_timer = None
        now = time.monotonic()
        was_late = now - self._watch_due > self._settings.pulse_seconds
        for worker in list(self._workers):
            if was_late:  # the server stood still, perhaps with the whole machine
                worker.heard_at = now
            self._look_after(worker, now)
        if self._calls and not self._is_closed:
            self._watch_later()

    def _look_after(self, worker: PooledWorker, now: float) -> None:
        settings = self._settings
        if worker.blocked is not None and now - worker.blocked_at > settings.rescue_seconds:
            self._rescue(worker, worker.blocked)
        is_silent = now - worker.heard_at > 3 * settings.blocked_seconds
        if worker.calls and worker.is_ready and is_silent and not worker.is_silent:
            worker.is_silent = True
            _log.warning(
                "worker %s is blocked by native code in one of %s",
                worker.pid,
                sorted({call.invocation.function for call in worker.calls.values()}),
            )
            self._retire(worker)

    def _rescue(self, worker: PooledWorker, blocked: Blocked) -> None:
        """Run the neighbours of a culprit elsewhere: it has blocked them for too long."""
        if blocked.culprit is None:
            return
        for id_, call in list(worker.calls.items()):
            if id_ != blocked.culprit and call.reruns < self._settings.reruns_max:
                worker.stop(call)
                self._run_again(call, 0, alone=False)
        self._dispatch()

    def _timed_out(self, call: PooledCall) -> Answer:
        assert call.deadline_ms is not None, "only a call with a deadline expires"
        seconds = max(0, call.deadline_ms - call.started_ms) / 1000
        return timed_out(call.invocation, seconds)

    # Workers come and go.

    def _fill(self) -> None:
        """Start workers until enough take calls, and one for each call that must run alone.

        However many are blocked, or are ending, there are never more than three times as many
        as the settings want.
        """
        if self._is_closed or self._loop.time() < self._paused_until:
            return
        workers = self._settings.workers
        alone = min(len(self._waiting_alone), workers - self._exclusive_workers())
        missing = workers + alone - len(self._open_workers())
        for _ in range(min(missing, 3 * workers - len(self._workers))):
            worker = PooledWorker(self._receive, grace_seconds=self._settings.grace_seconds)
            self._workers.append(worker)
            life = self._loop.create_task(self._live(worker))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)

    def _open_workers(self) -> list[PooledWorker]:
        """The workers that take calls of all kinds, or will when they have started."""
        return [
            worker
            for worker in self._workers
            if not worker.is_retired and not worker.is_stale and not worker.is_exclusive
        ]

    async def _live(self, worker: PooledWorker) -> None:
        settings = self._settings
        environment = worker_environment(os.environ, settings.environment or {})
        limit = self._loop.call_later(settings.start_seconds, self._start_is_over, worker)
        try:
            status = await worker.live(self._setup(), environment)
            wrote = "\n".join(worker.last_lines)
        except OSError as error:
            status, wrote = 127, str(error)
        limit.cancel()
        self._workers.remove(worker)
        if self._is_closed:
            return
        if worker.is_ready and (worker.served or worker.is_retired):
            self._lose(worker, status)
            self._fill()
        else:
            self._could_not_start(status, wrote)
        self._dispatch()

    def _start_is_over(self, worker: PooledWorker) -> None:
        if not worker.is_ready:
            worker.kill(Doom.UNWANTED)

    def _could_not_start(self, status: int, wrote: str) -> None:
        was_preloading, self._preload = self._preload, False
        message = (
            f"a worker ended with status {status} before its first call, "
            f"and wrote: {wrote.strip() or 'nothing'}"
        )
        _log.error("%s", message)
        if was_preloading:
            _log.error("handlers are not preloaded any more, since that may be what ended it")
            self._fill()
            return
        if not self._first_start.done():
            self._first_start.set_exception(SettingsError(message))
            return
        self._start_failures += 1
        delay_seconds = min(_BACKOFF_SECONDS_MAX, 0.1 * 2**self._start_failures)
        self._paused_until = self._loop.time() + delay_seconds
        self._loop.call_at(self._paused_until, self._fill)

    def _setup(self) -> Setup:
        settings = self._settings
        return Setup(
            folder=str(self._folder),
            account=self._home.account,
            region=self._home.region,
            threads_max=settings.calls_per_worker,
            pulse_seconds=settings.pulse_seconds,
            blocked_seconds=settings.blocked_seconds,
            import_seconds=settings.start_seconds,
            grace_seconds=settings.grace_seconds,
            preload=self._preload,
            log_level=logging.getLogger("eventmill.handlers").getEffectiveLevel(),
            data_bytes_max=settings.data_bytes_max,
            response_bytes_max=settings.response_bytes_max,
        )

    def _recycle(self, worker: PooledWorker) -> None:
        if not worker.is_stale:
            worker.is_stale = True
            self._fill()

    def _retire(self, worker: PooledWorker) -> None:
        worker.is_retired = True
        self._fill()
        self._settle(worker)
        self._dispatch()

    def _settle(self, worker: PooledWorker) -> None:
        """End a retired worker when nobody waits for what is still in it."""
        if not worker.calls:
            worker.leave()
        elif all(call.answer is None and call.is_overdue for call in worker.calls.values()):
            worker.kill(Doom.UNWANTED)

    def _lose(self, worker: PooledWorker, status: int) -> None:
        """The worker has ended: answer its calls, or have them run again."""
        calls = list(worker.calls.values())
        for call in reversed(calls):
            if call.is_overdue and worker.doom is Doom.STUCK and call.answer is not None:
                self._finish(call, self._timed_out(call))
            elif worker.doom is Doom.STUCK:
                is_suspect = worker.is_silent or (
                    worker.blocked is not None and worker.blocked.culprit is None
                )
                self._run_again(call, status, alone=is_suspect)
            elif worker.doom is Doom.MEMORY and len(calls) > 1:
                self._run_again(call, status, alone=True)
            elif worker.doom is Doom.MEMORY:
                self._finish(call, out_of_memory(call.invocation))
            else:
                self._finish(call, exited(call.invocation, status))

    async def _close(self) -> None:
        self._is_closed = True
        self._deadlines.close()
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        if not self._first_start.done():
            self._first_start.cancel()
        self._calls.clear()
        self._waiting.clear()
        self._waiting_alone.clear()
        for worker in self._workers:
            for call in worker.calls.values():
                call.answer = None
            worker.leave()
            worker.kill(Doom.UNWANTED)
        if self._lives:
            await asyncio.wait(set(self._lives))
