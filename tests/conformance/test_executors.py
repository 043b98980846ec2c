"""What every `Executor` promises, proved on each adapter with real handlers in a real folder."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from eventmill.executors.inline import InlineExecutor
from eventmill.executors.pool import WorkerPool
from eventmill.executors.pool_settings import PoolSettings
from eventmill.handler import request_id
from eventmill.model import Json, Payload
from eventmill.ports import Answer, Executor, Invocation, Raised, Returned
from tests.conformance.executor_handlers import HANDLERS

ids = count(1)


class Caller:
    """Invokes, and notes every answer and heartbeat."""

    def __init__(self) -> None:
        self.executor: Executor
        self.answers: list[tuple[int, Answer]] = []
        self.beats: asyncio.Queue[str] = asyncio.Queue()
        self.ended: list[int] = []
        self._loop = asyncio.get_running_loop()

    def beat(self, invocation: Invocation) -> None:
        self._loop.call_soon_threadsafe(self.beats.put_nowait, invocation.token)

    def start(
        self, function: str, event: Json = None, **fields: Any
    ) -> tuple[int, "asyncio.Future[Answer]"]:
        invocation = invocation_of(function, event, **fields)
        future: asyncio.Future[Answer] = self._loop.create_future()

        def answered(answer: Answer) -> None:
            self.answers.append((invocation.id, answer))
            if not future.done():
                future.set_result(answer)

        self.executor.invoke(invocation, answered)
        return invocation.id, future

    async def call(self, function: str, event: Json = None, **fields: Any) -> Answer:
        return await self.start(function, event, **fields)[1]


def invocation_of(function: str, event: Json = None, **fields: Any) -> Invocation:
    values: dict[str, Any] = {
        "id": next(ids),
        "function": function,
        "payload": Payload.of(event),
        "execution_arn": "arn:aws:states:local:000000000000:execution:m:e",
        "state": "Work",
        "token": "token",
        "idempotency_key": "key",
        "attempt": 2,
        "deadline_ms": None,
    }
    return Invocation(**values | fields)


def soon(seconds: float = 0.1) -> int:
    return int((time.time() + seconds) * 1000)


def result(value: Json) -> Returned:
    return Returned(output=Payload.of(value))


REQUEST_ID = request_id("key", 2)


def runtime_error(error: str, message: str, trace: list[str] | None = None) -> Raised:
    cause = {
        "errorMessage": message,
        "errorType": error,
        "requestId": REQUEST_ID,
        "stackTrace": trace or [],
    }
    return Raised(error=error, cause=json.dumps(cause, ensure_ascii=False))


def sandbox_error(error: str, message: str) -> Raised:
    return Raised(error=error, cause=f'{{"errorType":"{error}","errorMessage":"{message}"}}')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    handlers = tmp_path / "handlers"
    for name, text in HANDLERS.items():
        path = handlers / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return handlers


@pytest.fixture(params=["inline", "pool"])
async def caller(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Caller]:
    caller = Caller()
    executor: InlineExecutor | WorkerPool
    if request.param == "inline":
        executor = InlineExecutor(
            folder, grace_seconds=0.1, on_heartbeat=caller.beat, on_end=caller.ended.append
        )
    else:
        settings = PoolSettings(workers=1, grace_seconds=0.1)
        executor = WorkerPool(
            folder, settings=settings, on_heartbeat=caller.beat, on_end=caller.ended.append
        )
    async with executor as caller.executor:
        yield caller


async def test_answers_with_what_the_handler_returned(caller: Caller) -> None:
    event: Json = {"text": "Ünï\u2028", "list": [1, 2.5, None, True], "empty": {}}
    assert await caller.call("echo", event) == result(event)


async def test_hands_the_event_over_as_json_that_the_handler_may_change(caller: Caller) -> None:
    event: Json = {"list": ["first"]}
    assert await caller.call("mutate", event) == result({"list": ["first", "changed"]})
    assert event == {"list": ["first"]}


async def test_runs_plain_functions_in_a_thread(caller: Caller) -> None:
    assert await caller.call("in_a_thread") == result(False)


@pytest.mark.parametrize("function", ["echo", "no such function", "broken_import.needs_module"])
async def test_never_answers_before_invoke_has_returned(caller: Caller, function: str) -> None:
    _, future = caller.start(function)
    assert caller.answers == []
    await future
    assert threading.current_thread() is threading.main_thread()


async def test_answers_every_one_of_many_calls_exactly_once(caller: Caller) -> None:
    functions = ["echo", "in_a_thread", "raise_error", "nothing", "leave", "needs_module"]
    started = [caller.start(functions[n % 6], n) for n in range(240)]
    await asyncio.gather(*(future for _, future in started))
    assert sorted(id_ for id_, _ in caller.answers) == [id_ for id_, _ in started]


async def test_tells_the_handler_about_its_call(caller: Caller) -> None:
    deadline_ms = soon(60)
    fields: dict[str, Any] = {
        "token": "t",
        "idempotency_key": "k",
        "attempt": 3,
        "deadline_ms": deadline_ms,
    }
    assert await caller.call("tell_context", **fields) == result(
        [
            "tell_context",
            "arn:aws:states:local:000000000000:execution:m:e",
            "Work",
            3,
            "k",
            "t",
            deadline_ms,
            request_id("k", 3),
            "$LATEST",
            True,
            True,
        ]
    )


@pytest.mark.parametrize("function", ["beat", "beat_in_a_thread"])
async def test_passes_heartbeats_on(caller: Caller, function: str) -> None:
    await caller.call(function, token="alive")
    assert await caller.beats.get() == "alive"


async def test_passes_few_heartbeats_on_of_a_handler_that_beats_without_end(
    caller: Caller,
) -> None:
    began = time.monotonic()
    await caller.call("beat_ten_thousand_times", token="alive")
    assert 1 <= caller.beats.qsize() <= 2 + (time.monotonic() - began) * 10


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("a function's ARN", "arn:aws:lambda:local:000000000000:function:in_a_thread"),
        ("an ARN with a qualifier", "arn:aws:lambda:local:000000000000:function:in_a_thread:live"),
        ("a name with a qualifier", "in_a_thread:$LATEST"),
        ("a partial ARN", "000000000000:function:in_a_thread"),
    ],
)
async def test_finds_a_handler_by(caller: Caller, name: str, reference: str) -> None:
    assert await caller.call(reference) == result(False)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("weather.parse", [1, 274]),
        ("weather", "entry point"),
        ("weather.lambda_handler", "entry point"),
        ("tidy", "relative"),
        ("etl.clean.tidy", "relative"),
    ],
)
async def test_finds_ported_functions_by_module(
    caller: Caller, reference: str, expected: Json
) -> None:
    assert await caller.call(reference, 1) == result(expected)


@pytest.mark.parametrize(
    "name", ["nothing", "weather._private", "parse", "no.module", "lambda_handler"]
)
async def test_says_of_an_unknown_function_what_lambda_says(caller: Caller, name: str) -> None:
    arn = f"arn:aws:lambda:local:000000000000:function:{name}:$LATEST"
    cause = (
        f"Function not found: {arn} (Service: AWSLambda; Status Code: 404; Error Code: "
        f"ResourceNotFoundException; Request ID: {REQUEST_ID}; Proxy: null)"
    )
    answer = await caller.call(name)
    assert answer == Raised(error="Lambda.ResourceNotFoundException", cause=cause)


async def test_says_which_function_a_module_lacks(caller: Caller) -> None:
    message = "Handler 'missing' missing on module 'weather'"
    answer = await caller.call("weather.missing")
    assert answer == runtime_error("Runtime.HandlerNotFound", message)


async def test_refuses_a_name_that_two_files_claim(caller: Caller, folder: Path) -> None:
    message = f"{folder}/twice_a.py:1 and {folder}/twice_b.py:2: 2 handlers are called 'twice'"
    assert await caller.call("twice") == runtime_error("Runtime.HandlerNotFound", message)


async def test_a_module_that_cannot_be_imported_costs_its_own_handlers(caller: Caller) -> None:
    message = "Unable to import module 'broken_import': No module named 'no_such_module'"
    expected = runtime_error("Runtime.ImportModuleError", message)
    assert await caller.call("needs_module") == expected
    assert await caller.call("needs_module") == expected
    assert await caller.call("echo", 1) == result(1)


async def test_a_module_that_exits_costs_its_own_handlers(caller: Caller, folder: Path) -> None:
    message = "Unable to import module 'leaves_at_import': SystemExit: 1"
    answer = await caller.call("never_loaded")
    assert isinstance(answer, Raised)
    cause = json.loads(answer.cause)
    # From Python 3.13 on a line is followed by one that underlines what failed.
    (line,) = cause.pop("stackTrace")
    place = f'  File "{folder}/leaves_at_import.py", line 3, in <module>\n    sys.exit(1)\n'
    assert line.startswith(place)
    assert answer.error == cause["errorType"] == "Runtime.ImportModuleError"
    assert cause["errorMessage"] == message
    assert await caller.call("echo", 1) == result(1)


async def test_a_module_that_is_no_python_costs_its_own_handlers(
    caller: Caller, folder: Path
) -> None:
    answer = await caller.call("broken_syntax.half")
    assert isinstance(answer, Raised)
    assert answer.error == "Runtime.UserCodeSyntaxError"
    assert "broken_syntax.py" in answer.cause
    assert await caller.call("echo", 1) == result(1)


async def test_reports_an_exception_as_lambdas_runtime_does(caller: Caller, folder: Path) -> None:
    trace = [
        f'  File "{folder}/failing.py", line 17, in raise_error\n    check("Ünïcode")\n',
        f'  File "{folder}/failing.py", line 14, in check\n    raise Custom(f"bad {{value}}")\n',
    ]
    answer = await caller.call("raise_error")
    assert answer == runtime_error("Custom", "bad Ünïcode", trace)


async def test_reports_an_exception_in_a_thread_alike(caller: Caller, folder: Path) -> None:
    place = f'  File "{folder}/failing.py", line 20, in raise_in_a_thread\n    raise Custom()\n'
    assert await caller.call("raise_in_a_thread") == runtime_error("Custom", "", [place])


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("raise_mute", "Mute", "<Mute.__str__ raised RuntimeError>"),
        ("raise_surrogate", "Custom", "?"),
        ("cancel_itself", "CancelledError", ""),
    ],
)
async def test_reports_odd_exceptions(
    caller: Caller, function: str, error: str, message: str
) -> None:
    answer = await caller.call(function)
    assert isinstance(answer, Raised)
    assert answer.error == error
    assert json.loads(answer.cause)["errorMessage"] == message


async def test_lets_a_handler_choose_its_error(caller: Caller, folder: Path) -> None:
    assert await caller.call("choose_error") == Raised(error="Weather.Missing", cause="no file")
    place = f'  File "{folder}/failing.py", line 32, in choose_error_without_cause\n'
    trace = [f'{place}    raise HandlerError("Weather.Missing")\n']
    answer = await caller.call("choose_error_without_cause")
    assert answer == runtime_error("Weather.Missing", "", trace)


@pytest.mark.parametrize("function", ["leave", "leave_in_a_thread"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (3, "Runtime exited with error: exit status 3"),
        ("trouble", "Runtime exited with error: exit status 1"),
        (None, "Runtime exited without providing a reason"),
    ],
)
async def test_sys_exit_ends_only_its_own_call(
    caller: Caller, function: str, status: Json, reason: str
) -> None:
    neighbour = caller.call("ignore")
    answer = await caller.call(function, status)
    assert answer == sandbox_error("Runtime.ExitError", f"RequestId: {REQUEST_ID} Error: {reason}")
    assert await neighbour == result("late")


async def test_a_keyboard_interrupt_ends_only_its_own_call(caller: Caller) -> None:
    reason = "Runtime exited with error: signal: interrupt"
    answer = await caller.call("interrupt")
    assert answer == sandbox_error("Runtime.ExitError", f"RequestId: {REQUEST_ID} Error: {reason}")
    assert await caller.call("echo", 1) == result(1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nan", "Out of range float values are not JSON compliant: nan"),
        ("infinity", "Out of range float values are not JSON compliant: inf"),
        ("set", "Object of type set is not JSON serializable"),
        ("set inside", "Object of type set is not JSON serializable"),
        ("int key", "keys must be str, not int"),
        ("surrogate", "lone surrogate at character 0 of a string"),
        ("surrogate key", "lone surrogate at character 0 of a string"),
        ("date", "Object of type datetime is not JSON serializable"),
        ("bytes", "Object of type bytes is not JSON serializable"),
        ("object", "Object of type object is not JSON serializable"),
    ],
)
async def test_refuses_results_that_are_not_json(caller: Caller, value: str, message: str) -> None:
    message = f"Unable to marshal response: {message}"
    assert await caller.call("value", value) == runtime_error("Runtime.MarshalError", message)


async def test_takes_tuples_and_great_numbers_for_json(caller: Caller) -> None:
    assert await caller.call("value", "tuple") == result([1, ["two"]])
    assert await caller.call("value", "great") == Returned(output=Payload(b"1" + b"0" * 30))


@pytest.mark.parametrize("depth", [201, 5_000, 100_000])
async def test_refuses_results_nested_too_deep(caller: Caller, depth: int) -> None:
    message = "Unable to marshal response: nested more than 200 deep"
    assert await caller.call("nested", depth) == runtime_error("Runtime.MarshalError", message)
    assert await caller.call("nested", 200) == Returned(
        output=Payload(b"[" * 200 + b"null" + b"]" * 200)
    )


async def test_refuses_results_larger_than_lambdas(caller: Caller) -> None:
    message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    answer = await caller.call("value", "large")
    assert answer == sandbox_error("Function.ResponseSizeTooLarge", message)


def timed_out(answer: Answer) -> bool:
    assert isinstance(answer, Raised)
    cause = json.loads(answer.cause)
    prefix = f"RequestId: {REQUEST_ID} Error: Task timed out after 0."
    told: str = cause["errorMessage"]
    return (
        answer.error == cause["errorType"] == "Sandbox.Timedout"
        and told.startswith(prefix)
        and told.endswith(" seconds")
    )


async def test_cancels_a_handler_at_its_deadline(caller: Caller, tmp_path: Path) -> None:
    answer = await caller.call("wait", str(tmp_path), deadline_ms=soon())
    assert timed_out(answer)
    assert (tmp_path / "cleaned").exists()
    assert await caller.call("echo", 1) == result(1)


@pytest.mark.parametrize("function", ["wait_in_a_thread", "ignore", "swallow"])
async def test_answers_at_the_deadline_whatever_the_handler_does(
    caller: Caller, function: str
) -> None:
    assert timed_out(await caller.call(function, deadline_ms=soon()))
    assert await caller.call("echo", 1) == result(1)


async def test_answers_a_call_whose_deadline_has_passed_already(caller: Caller) -> None:
    answer = await caller.call("wait", "/nowhere", deadline_ms=soon(-5))
    assert isinstance(answer, Raised)
    assert answer.error == "Sandbox.Timedout"


async def test_obeys_the_timeout_of_the_decorator(caller: Caller) -> None:
    assert timed_out(await caller.call("Slow-Import.v2"))
    assert timed_out(await caller.call("Slow-Import.v2", deadline_ms=soon(3600)))


async def test_a_cancelled_call_is_stopped_and_not_answered(caller: Caller, tmp_path: Path) -> None:
    id_, future = caller.start("wait", str(tmp_path))
    await until(lambda: (tmp_path / "began").exists())
    caller.executor.cancel(id_)
    caller.executor.cancel(id_)
    await until(lambda: (tmp_path / "cleaned").exists())
    assert await caller.call("echo", 1) == result(1)
    assert not future.done()


async def test_tells_of_each_call_once_when_it_has_really_ended(
    caller: Caller, tmp_path: Path
) -> None:
    waiting, _ = caller.start("wait", str(tmp_path))
    others = [caller.start(name) for name in ("echo", "in_a_thread", "raise_error", "nobody")]
    await asyncio.gather(*(future for _, future in others))
    await until(lambda: (tmp_path / "began").exists())
    await until(lambda: len(caller.ended) == len(others))
    assert sorted(caller.ended) == [id_ for id_, _ in others]
    caller.executor.cancel(waiting)
    assert waiting not in caller.ended
    await until(lambda: waiting in caller.ended)
    assert (tmp_path / "cleaned").exists()
    assert len(caller.ended) == len(set(caller.ended)) == 5


async def test_a_call_cancelled_before_it_began_never_begins(
    caller: Caller, tmp_path: Path
) -> None:
    id_, future = caller.start("wait", str(tmp_path))
    caller.executor.cancel(id_)
    assert await caller.call("echo", 1) == result(1)
    assert not (tmp_path / "began").exists()
    assert not future.done()


async def test_ignores_the_cancellation_of_what_it_does_not_know(caller: Caller) -> None:
    id_, future = caller.start("echo", 1)
    await future
    caller.executor.cancel(id_)
    caller.executor.cancel(10**9)
    assert await caller.call("echo", 2) == result(2)


async def test_leaving_cancels_what_runs_and_waits_for_its_cleaning_up(
    folder: Path, tmp_path: Path
) -> None:
    for adapter in ("inline", "pool"):
        (tmp_path / adapter).mkdir()
        caller = Caller()
        executor = (
            InlineExecutor(folder, grace_seconds=0.2)
            if adapter == "inline"
            else WorkerPool(folder, settings=PoolSettings(workers=1, grace_seconds=0.2))
        )
        async with executor as caller.executor:
            caller.start("wait", str(tmp_path / adapter))
            caller.start("ignore")
            await until((tmp_path / adapter / "began").exists)
        assert (tmp_path / adapter / "cleaned").exists()
        assert caller.answers == []


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds; the test's timeout is the limit."""
    while not condition():  # noqa: ASYNC110  # another process brings it about, without a signal
        await asyncio.sleep(0.005)
