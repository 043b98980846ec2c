"""Cases recorded against AWS, and a world of virtual time that runs them on the machine alone."""

import functools
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from eventmill.arn import Home, function_name
from eventmill.asl.parser import parse
from eventmill.codec import aws_event, decode_step, encode_step
from eventmill.executors.answers import NotFound
from eventmill.instant import parse_instant
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.machine.commands import RunTask
from eventmill.machine.execution import RUNNING, Execution, Identity, fold
from eventmill.machine.facts import Fact, StartExecution, StopExecution, TaskStarted, TimeReached
from eventmill.machine.history import HistoryEvent
from eventmill.machine.transition import Step, advance
from eventmill.model import Payload
from eventmill.ports import Answer, Invocation, Raised, Returned

ROOT = Path(__file__).resolve().parents[2]
_BESIDE = ROOT.parent / "shared" / "conformance"
FOLDER = Path(os.environ.get("EVENTMILL_CONFORMANCE") or _BESIDE)
# Whether these are the cases beside the project, which some counts are about.
IS_BESIDE = FOLDER.is_dir() and FOLDER.resolve() == _BESIDE.resolve()
ABSENT_REASON = f"no recorded cases in {FOLDER}; set EVENTMILL_CONFORMANCE to their folder"

Case = dict[str, Any]
Behaviour: TypeAlias = Callable[[Invocation], Answer]


def cases(area: str) -> Iterator[Case]:
    """The cases of one file; none when it is absent."""
    path = FOLDER / f"{area}.jsonl"
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def recorded_day(case: Case) -> str | None:
    """The day of a recording, as `2024-07-20`; None where nothing says it."""
    written = re.match(r"(\d\d)-(\d\d)-(\d{4})", case.get("aws_recorded_date") or "")
    return None if written is None else f"{written[3]}-{written[2]}-{written[1]}"


@functools.cache
def checker() -> ModuleType:
    """The comparison that belongs to the recordings."""
    spec = importlib.util.spec_from_file_location("recorded_check", FOLDER / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(case: Case) -> dict[str, Any]:
    """The outcome of a case in the form that the checker compares."""
    world = World(case)
    world.run()
    return world.outcome()


# How long after its command a handler starts and answers, in virtual milliseconds.
_STARTS_MS, _ANSWERS_MS = 40, 80
# Some inputs hold instants that were "24,855 days from now" on the day of their recording.
_BEGIN_MS = parse_instant("2026-11-22T22:45:44Z")


class World:
    """One execution on the machine alone: virtual time, scripted handlers, no shell.

    Every step goes through its stored form, and a second execution is folded from it, which must
    see what the live one sees.
    """

    def __init__(self, case: Case) -> None:
        name = "statemachine"
        machine = parse(json.dumps(case["definition"])).machine
        identity = Identity(
            arn=f"arn:aws:states:us-east-1:111111111111:execution:{name}:run",
            name="run",
            state_machine_arn=f"arn:aws:states:us-east-1:111111111111:stateMachine:{name}",
            state_machine_name=name,
            region="us-east-1",
        )
        self.execution = Execution(identity, machine)
        self.folded = Execution(identity, machine)
        self.events: list[HistoryEvent] = []
        self._input = Payload.of(case["input"])
        self._now_ms = _BEGIN_MS
        self._agenda: list[tuple[int, int, Fact]] = []
        self._ties = count()
        self._answers: list[tuple[int, Callable[[Answer], None], Answer]] = []
        self._behaviours = {
            each["name"]: BEHAVIOURS[each["behaviour_id"]] for each in case.get("handlers") or ()
        }
        self._dispatch = LambdaFunction(self)
        self._interactions = case.get("interactions") or ()
        history = case["expected"].get("history") or ()
        self._recorded = len(history)
        self._breaks_off = case["expected"].get("status") is None
        started = history[0]["executionStartedEventDetails"] if history else {}
        self._role_arn = started.get("roleArn", "").replace("<role-name>", "role")

    def run(self) -> None:
        """Go on until the execution has ended, or waits for something that never comes."""
        self._take(StartExecution(input=self._input, seed=1, role_arn=self._role_arn))
        if any(each["op"] == "stop_execution" for each in self._interactions):
            self._take(StopExecution())
        while self.execution.status == RUNNING and not self._complete() and self._go_on():
            pass

    def _complete(self) -> bool:
        """Whether a recording that breaks off has been reached to its end."""
        return self._breaks_off and self.execution.sequence >= self._recorded

    def _go_on(self) -> bool:
        due_ms = self.execution.next_due_ms()
        if self._agenda and (due_ms is None or self._agenda[0][0] <= due_ms):
            self._now_ms, _, fact = heappop(self._agenda)
            self._take(fact)
        elif due_ms is not None:
            self._now_ms = due_ms
            self._take(TimeReached())
        else:
            return False
        return True

    def _take(self, fact: Fact) -> None:
        step = advance(self.execution, fact, self._now_ms)
        body, payloads = encode_step(self._now_ms, step.fact, step.events)
        stored = decode_step(body, payloads)
        assert stored.events == step.events
        assert stored.fact == step.fact
        assert encode_step(stored.at_ms, stored.fact, stored.events) == (body, payloads)
        fold(self.folded, stored.events)
        self.events.extend(step.events)
        self._carry_out(step)

    def _carry_out(self, step: Step) -> None:
        for command in step.commands:
            if isinstance(command, RunTask):
                self._later(_STARTS_MS, TaskStarted(task=command.task))
                self._dispatch.run(self.execution.identity.arn, command, self._report)

    def _report(self, fact: Fact) -> None:
        self._later(self._delay_ms, fact)

    def _later(self, delay_ms: int, fact: Fact) -> None:
        heappush(self._agenda, (self._now_ms + delay_ms, next(self._ties), fact))

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        """The scripted executor: it knows the answer at once, and the world delivers it later."""
        behaviour = self._behaviours.get(function_name(invocation.function))
        self._delay_ms = 60_000 if behaviour is sleep_60 else _ANSWERS_MS
        answer(no_such_function(invocation) if behaviour is None else behaviour(invocation))

    def cancel(self, invocation: int) -> None:
        """An answer that nobody waits for changes nothing."""

    def outcome(self) -> dict[str, Any]:
        """What AWS would say of the execution."""
        execution = self.execution
        output = None if execution.output is None else execution.output.value
        failure = execution.failure
        return {
            "status": None if self._complete() else execution.status,
            "output": output,
            "error": None if failure is None else failure.error,
            "cause": None if failure is None else failure.cause,
            "history": [aws_event(event) for event in self.events if event.id],
        }


def echo(invocation: Invocation) -> Answer:
    return Returned(output=invocation.payload)


sleep_60 = lambda invocation: echo(invocation)  # noqa: E731 - told apart from `echo` by identity


def constant_hello(invocation: Invocation) -> Answer:
    return Returned(output=Payload.of({"Return": "HelloWorld"}))


def decorate(invocation: Invocation) -> Answer:
    return Returned(output=Payload.of(f"input-event-{invocation.payload.value}"))


def bytes_json_string(invocation: Invocation) -> Answer:
    return Returned(output=Payload.of("HelloWorld!"))


def large_output(invocation: Invocation) -> Answer:
    return Returned(output=Payload.of("a" * 263_168))


def raise_exception(invocation: Invocation) -> Answer:
    return _raised("Exception", "Some exception was raised.")


def raise_custom_exception(invocation: Invocation) -> Answer:
    return _raised("CustomException", "")


def no_such_function(invocation: Invocation) -> Answer:
    name = function_name(invocation.function)
    return NotFound(name, Home(account="111111111111", region="us-east-1")).answer(invocation)


def _raised(error: str, message: str) -> Answer:
    described = {
        "errorMessage": message,
        "errorType": error,
        "requestId": "00000000-0000-0000-0000-000000000000",
        "stackTrace": ['  File "/var/task/handler.py", line 2, in handler\n'],
    }
    return Raised(error=error, cause=json.dumps(described))


BEHAVIOURS: Mapping[str, Behaviour] = {
    "echo": echo,
    "sleep_60": sleep_60,
    "constant_hello": constant_hello,
    "decorate": decorate,
    "bytes_json_string": bytes_json_string,
    "large_output": large_output,
    "raise_exception": raise_exception,
    "raise_custom_exception": raise_custom_exception,
}
