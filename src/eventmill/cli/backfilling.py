"""Starts what a schedule would have started, on the running server, a few at a time.

What an execution is called follows from the trigger and the scheduled time, as it does for the
sensor. So a name that is taken is a time that is done: whoever begins again goes on where it ended.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from eventmill.arn import Home
from eventmill.cli.client import Client, OperationFailed
from eventmill.model import Json
from eventmill.record import record
from eventmill.sensors.schedule import scheduled_event
from eventmill.triggers.schedule import ScheduleSource
from eventmill.triggers.trigger import Trigger

RUNNING: Final = "RUNNING"
SUCCEEDED: Final = "SUCCEEDED"

_PAUSE_SECONDS: Final = 0.1


@record
class Due:
    """A scheduled time with the execution that stands for it."""

    scheduled_ms: int
    name: str
    arn: str
    input: str


@record
class Done:
    """What became of it: the status of the execution, and whether it was there before."""

    due: Due
    status: str
    before: bool


def due(trigger: Trigger, source: ScheduleSource, home: Home, times: Sequence[int]) -> list[Due]:
    """The executions that a trigger starts at these times: where its pattern holds.

    Raises:
        AuthorError: No input can be made of an event.
    """
    machine = trigger.state_machine.rsplit(":", 1)[-1]
    found: list[Due] = []
    for scheduled_ms in times:
        event = scheduled_event(source, scheduled_ms, home, caught_up=True)
        if trigger.matches(event.envelope()):
            name = trigger.execution_name(event)
            found.append(
                Due(
                    scheduled_ms=scheduled_ms,
                    name=name,
                    arn=home.execution(machine, name),
                    input=trigger.input_for(event).text.decode(),
                )
            )
    return found


class Backfilling:
    """Executions that are started in order, `concurrency` of them at once."""

    def __init__(
        self,
        client: Client,
        state_machine_arn: str,
        *,
        concurrency: int,
        keep_going: bool,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._machine = state_machine_arn
        self._concurrency = concurrency
        self._keep_going = keep_going
        self._pause = pause

    def run(self, waiting: Sequence[Due]) -> Iterator[Done]:
        """Start all, each when there is room, and give each once it has ended.

        After a failure nothing more is started, unless it is to keep going; what runs is waited
        for.

        Raises:
            OperationFailed: The server refuses to start one.
            EnvironmentRefused: The server is gone.
        """
        left = list(reversed(waiting))
        running: list[tuple[Due, bool]] = []
        failed = False
        while running or (left and not (failed and not self._keep_going)):
            while left and len(running) < self._concurrency and (self._keep_going or not failed):
                each = left.pop()
                running.append((each, not self._start(each)))
            seen = [Done(due=each, status=self._status(each), before=was) for each, was in running]
            running = [(done.due, done.before) for done in seen if done.status == RUNNING]
            for done in seen:
                if done.status != RUNNING:
                    failed = failed or done.status != SUCCEEDED
                    yield done
            if len(running) == self._concurrency or (running and not left):
                self._pause(_PAUSE_SECONDS)

    def _start(self, each: Due) -> bool:
        """Start an execution; False when there is one of this name."""
        request: dict[str, Json] = {
            "stateMachineArn": self._machine,
            "name": each.name,
            "input": each.input,
        }
        # One that runs is not refused when it is started again, so it is looked for first.
        return self._is_refused("DescribeExecution", _metadata(each), "ExecutionDoesNotExist") and (
            not self._is_refused("StartExecution", request, "ExecutionAlreadyExists")
        )

    def _is_refused(self, operation: str, request: dict[str, Json], reason: str) -> bool:
        try:
            self._client.call(operation, request)
        except OperationFailed as error:
            if error.name != reason:
                raise
            return True
        return False

    def _status(self, each: Due) -> str:
        return str(self._client.call("DescribeExecution", _metadata(each))["status"])


def _metadata(each: Due) -> dict[str, Json]:
    return {"executionArn": each.arn, "includedData": "METADATA_ONLY"}
