"""Calls that are stopped before they began leave nothing behind."""

import asyncio
import gc
import threading
import time
from typing import Any

import pytest

from eventmill.executors.calls import Calls, Handler
from eventmill.model import EMPTY_OBJECT
from eventmill.ports import Answer, Invocation, Raised


def invocation(id_: int, deadline_ms: int | None = None) -> Invocation:
    return Invocation(
        id=id_,
        function="work",
        payload=EMPTY_OBJECT,
        execution_arn="",
        state="",
        token="",
        idempotency_key="",
        attempt=1,
        deadline_ms=deadline_ms,
    )


def calls_of(function: Any, *, is_async: bool, threads_max: int = 1) -> Calls:
    handler = Handler(function=function, is_async=is_async)
    return Calls(lambda _name: handler, threads_max=threads_max)


async def never(event: object, context: object) -> None:
    raise AssertionError("it was stopped before it began")


async def test_a_cancelled_call_that_has_not_begun_ends_at_once() -> None:
    calls = calls_of(never, is_async=True)
    answers: list[Answer] = []
    calls.start(invocation(1), answers.append)
    calls.cancel(1)
    assert len(calls) == 0
    calls.start(invocation(2), answers.append)
    calls.stop(2)
    assert len(calls) == 0
    await calls.drained()
    assert answers == [Raised(error="CancelledError", cause="")]


async def test_a_call_that_waits_for_a_thread_past_its_deadline_never_begins() -> None:
    loop, release = asyncio.get_running_loop(), asyncio.Event()
    begun: list[object] = []

    def work(event: object, context: object) -> None:
        begun.append(context)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    calls = calls_of(work, is_async=False)
    first: asyncio.Future[Answer] = loop.create_future()
    second: asyncio.Future[Answer] = loop.create_future()
    calls.start(invocation(1), first.set_result)
    calls.start(invocation(2, deadline_ms=int(time.time() * 1000) + 20), second.set_result)
    answer = await second
    assert isinstance(answer, Raised)
    assert answer.error == "Sandbox.Timedout"
    release.set()
    await first
    assert len(begun) == 1
    assert len(calls) == 0
    calls.close()


async def test_a_plain_function_that_returns_a_coroutine_is_awaited() -> None:
    async def inner() -> str:
        return "awaited"

    calls = calls_of(lambda _event, _context: inner(), is_async=False)
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    calls.start(invocation(1), future.set_result)
    answer = await future
    assert not isinstance(answer, Raised)
    assert answer.output.value == "awaited"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("when", ["in its thread", "as it is about to be awaited"])
async def test_a_coroutine_that_is_never_awaited_since_its_call_was_stopped_does_not_complain(
    when: str,
) -> None:
    loop, returned, may_return = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    async def inner() -> str:
        raise AssertionError("it was stopped before it was awaited")

    def work(event: object, context: object) -> object:
        loop.call_soon_threadsafe(returned.set)
        assert may_return.wait(10)
        return inner()

    calls = calls_of(work, is_async=False)
    future: asyncio.Future[Answer] = loop.create_future()
    calls.start(invocation(1), future.set_result)
    await returned.wait()
    if when == "in its thread":
        calls.stop(1)
        may_return.set()
    else:
        call = calls._running[1]
        calls._continue(call, inner())
        calls.stop(1)
    assert await asyncio.wait_for(future, 10) == Raised(error="CancelledError", cause="")
    assert len(calls) == 0
    await calls.drained()
    may_return.set()
    calls.close()
    gc.collect()
