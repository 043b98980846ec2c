"""The handlers of a simulation: what they answer is in their script, when is a matter of chance."""

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from eventmill.arn import function_name
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import (
    Fact,
    TaskFailed,
    TaskHeartbeat,
    TaskSubmitted,
    TaskSucceeded,
)
from eventmill.model import Json, Payload

if TYPE_CHECKING:
    from tests.simulation.world import World

Report = Callable[[Fact], None]


class Handlers:
    """The `Dispatch` of one server; with the server its handlers die."""

    def __init__(self, world: "World", server: int) -> None:
        self._world = world
        self._server = server
        self._is_dead = False
        self.open: dict[tuple[str, int], Report] = {}

    def die(self) -> None:
        """No answer comes any more."""
        self._is_dead = True

    def run(self, execution_arn: str, command: RunTask, report: Report) -> Callable[[], None]:
        """See `Dispatch.run`."""
        if self._is_dead:
            return lambda: None
        key = (execution_arn, command.task)
        world = self._world
        world.witness.dispatched(self._server, execution_arn, command, is_open=key in self.open)
        self.open[key] = report
        function = _function(command)
        fact = scripted(function, command, self._mood(function))
        if command.token is not None:
            world.outside.hand_token(execution_arn, command, fact)
            fact = TaskSubmitted(task=command.task, output=Payload.of({"sent": True}))
        elif self._strikes(0.1):
            self._later(partial(self._beat, key))
        if function == "moody" and command.deadline_ms is not None and self._strikes(0.2):
            world.trace.note(f"hangs: {_named(execution_arn)}#{command.task}")
        else:
            self._later(partial(self._answer, key, fact))
        return partial(self._cancel, key)

    def _mood(self, function: str) -> float:
        return self._world.chaos.random.random() if function == "moody" else 1.0

    def _strikes(self, chance: float) -> bool:
        return self._world.chaos.strikes(chance)

    def _later(self, work: Callable[[], None]) -> None:
        self._world.later(self._world.chaos.while_ms(), work)

    def _beat(self, key: tuple[str, int]) -> None:
        if key in self.open and not self._is_dead:
            self._world.trace.note(f"heartbeat: {_named(key[0])}#{key[1]}")
            self.open[key](TaskHeartbeat(task=key[1]))

    def _answer(self, key: tuple[str, int], fact: Fact) -> None:
        report = self.open.pop(key, None)
        if report is None or self._is_dead:
            return
        self._world.trace.note(f"answer: {_named(key[0])}#{key[1]} {type(fact).__name__}")
        if self._is_dead:
            return  # the server died with the answer in its hands
        report(fact)
        if self._strikes(self._world.chaos.plan.again):
            self._world.repeat(key[0], fact)

    def _cancel(self, key: tuple[str, int]) -> None:
        if self._is_dead:
            return
        if self.open.pop(key, None) is not None:
            self._world.trace.note(f"cancelled: {_named(key[0])}#{key[1]}")


def scripted(function: str, command: RunTask, mood: float) -> Fact:
    """What a function answers to a task: the same to the same input and attempt."""
    digest = sha256(f"{command.state} {_asked(command)}".encode()).digest()
    failing_attempts = {
        "steady": 0,
        "flaky": digest[0] % 3,
        "once": 1 if command.attempt == 1 and digest[0] % 2 else 0,
        "broken": 99,
        "moody": 99 if mood < 0.4 else 0,
    }[function]
    if command.attempt <= failing_attempts:
        error = "Broken" if function == "broken" else "Flaky"
        return TaskFailed(task=command.task, error=error, cause=f"attempt {command.attempt}")
    output: dict[str, Json] = {
        "n": digest[1] % 4,
        "items": list(range(digest[2] % 3)),
        "by": function,
    }
    return TaskSucceeded(task=command.task, output=Payload.of(output))


def _function(command: RunTask) -> str:
    if command.token is None:
        return function_name(command.resource.text)
    parameters: Any = command.parameters.value
    return str(parameters["FunctionName"])


def _asked(command: RunTask) -> str:
    """The input without the token, which is another in every run."""
    return "" if command.token is not None else json.dumps(command.parameters.value)


def _named(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
