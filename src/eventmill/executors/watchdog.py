"""Watches a worker's event loop from a thread, which goes on when the loop does not."""

import asyncio
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from eventmill.executors.calls import Calls, current_call


class Watchdog:
    """Tells when the loop has been blocked for `blocked_seconds`, and by which call.

    While handlers are imported the loop may be blocked for `import_seconds`.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        pulse_seconds: float,
        blocked_seconds: float,
        import_seconds: float,
        on_pulse: Callable[[], None],
        on_blocked: Callable[[int | None, str], None],
        on_orphaned: Callable[[], None],
    ) -> None:
        """All three functions are called in the thread; `on_blocked` once at most."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._calls = calls
        self._pulse_seconds = pulse_seconds
        self._blocked_seconds, self._import_seconds = blocked_seconds, import_seconds
        self._on_pulse, self._on_blocked, self._on_orphaned = on_pulse, on_blocked, on_orphaned
        self._parent = os.getppid()
        self._was_busy = False
        self._is_probed = False  # the loop was asked for a sign of life, and has not answered
        self._quiet_since = 0.0
        self._importing: int | None = None
        self._owners: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = (
            weakref.WeakKeyDictionary()
        )

    def start(self) -> None:
        """Begin to watch; never ends."""
        self._loop.set_task_factory(self._make_task)
        threading.Thread(target=self._watch, name="eventmill-watchdog", daemon=True).start()

    @contextmanager
    def importing(self, call: int) -> Iterator[None]:
        """Modules are imported for the sake of `call`, which takes longer than handlers may."""
        self._importing = call
        try:
            yield
        finally:
            self._quiet_since = time.monotonic()
            self._importing = None

    def _make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        /,
        **options: Any,
    ) -> asyncio.Task[Any]:
        # Tasks that handlers make for themselves are remembered with the call they belong to.
        task = asyncio.Task(coroutine, loop=loop, **options)
        call = current_call.get()
        if call is not None:
            self._owners[task] = call.invocation.id
        return task

    def _watch(self) -> None:
        has_told = False
        while True:
            time.sleep(self._pulse_seconds)
            if os.getppid() != self._parent:
                # A blocked loop would never read the end of the server's stream.
                self._on_orphaned()
            is_busy = len(self._calls) > 0
            if is_busy or self._was_busy:
                self._on_pulse()
            self._was_busy = is_busy
            if is_busy and not has_told and self._is_blocked():
                has_told = True
                self._on_blocked(self._culprit(), self._place())

    def _is_blocked(self) -> bool:
        if not self._is_probed:
            self._is_probed = True
            self._quiet_since = time.monotonic()
            self._loop.call_soon_threadsafe(self._answer_probe)
            return False
        limit = self._blocked_seconds if self._importing is None else self._import_seconds
        return time.monotonic() - self._quiet_since > limit

    def _answer_probe(self) -> None:
        self._is_probed = False

    def _culprit(self) -> int | None:
        if self._importing is not None:
            return self._importing
        task = asyncio.current_task(self._loop)
        if task is None:
            return None
        owner = self._owners.get(task)
        return self._calls.owner(task) if owner is None else owner

    def _place(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        stack = traceback.extract_stack(frame)[-1:] if frame is not None else []
        return "".join(f"{each.filename}:{each.lineno} in {each.name}" for each in stack)
