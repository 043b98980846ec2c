"""The tasks of a rehearsal: mocks answer them, at their virtual time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from eventmill.handler import HandlerError
from eventmill.integrations.lambda_function import LambdaFunction, Report
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import Fact, TaskFailed, TaskHeartbeat, TaskSubmitted, TaskSucceeded
from eventmill.model import EMPTY_OBJECT, Failure, Json, Payload, decode_json, encode_json
from eventmill.record import record
from eventmill.rehearsal.clock import RehearsalLoop, VirtualClock
from eventmill.rehearsal.mocks import Answer, Mock, Mocks

# What the service answers at once, before the work that the task waits for is done.
_ANSWERED_TWICE: Final = (".waitForTaskToken", ".sync", ".sync:2")
_ENVELOPE: Final = {"StatusCode", "Payload"}
# How long before the end of a task's time a real handler counts as late.
_SOONER_MS: Final = 20


@record
class _Call:
    """A call of a task, and who is to be told of its answer."""

    command: RunTask
    answer: Answer
    report: Report


class MockedTasks:
    """A `Dispatch` that answers from mocks, and hands over to handlers where a mock says so.

    `break_off` is told why the rehearsal cannot go on.
    """

    def __init__(
        self,
        mocks: Mocks,
        clock: VirtualClock,
        handlers: LambdaFunction | None,
        break_off: Callable[[str], None],
    ) -> None:
        self.calls: dict[str, list[Json]] = {}
        self._mocks = mocks
        self._clock = clock
        self._handlers = handlers
        self._break_off = break_off
        self._given: dict[tuple[str, int], int] = {}  # (state, answer) -> calls it has answered
        self._waiting: dict[tuple[str, int], _Call] = {}  # (execution, task), not answered yet

    def run(self, execution_arn: str, command: RunTask, report: Report) -> Callable[[], None]:
        """See `Dispatch.run`."""
        state = command.state
        self.calls.setdefault(state, []).append(command.parameters.value)
        mock = self._mocks.get(state)
        if mock is None:
            self._break_off(
                f"the state {state!r} calls {_named(command)} and has no mock: give it one under"
                f" Mocks, with Return or Throw, or with Handler to run the project's own handler"
            )
            return _nothing
        answer = self._next_answer(state, mock, command.parameters)
        if answer is None:
            return _nothing
        key = (execution_arn, command.task)

        def told(fact: Fact) -> None:
            if not isinstance(fact, TaskHeartbeat | TaskSubmitted):
                self._waiting.pop(key, None)
            report(fact)

        call = self._waiting[key] = _Call(command=command, answer=answer, report=told)
        cancel = self._begin(execution_arn, call)

        def cancelled() -> None:
            self._waiting.pop(key, None)
            cancel()

        return cancelled

    def unanswered(self) -> Iterator[str]:
        """What each call waits for that was not answered."""
        for call in self._waiting.values():
            state = call.command.state
            if call.command.resource.pattern == "callback":
                yield f"the state {state!r} waits for an answer to its task token"
            else:
                yield f"the state {state!r} waits for the result of {_named(call.command)}"

    def _next_answer(self, state: str, mock: Mock, parameters: Payload) -> Answer | None:
        for index, answer in enumerate(mock):
            given = self._given.get((state, index), 0)
            if answer.suits(parameters) and (answer.times is None or given < answer.times):
                self._given[state, index] = given + 1
                return answer
        number = len(self.calls[state])
        shown = parameters.text[:200].decode(errors="replace")
        self._break_off(
            f"the mock of the state {state!r} has no answer left for call number {number},"
            f" with {shown}"
        )
        return None

    def _begin(self, execution_arn: str, call: _Call) -> Callable[[], None]:
        if call.answer.handler:
            return self._call_handler(execution_arn, call)
        if call.command.resource.action.endswith(_ANSWERED_TWICE):
            submitted = TaskSubmitted(task=call.command.task, output=EMPTY_OBJECT)
            asyncio.get_running_loop().call_soon(call.report, submitted)
        return self._answer_later(call)

    def _answer_later(self, call: _Call) -> Callable[[], None]:
        """Report what the mock says, when its time has come; never, if it says nothing."""
        fact = _fact(call.answer, call.command)
        if fact is None:
            return _nothing
        if call.answer.after_ms:
            at_ms = self._clock.now_ms() + call.answer.after_ms
            return self._clock.call_at(at_ms, partial(call.report, fact))
        return asyncio.get_running_loop().call_soon(call.report, fact).cancel

    def _call_handler(self, execution_arn: str, call: _Call) -> Callable[[], None]:
        """Let the project's handler do the work. It takes real time and no virtual time."""
        command = call.command
        if self._handlers is None or command.resource.service != "lambda":
            reason = "there is no folder of handlers"
            if self._handlers is not None:
                reason = f"no handler serves {_named(command)}"
            self._break_off(
                f"the mock of the state {command.state!r} asks for the handler, but {reason}"
            )
            return _nothing
        release = self._hold_time(command)

        def report(fact: Fact) -> None:
            if not isinstance(fact, TaskHeartbeat):
                release()
            call.report(fact)
            if isinstance(fact, TaskSubmitted):
                self._answer_later(call)

        called = replace(command, deadline_ms=self._real_ms(command.deadline_ms))
        cancel_call = self._handlers.run(execution_arn, called, report)

        def cancel() -> None:
            release()
            cancel_call()

        return cancel

    def _hold_time(self, command: RunTask) -> Callable[[], None]:
        """Let time stand still until the result is called, or the task's own time is over."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, RehearsalLoop)
        leave = loop.outside()
        if command.deadline_ms is None:
            return leave
        # Sooner than the executor gives up, so that the machine sees the timeout as it would.
        left_ms = max(0, command.deadline_ms - self._clock.now_ms() - _SOONER_MS)
        timer = loop.call_later(left_ms / 1000, self._clock.pass_until, command.deadline_ms)

        def release() -> None:
            timer.cancel()
            leave()

        return release

    def _real_ms(self, virtual_ms: int | None) -> int | None:
        if virtual_ms is None:
            return None
        return time.time_ns() // 1_000_000 + virtual_ms - self._clock.now_ms()


def _fact(answer: Answer, command: RunTask) -> Fact | None:
    """How the work ends by this answer, or None when it does not."""
    failure, output = answer.failure, answer.returned
    if answer.function is not None:
        try:
            # The value itself is the machine's; the function may do to its own what it likes.
            parameters = decode_json(command.parameters.text)
            output = Payload(encode_json(answer.function(parameters)))
        except HandlerError as error:
            failure = Failure(error=error.error, cause=error.cause)
    if failure is not None:
        return TaskFailed(task=command.task, error=failure.error, cause=failure.cause)
    if output is None:
        return None
    if answer.enveloped and command.resource.kind == "function":
        output = _opened(output)
    return TaskSucceeded(task=command.task, output=output)


def _opened(output: Payload) -> Payload:
    """What a function returned, out of the answer of `lambda:invoke`."""
    value = output.value
    if isinstance(value, dict) and value.keys() >= _ENVELOPE:
        return Payload.of(value["Payload"])
    return output


def _named(command: RunTask) -> str:
    """What the task calls, in words."""
    resource, parameters = command.resource, command.parameters.value
    if resource.kind == "function":
        return resource.text
    function = parameters.get("FunctionName") if isinstance(parameters, dict) else None
    called = f" of {function}" if resource.service == "lambda" and function else ""
    return f"{resource.service}:{resource.action}{called}"


def _nothing() -> None:
    """There is nothing to cancel."""
