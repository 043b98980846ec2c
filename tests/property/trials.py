"""A trial: an execution in a world that answers late, twice, wrongly or never.

A second execution is folded from the stored steps, and after each step the two are compared.
"""

import json
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from eventmill.asl.parser import parse
from eventmill.asl.syntax import Task
from eventmill.codec import decode_step, encode_step
from eventmill.machine.commands import CancelTask, RunTask
from eventmill.machine.execution import RUNNING, Execution, Identity, fold
from eventmill.machine.facts import (
    Fact,
    StartExecution,
    StopExecution,
    TaskFailed,
    TaskHeartbeat,
    TaskStarted,
    TaskSubmitted,
    TaskSucceeded,
    TimeReached,
)
from eventmill.machine.history import HistoryEvent
from eventmill.machine.transition import Step, advance, outstanding
from eventmill.model import AWS_QUOTAS, Payload, Quotas, encode_json
from eventmill.rows import StepRow
from tests.property.comparison import differences
from tests.property.definitions import INPUTS, Definition

BEGIN_MS: Final = 1_700_000_000_000
IDENTITY: Final = Identity.of(
    "arn:aws:states:eu-central-1:123456789012:execution:machine:run",
    "arn:aws:states:eu-central-1:123456789012:stateMachine:machine",
)
# More facts than any generated definition needs once the world only answers.
STEPS_MAX: Final = 2_000

OUTPUTS: Final = (
    b'{"n":1,"items":[1,{"k":2}],"text":"ok"}',
    b'{"n":2,"items":[3],"text":"t"}',
    b'"' + b"y" * 150 + b'"',
    b"null",
    b'[ 1.50, 1e3, "\xc3\xa9" ]',
    b'"text"',
    b'{"n":12345678901234567890,"deep":{"a":[0.1,-0.0]}}',
    b'{"Payload":[1]}',
    b'"' + b"z" * 600 + b'"',
)


class Happening(NamedTuple):
    """What the world does next: a kind of fact, which task it is about, and after what time."""

    kind: str
    pick: int
    after_ms: int


KINDS: Final = (
    "succeeded", "time", "succeeded", "started", "failed", "succeeded", "heartbeat",
    "submitted", "time", "unknown", "submitted", "again",
)  # fmt: skip

happenings: Final = st.lists(
    st.builds(
        Happening,
        st.sampled_from(KINDS),
        st.integers(0, 11),
        st.sampled_from([0, 1, 999, 6_000, 90_000]),
    ),
    max_size=40,
)
stops: Final = st.none() | st.none() | st.integers(0, 30)
quotas: Final = st.sampled_from(
    [
        AWS_QUOTAS,
        AWS_QUOTAS,
        Quotas(history_events_max=25),
        Quotas(payload_bytes_max=180),
        Quotas(history_events_max=40, payload_bytes_max=130, map_concurrency_max=2),
        Quotas(variable_bytes_max=40, variables_bytes_max=90),
    ]
)
inputs: Final = st.sampled_from(INPUTS)


class Trial:
    """One execution and its double."""

    def __init__(self, definition: Definition, quotas: Quotas = AWS_QUOTAS) -> None:
        self.machine = parse(json.dumps(definition)).machine
        self.quotas = quotas
        self.live = Execution(IDENTITY, self.machine)
        self.folded = Execution(IDENTITY, self.machine)
        self.now_ms = BEGIN_MS
        self.events: list[HistoryEvent] = []
        self.rows: list[StepRow] = []
        self.scheduled: list[int] = []  # every task that there ever was

    def start(self, data: Any) -> None:
        text = Payload.of(data)
        self.tell(StartExecution(input=text, seed=7, role_arn="role", quotas=self.quotas))

    def tell(self, fact: Fact) -> Step:
        """Let the machine decide; store, fold and compare; look whether it can go on."""
        step = advance(self.live, fact, self.now_ms)
        body, payloads = encode_step(self.now_ms, step.fact, step.events)
        fold(self.folded, decode_step(body, payloads).events)
        if step.events:
            self.events += step.events
            row = StepRow(execution=1, step=len(self.rows) + 1, body=body, payloads=payloads)
            self.rows.append(row)
        self._check(step)
        return step

    def _check(self, step: Step) -> None:
        cancelled = [each.task for each in step.commands if isinstance(each, CancelTask)]
        assert cancelled == self.folded.abandoned
        self.folded.abandoned.clear()
        assert not differences(self.live, self.folded)
        variables = [
            each for frame in self.live.frames.values() for each in frame.variables.values()
        ]
        assert self.live.variable_bytes == sum(len(encode_json(each.value)) for each in variables)
        asked = [each for each in step.commands if isinstance(each, RunTask)]
        again = [each for each in outstanding(self.folded) if isinstance(each, RunTask)]
        assert [each for each in again if each in asked] == asked
        self.scheduled += [each.task for each in asked]
        if self.live.status == RUNNING:
            self._check_it_waits()
        else:
            assert not self.live.tasks
            assert self.live.next_due_ms() is None
            assert not outstanding(self.live)

    def _check_it_waits(self) -> None:
        """Each frame waits for a task, for a time, or for the frames inside it."""
        due_ms = self.live.next_due_ms()
        for frame in self.live.frames.values():
            assert frame.task or frame.children or frame.due_ms is not None, f"{frame.id} hangs"
            if frame.task is not None:
                assert self.live.tasks[frame.task.id] is frame
            if frame.due_ms is not None:
                assert due_ms is not None
                assert due_ms <= frame.due_ms

    def happen(self, what: Happening) -> None:
        """One thing the world does, whether it fits or not."""
        self.now_ms += what.after_ms
        tasks = list(self.live.tasks)
        if what.kind == "time" or not tasks:
            self.pass_time()
        elif what.kind == "again":
            # Some task of long ago, likely one that was answered.
            self.tell(_fact("succeeded", self.scheduled[what.pick % len(self.scheduled)], 0))
        elif what.kind == "unknown":
            self.tell(_fact("succeeded", 99_999, 0))
        else:
            task = tasks[what.pick % len(tasks)]
            self.tell(_fact(self._fitting(what.kind, task), task, what.pick))

    def _fitting(self, kind: str, task: int) -> str:
        """Only a call for somebody else to answer is submitted; the shell knows which those are."""
        state = self.live.tasks[task].state
        assert isinstance(state, Task)
        if kind == "submitted" and state.resource.pattern != "callback":
            return "started"
        return kind

    def pass_time(self) -> None:
        """Go to what is due next, which must lead on."""
        due_ms = self.live.next_due_ms()
        if due_ms is None:
            assert not self.tell(TimeReached()).events
            return
        self.now_ms = max(self.now_ms, due_ms)
        assert self.tell(TimeReached()).events

    def finish(self) -> None:
        """Be a good world from now on: answer every task, and let time pass in between."""
        for number in range(STEPS_MAX):
            if self.live.status != RUNNING:
                return
            if self.live.tasks:
                kind = "failed" if number % 5 == 4 else "succeeded"
                self.tell(_fact(kind, next(iter(self.live.tasks)), number))
            else:
                self.pass_time()
        raise AssertionError("it never ends")


def _fact(kind: str, task: int, pick: int) -> Fact:
    output = Payload(OUTPUTS[pick % len(OUTPUTS)])
    match kind:
        case "started":
            return TaskStarted(task=task)
        case "submitted":
            return TaskSubmitted(task=task, output=output)
        case "heartbeat":
            return TaskHeartbeat(task=task)
        case "failed":
            error = ("Flaky", "Broken", None, "Lambda.TooManyRequestsException")[pick % 4]
            return TaskFailed(task=task, error=error, cause="x" if pick % 2 else None)
    return TaskSucceeded(task=task, output=output)


def run(
    definition: Definition,
    data: Any,
    happens: list[Happening],
    quotas: Quotas = AWS_QUOTAS,
    stop_after: int | None = None,
) -> Trial:
    """An execution from its start to its end."""
    trial = Trial(definition, quotas)
    trial.start(data)
    for number, what in enumerate(happens):
        if number == stop_after:
            trial.tell(StopExecution(error="Stop", cause=None))
        if trial.live.status == RUNNING:
            trial.happen(what)
    trial.finish()
    return trial
