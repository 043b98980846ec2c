"""Daemon threads for plain `def` handlers.

The standard library's pool joins its threads when the interpreter exits, so one handler that
never returns would keep the server from stopping; these threads are left behind.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Threads:
    """Runs functions in threads that are kept for the next; work waits when all are busy."""

    def __init__(self, threads_max: int) -> None:
        self._threads_max = threads_max
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = 0
        self._free = 0  # threads that wait, minus work that waits; may be negative
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, in one of the threads."""
        with self._lock:
            self._free -= 1
            start = self._free < 0 and self._started < self._threads_max
            if start:
                self._started += 1
                self._free += 1
        self._work.put(work)
        if start:
            threading.Thread(target=self._run, name="eventmill-handler", daemon=True).start()

    def close(self) -> None:
        """Let idle threads end, and busy ones when their work is done."""
        for _ in range(self._started):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._free += 1
