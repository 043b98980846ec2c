"""Small worlds for tests of the machine: a definition, scripted answers, virtual time."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from eventmill.asl.parser import parse
from eventmill.codec import aws_event, decode_step, spell_out
from eventmill.machine.commands import Command, RunTask
from eventmill.machine.execution import RUNNING, Execution, Identity, fold
from eventmill.machine.facts import Fact, StartExecution, TaskFailed, TaskSucceeded, TimeReached
from eventmill.machine.history import HistoryEvent
from eventmill.machine.transition import Step, advance, outstanding
from eventmill.model import AWS_QUOTAS, Json, Payload, Quotas

BEGIN_MS = 1_700_000_000_000
HOUR_MS = 3_600_000

IDENTITY = Identity(
    arn="arn:aws:states:local:000000000000:execution:machine:run",
    name="run",
    state_machine_arn="arn:aws:states:local:000000000000:stateMachine:machine",
    state_machine_name="machine",
    region="local",
)

Script = Callable[[RunTask], "Json | Exception"]


class Refusal(Exception):
    """What a scripted task fails with."""

    def __init__(self, error: str, cause: str | None = None) -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


class World:
    """One execution that is told facts by hand, and folded a second time from stored steps."""

    def __init__(
        self, states: Mapping[str, Any], *, quotas: Quotas = AWS_QUOTAS, **fields: Any
    ) -> None:
        document = {"StartAt": next(iter(states)), "States": states, **fields}
        self.machine = parse(json.dumps(document)).machine
        self.quotas = quotas
        self.execution = Execution(IDENTITY, self.machine)
        self.now_ms = BEGIN_MS
        self.bodies: list[bytes] = []
        self.events: list[HistoryEvent] = []

    def start(self, data: Json = None) -> Step:
        text = Payload.of({} if data is None else data)
        return self.tell(StartExecution(input=text, seed=1, role_arn="role", quotas=self.quotas))

    def tell(self, fact: Fact, after_ms: int = 0) -> Step:
        self.now_ms += after_ms
        step = advance(self.execution, fact, self.now_ms)
        if step.events:
            self.bodies.append(spell_out(self.now_ms, step.fact, step.events))
        self.events.extend(step.events)
        return step

    def pass_time(self) -> Step:
        """Jump to what is due next."""
        due_ms = self.execution.next_due_ms()
        assert due_ms is not None, "nothing is due"
        self.now_ms = max(self.now_ms, due_ms)
        return self.tell(TimeReached())

    def answer(self, command: Command, script: Script) -> Step:
        assert isinstance(command, RunTask)
        value = script(command)
        if isinstance(value, Refusal):
            return self.tell(TaskFailed(task=command.task, error=value.error, cause=value.cause))
        assert not isinstance(value, Exception)
        return self.tell(TaskSucceeded(task=command.task, output=Payload.of(value)))

    def run(self, data: Json = None, script: Script | None = None) -> "World":
        """Go on to the end, answering the oldest task first; time passes only between tasks."""
        self.start(data)
        while self.execution.status == RUNNING:
            waiting = outstanding(self.execution)
            if waiting:
                assert script is not None, "a task asks for an answer"
                self.answer(waiting[0], script)
            else:
                self.pass_time()
        return self

    def folded(self) -> Execution:
        """The execution as a restarted server would see it."""
        execution = Execution(IDENTITY, self.machine)
        for body in self.bodies:
            fold(execution, decode_step(body, None).events)
        return execution

    def history(self) -> list[dict[str, Any]]:
        return [aws_event(event) for event in self.events if event.id]

    def types(self) -> list[str]:
        return [event.type for event in self.events if event.id]

    def previous(self) -> list[int]:
        return [event.previous_id for event in self.events if event.id]

    def output(self) -> Json:
        assert self.execution.output is not None, self.execution.failure
        return self.execution.output.value


def snapshot(execution: Execution) -> Any:
    """Everything that an execution knows, as comparable values."""

    def frame(each: Any) -> Any:
        task = each.task
        return {
            "id": each.id,
            "state": each.state and each.state.name,
            "next": each.next,
            "data": each.data.text,
            "entered": (each.entered_id, each.entered_ms),
            "last_id": each.last_id,
            "retries": (each.retries, each.retry_count, each.retrying, each.due_ms),
            "task": task
            and (
                task.id,
                task.parameters.text,
                task.started,
                task.deadline_ms,
                task.heartbeat_due_ms,
            ),
            "map_run": each.map_run and (each.map_run.id, each.map_run.arn, each.map_run.settings),
            "variables": each.variables,
            "results": [result and result.text for result in each.results],
            "length": each.length,
            "children": {index: frame(child) for index, child in each.children.items()},
        }

    return {
        "status": (execution.status, execution.start_ms, execution.stop_ms),
        "sequence": execution.sequence,
        "input": execution.input.text,
        "output": execution.output and execution.output.text,
        "failure": execution.failure,
        "due": execution.next_due_ms(),
        "tasks": sorted(execution.tasks),
        "frames": sorted(execution.frames),
        "frames_made": execution.frames_made,
        "root": frame(execution.root),
    }
