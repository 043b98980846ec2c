"""Runs handlers in the server's own event loop: for tests, and for handlers that are trusted.

Nothing is isolated. A handler that blocks, blocks the server; one that ignores its cancellation,
or is a plain `def` in a thread, runs on after it was answered `Sandbox.Timedout`; one that kills
the process kills all.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from eventmill.arn import Home, function_name
from eventmill.executors.answers import RESPONSE_BYTES_MAX, NotFound
from eventmill.executors.calls import Calls, Handler, HandlerFunction
from eventmill.executors.loader import Loader, handler_of
from eventmill.ports import Invocation


class InlineExecutor:
    """An `Executor` in this event loop.

    When its `async with` block is left, calls are cancelled and get no answer; one that does not
    end within the grace is left to itself.
    """

    def __init__(
        self,
        handlers: Path | Mapping[str, HandlerFunction],
        *,
        home: Home | None = None,
        threads_max: int = 64,
        grace_seconds: float = 1.0,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
        on_heartbeat: Callable[[Invocation], None] | None = None,
        on_end: Callable[[int], None] | None = None,
    ) -> None:
        """Serve the handlers of a folder, or functions by name. Needs a running event loop.

        A handler may go on for `grace_seconds` after its deadline before it is answered for, and
        return `response_bytes_max` bytes of JSON. `on_heartbeat` may be called in any thread.
        `on_end` is called with the id of each call when its function has really ended, which may
        be long after its answer.
        """
        home = home or Home()
        lookup = Loader(handlers, home) if isinstance(handlers, Path) else _Mapped(handlers, home)
        self._grace_seconds = grace_seconds
        self._calls = Calls(
            lookup,
            threads_max=threads_max,
            grace_seconds=grace_seconds,
            response_bytes_max=response_bytes_max,
            on_heartbeat=on_heartbeat,
            on_end=on_end,
        )
        self.invoke = self._calls.start
        self.cancel = self._calls.cancel

    async def __aenter__(self) -> "InlineExecutor":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._calls.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calls.drained(), self._grace_seconds)


class _Mapped:
    """Finds handlers in a mapping."""

    def __init__(self, functions: Mapping[str, HandlerFunction], home: Home) -> None:
        self._handlers = {name: handler_of(function) for name, function in functions.items()}
        self._home = home

    def __call__(self, reference: str) -> Handler:
        handler = self._handlers.get(reference) or self._handlers.get(function_name(reference))
        if handler is None:
            raise NotFound(function_name(reference), self._home)
        return handler
