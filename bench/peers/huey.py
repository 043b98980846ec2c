"""huey on SQLite with `fsync`: a queue of tasks, and a consumer with threads in the same process.

A chain is a pipeline: each task is enqueued when the one before it has returned. Results are not
stored, since nobody asks for them; that is the fastest huey can be with a durable queue. The
consumer looks for tasks every one to five milliseconds instead of every 0.1 to 10 seconds.

Its queue has no executions and no history, and a task leaves it before it runs: what runs in a
crash is lost. `recover` is about tasks that are scheduled for later.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from huey import SqliteHuey

from bench.peers.works import (
    ALONE,
    CHAIN3,
    EVENT,
    FAN_OUT,
    HOLD,
    RECOVER,
    Request,
    answer,
    items,
    until,
    wait_to_be_killed,
)
from bench.rounds import Figures, latency

_THREADS: Final = 2
_PATIENCE_SECONDS: Final = 120

done = threading.Semaphore(0)


class Queue:
    """A queue in the folder of a request, with the tasks that it knows by name."""

    def __init__(self, folder: Path) -> None:
        self.huey = SqliteHuey("bench", filename=str(folder / "huey.db"), fsync=True, results=False)
        self.do_nothing = self.huey.task(name="do_nothing")(_do_nothing)
        self.finish = self.huey.task(name="finish")(_finish)

    def enqueue_chain(self) -> None:
        chain = self.do_nothing.s(EVENT).then(self.do_nothing).then(self.finish)
        self.huey.enqueue(chain)

    @contextmanager
    def consumed(self) -> Iterator[None]:
        """Run what is in the queue meanwhile."""
        consumer = self.huey.create_consumer(
            workers=_THREADS,
            worker_type="thread",
            initial_delay=0.001,
            max_delay=0.005,
            periodic=False,
        )
        consumer.start()
        try:
            yield
        finally:
            consumer.stop(graceful=True)


def _do_nothing(event: Any) -> Any:
    return (event,)  # a tuple is the arguments of the next task


def _finish(event: Any) -> Any:
    done.release()


def _wait_for(count: int) -> None:
    for _ in range(count):
        if not done.acquire(timeout=_PATIENCE_SECONDS):
            raise TimeoutError("tasks were lost: nothing of this counts")


def _measure_chain3(queue: Queue, request: Request) -> Figures:
    began = time.perf_counter()
    for _ in range(request.count):
        queue.enqueue_chain()
    _wait_for(request.count)
    return {"per_s": request.count / (time.perf_counter() - began)}


def _measure_alone(queue: Queue, request: Request) -> Figures:
    took = []
    for _ in range(request.count):
        began = time.perf_counter()
        queue.enqueue_chain()
        _wait_for(1)
        took.append(time.perf_counter() - began)
    return latency(took)


def _measure_fan_out(queue: Queue, request: Request) -> Figures:
    began = time.perf_counter()
    for item in items(request.count):
        queue.finish(item)
    _wait_for(request.count)
    return {"s": time.perf_counter() - began}


def _recover(queue: Queue, request: Request) -> Figures:
    _wait_for(request.count)
    return {"s": time.time() - request.began}


def _hold(queue: Queue, request: Request) -> Figures:
    for _ in range(request.count):
        queue.finish.schedule((EVENT,), delay=request.wait_seconds)
    until(lambda: queue.huey.scheduled_count() == request.count)
    return wait_to_be_killed()


def _on_huey(measure: Callable[[Queue, Request], Figures]) -> Callable[[Request], Figures]:
    def run(request: Request) -> Figures:
        logging.disable(logging.CRITICAL)
        queue = Queue(Path(request.folder))
        with queue.consumed():
            if request.work not in (HOLD, RECOVER):
                queue.enqueue_chain()
                _wait_for(1)
            return measure(queue, request)

    return run


if __name__ == "__main__":
    answer(
        {
            CHAIN3: _on_huey(_measure_chain3),
            ALONE: _on_huey(_measure_alone),
            FAN_OUT: _on_huey(_measure_fan_out),
            HOLD: _on_huey(_hold),
            RECOVER: _on_huey(_recover),
        }
    )
