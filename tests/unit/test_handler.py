"""What user code imports."""

import subprocess
import sys
import time
from typing import Any

import pytest

import eventmill
from eventmill.handler import HandlerContext, HandlerError, HandlerMark, handler, mark_of


def test_the_decorator_marks_a_function_and_returns_it_unchanged() -> None:
    async def work(event: object, context: object) -> None: ...

    assert handler(work) is work
    assert mark_of(work) == HandlerMark(name="work")
    assert handler(name="other", timeout_seconds=2, concurrency=3)(work) is work
    assert mark_of(work) == HandlerMark(name="other", timeout_seconds=2, concurrency=3)
    assert mark_of(print) is None


@pytest.mark.parametrize("name", ["", "two words", "tab\t"])
def test_refuses_names_that_nobody_could_call(name: str) -> None:
    with pytest.raises(ValueError, match="a handler cannot be called"):
        handler(name=name)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_refuses_timeouts_that_are_none(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be positive"):
        handler(timeout_seconds=seconds)


def test_refuses_to_decorate_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="@handler goes on a function, not on 'weather'"):
        handler("weather")  # type: ignore[call-overload]  # the mistake under test


def test_a_context_knows_how_long_is_left() -> None:
    context = HandlerContext(function_name="f", deadline_ms=int(time.time() * 1000) + 5_000)
    remaining_ms = context.remaining_time_ms()
    assert remaining_ms is not None
    assert 4_000 < remaining_ms <= 5_000
    assert 4_000 < context.get_remaining_time_in_millis() <= 5_000
    late = HandlerContext(function_name="f", deadline_ms=1)
    assert late.remaining_time_ms() == 0
    endless = HandlerContext(function_name="f")
    assert endless.remaining_time_ms() is None
    assert endless.get_remaining_time_in_millis() == 900_000


def test_a_request_id_differs_by_attempt_and_key_and_nothing_else() -> None:
    def id_of(key: str, attempt: int) -> str:
        context = HandlerContext(function_name="f", idempotency_key=key, attempt=attempt)
        return context.aws_request_id

    assert id_of("a", 1) == id_of("a", 1)
    assert len({id_of("a", 1), id_of("a", 2), id_of("b", 1)}) == 3


def test_the_logger_bears_the_handlers_name() -> None:
    assert HandlerContext(function_name="clean").logger.name == "eventmill.handlers.clean"


def test_an_error_carries_its_name_and_cause() -> None:
    error = HandlerError("Weather.Missing", "no file")
    assert (error.error, error.cause, str(error)) == (
        "Weather.Missing",
        "no file",
        "Weather.Missing: no file",
    )
    assert str(HandlerError("Weather.Missing")) == "Weather.Missing"
    with pytest.raises(TypeError, match="both str"):
        HandlerError("Weather.Missing", 404)  # type: ignore[arg-type]  # the mistake under test


def test_importing_eventmill_imports_no_engine() -> None:
    program = "import sys, eventmill; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {name for name in printed if name.startswith("eventmill")} == {
        "eventmill",
        "eventmill.handler",
        "eventmill.record",
    }
    assert not {"asyncio", "socket", "subprocess"} & set(printed)
    assert eventmill.handler is handler


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "2"])
def test_refuses_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(ValueError, match="concurrency must be a whole number above 0"):
        handler(concurrency=limit)
