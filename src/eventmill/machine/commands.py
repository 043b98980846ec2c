"""Commands: what the machine asks of the shell. Each follows from exactly one history event."""

from typing import TypeAlias

from eventmill.asl.syntax import Resource
from eventmill.model import Payload, record


@record
class RunTask:
    """Carry out the task that event `task` scheduled.

    `deadline_ms` is when the machine will give it up, or None. `idempotency_key` is the same on
    every attempt of one visit to the state. `token` answers for this attempt alone; only a
    `.waitForTaskToken` task has one. `attempt` counts from 1.
    """

    task: int
    state: str
    resource: Resource
    parameters: Payload
    token: str | None
    idempotency_key: str
    attempt: int
    deadline_ms: int | None


@record
class CancelTask:
    """Stop caring for the task that event `task` scheduled; its answer would change nothing."""

    task: int


Command: TypeAlias = RunTask | CancelTask
