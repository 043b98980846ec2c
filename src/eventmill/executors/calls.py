"""Calls of handlers in the running event loop: the part that all executors on Python share.

It knows handlers and deadlines, and nothing of processes.
"""

import asyncio
import contextvars
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from eventmill.executors.answers import (
    RESPONSE_BYTES_MAX,
    Unavailable,
    raised,
    returned,
    timed_out,
)
from eventmill.executors.deadlines import Deadlines
from eventmill.executors.threads import Threads
from eventmill.faults import point
from eventmill.handler import HandlerContext
from eventmill.model import decode_json
from eventmill.ports import Answer, Invocation, Raised
from eventmill.record import record

_BEAT_SECONDS: Final = 0.1

HandlerFunction: TypeAlias = Callable[[Any, Any], Any]


@record
class Handler:
    """A function that can be called: `async def` runs in the loop, plain `def` in a thread."""

    function: HandlerFunction
    is_async: bool
    timeout_seconds: float | None = None


Lookup: TypeAlias = Callable[[str], Handler]
"""Finds the handler of a function name; raises Unavailable when it cannot be called."""

current_call: Final[contextvars.ContextVar["Call | None"]] = contextvars.ContextVar(
    "eventmill_call", default=None
)
"""The call on whose behalf this code runs, in handlers and in all tasks and threads of theirs."""


class Call:
    """One call that has begun: its task or thread, its timer, and who waits for the answer."""

    __slots__ = (
        "_answer",
        "began",
        "deadline_ms",
        "expired",
        "invocation",
        "started_ms",
        "stopped",
        "task",
        "timer",
    )

    def __init__(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        self.invocation = invocation
        self.started_ms = int(time.time() * 1000)
        self.deadline_ms: int | None = None
        self.task: asyncio.Task[None] | None = None  # None while a thread runs it
        self.timer: asyncio.TimerHandle | None = None  # of the grace after the deadline
        self.began = False  # the handler's own code has been entered
        self.stopped = False  # it was told to stop, by a cancel or at its deadline
        self.expired = False  # … at its deadline
        self._answer: Callable[[Answer], None] | None = answer

    def reply(self, answer: Answer) -> None:
        """Answer, unless that has been done or nobody waits any more."""
        waiting, self._answer = self._answer, None
        if waiting is not None:
            waiting(answer)

    def hush(self) -> None:
        """Nobody waits for the answer any more."""
        self._answer = None

    def timed_out(self) -> Answer:
        """The answer for a call stopped at its deadline."""
        assert self.deadline_ms is not None, "only a call with a deadline expires"
        return timed_out(self.invocation, max(0, self.deadline_ms - self.started_ms) / 1000)


class Calls:
    """Starts, times and stops calls of handlers.

    A call ends when its function has ended, not when it was told to: `is_running` is true until
    then. At its deadline a call is cancelled, and its answer is `Sandbox.Timedout` whatever the
    function does then. A call that goes on for `grace_seconds` after it was cancelled is
    answered although it runs on; None leaves that to whoever can kill it. A plain `def` cannot
    be cancelled, so there the grace counts as over at once.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        threads_max: int,
        grace_seconds: float | None = None,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        on_heartbeat: Callable[[Invocation], None] | None = None,
        on_own_deadline: Callable[[int, int], None] = lambda _id, _at_ms: None,
        on_end: Callable[[int], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._lookup = lookup
        self._threads = Threads(threads_max)
        self._grace_seconds = grace_seconds
        self._response_bytes_max = response_bytes_max
        self._on_heartbeat = on_heartbeat
        self._on_own_deadline = on_own_deadline
        self._on_end = on_end
        self._running: dict[int, Call] = {}
        self._deadlines = Deadlines(self._running.keys(), self._expire)

    def __len__(self) -> int:
        return len(self._running)

    def running(self) -> list[int]:
        """The ids of all calls that have begun and not ended, oldest first."""
        return list(self._running)

    def start(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        """Begin a call; `answer` is called later, once."""
        call = Call(invocation, answer)
        self._running[invocation.id] = call
        try:
            handler = self._lookup(invocation.function)
        except Unavailable as error:
            self._loop.call_soon(self._end, call, error.answer(invocation))
            return
        self._set_deadline(call, handler)
        if call.expired:
            self._loop.call_soon(self._end, call, _STOPPED)
        elif handler.is_async:
            run = self._run(call, handler.function, self._context(call))
            call.task = self._loop.create_task(run)
        else:
            self._start_thread(call, handler.function)

    def cancel(self, invocation: int) -> None:
        """Stop a call; it gets no answer. Unknown ids are ignored."""
        call = self._running.get(invocation)
        if call is not None:
            call.hush()
            self._stop(call)

    def stop(self, invocation: int) -> None:
        """Stop a call; it is answered when it has ended. Unknown ids are ignored."""
        call = self._running.get(invocation)
        if call is not None:
            self._stop(call)

    def owner(self, task: asyncio.Task[Any]) -> int | None:
        """The id of the call that `task` runs."""
        for invocation, call in self._running.copy().items():
            if call.task is task:
                return invocation
        return None

    def close(self) -> None:
        """Cancel all calls."""
        for invocation in list(self._running):
            self.cancel(invocation)
        self._deadlines.close()
        self._threads.close()

    async def drained(self) -> None:
        """Return when every call in the loop has ended; threads are not waited for."""
        while tasks := [call.task for call in self._running.values() if call.task is not None]:
            await asyncio.wait(tasks)

    def _set_deadline(self, call: Call, handler: Handler) -> None:
        deadline_ms = call.invocation.deadline_ms
        if handler.timeout_seconds is not None:
            own_ms = call.started_ms + int(handler.timeout_seconds * 1000)
            if deadline_ms is None or own_ms < deadline_ms:
                deadline_ms = own_ms
                self._on_own_deadline(call.invocation.id, own_ms)
        if deadline_ms is not None:
            call.deadline_ms = deadline_ms
            call.expired = deadline_ms <= call.started_ms
            self._deadlines.add(call.invocation.id, deadline_ms)

    def _context(self, call: Call) -> HandlerContext:
        invocation, heartbeat = call.invocation, self._on_heartbeat
        return HandlerContext(
            function_name=invocation.function,
            execution_arn=invocation.execution_arn,
            state_name=invocation.state,
            attempt=invocation.attempt,
            idempotency_key=invocation.idempotency_key,
            task_token=invocation.token,
            deadline_ms=call.deadline_ms,
            on_heartbeat=_sparingly(lambda: heartbeat(invocation)) if heartbeat else _ignore,
        )

    async def _run(self, call: Call, function: HandlerFunction, context: object) -> None:
        call.began = True
        current_call.set(call)
        try:
            # A fresh value: the handler may change its event, which others may share.
            point("before-handler")
            result = await function(decode_json(call.invocation.payload.text), context)
            point("after-handler")
            answer = returned(call.invocation, result, self._response_bytes_max)
        except BaseException as error:  # SystemExit in a handler must not end the server
            answer = raised(call.invocation, error, own_module=__name__)
        self._end(call, answer)

    def _start_thread(self, call: Call, function: HandlerFunction) -> None:
        context = self._context(call)

        def work() -> None:
            if call.stopped:  # while it waited for a thread
                return
            call.began = True
            current_call.set(call)
            try:
                point("before-handler")
                result = function(decode_json(call.invocation.payload.text), context)
                point("after-handler")
                if inspect.isawaitable(result):
                    if not self._call_soon(self._continue, call, result):
                        _discard(result)
                    return
                answer = returned(call.invocation, result, self._response_bytes_max)
            except BaseException as error:  # it would end the thread without an answer
                answer = raised(call.invocation, error, own_module=__name__)
            self._call_soon(self._end, call, answer)

        scope = contextvars.copy_context()
        self._threads.submit(lambda: scope.run(work))

    def _call_soon(self, function: Callable[..., None], *arguments: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop was closed while the thread ran: nobody is left to tell
            return False
        return True

    def _continue(self, call: Call, result: Awaitable[Any]) -> None:
        # A decorator made an `async def` look like a plain function.
        if call.stopped:
            _discard(result)
            self._end(call, _STOPPED)
            return
        call.began = False  # of what is awaited, nothing has run
        call.task = self._loop.create_task(self._run(call, lambda _event, _context: result, None))
        call.task.add_done_callback(lambda _: _discard(result))

    def _expire(self, invocation: int) -> None:
        call = self._running[invocation]
        if call.stopped or call.expired:
            return
        call.expired = True
        self._stop(call)
        if self._grace_seconds is not None and invocation in self._running:
            grace_seconds = self._grace_seconds if call.task is not None else 0
            call.timer = self._loop.call_later(grace_seconds, self._give_up, call)

    def _stop(self, call: Call) -> None:
        call.stopped = True
        if call.task is not None:
            call.task.cancel()
        if not call.began:  # and never will
            self._end(call, _STOPPED)

    def _give_up(self, call: Call) -> None:
        call.reply(call.timed_out())

    def _end(self, call: Call, answer: Answer) -> None:
        if call.timer is not None:
            call.timer.cancel()
        was_running = self._running.pop(call.invocation.id, None) is not None
        call.task = None  # its context holds the call: no cycle is left to the garbage collector
        call.reply(call.timed_out() if call.expired else answer)
        if was_running and self._on_end is not None:
            self._on_end(call.invocation.id)


_STOPPED: Final = Raised(error="CancelledError", cause="")


def _discard(result: Awaitable[Any]) -> None:
    """Have no coroutine complain that nobody awaits it; one that was awaited is over already."""
    if inspect.iscoroutine(result):
        result.close()


def _sparingly(beat: Callable[[], None]) -> Callable[[], None]:
    """Pass on one heartbeat in a tenth of a second: each becomes a step in the log."""
    next_at = 0.0

    def beat_now() -> None:
        nonlocal next_at
        now = time.monotonic()
        if now >= next_at:
            next_at = now + _BEAT_SECONDS
            beat()

    return beat_now


def _ignore() -> None:
    """Nobody asked to hear of heartbeats."""
