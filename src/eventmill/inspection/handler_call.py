"""The call of a handler for a Task that is tested without a mock."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from eventmill.asl.error_names import TIMEOUT
from eventmill.asl.syntax import Task
from eventmill.errors import ValidationException
from eventmill.inspection.trial import Trial
from eventmill.machine.commands import RunTask
from eventmill.machine.facts import Fact, TaskFailed, TaskSucceeded
from eventmill.machine.states import task
from eventmill.model import Failure, Payload

Run: TypeAlias = Callable[[str, RunTask, Callable[[Fact], None]], Callable[[], None]]
"""Carries a task of the execution with this ARN out and reports facts about it; the function that
it returns cancels the work."""

# AWS gives a test five minutes.
_SECONDS_MAX: Final = 300


def check_callable(state: Task, run: Run | None) -> None:
    """Refuse a Task that cannot be carried out here.

    Raises:
        ValidationException: It calls something else than a handler, or there are none.
    """
    resource = state.resource
    if (resource.service, resource.action) != ("lambda", "invoke"):
        raise ValidationException(
            f"A mock is required to test a state that calls {resource.text}; without one, only "
            "tasks that invoke a Lambda function and wait for its answer can be tested"
        )
    if run is None:
        raise ValidationException(
            f"A mock is required to test a state that calls {resource.text}: no handlers are "
            "served here"
        )


async def carried_out(trial: Trial, run: Run) -> Payload | Failure:
    """What the handler of the trial's Task answered, or why it failed."""
    command = task.run_task(trial.execution, trial.frame)
    answer: asyncio.Future[TaskSucceeded | TaskFailed] = asyncio.get_running_loop().create_future()

    def report(fact: Fact) -> None:
        if isinstance(fact, (TaskSucceeded, TaskFailed)) and not answer.done():
            answer.set_result(fact)

    cancel = run(trial.execution.identity.arn, command, report)
    try:
        async with asyncio.timeout(_seconds(trial, command)):
            fact = await answer
    except TimeoutError:
        cancel()
        return Failure(error=TIMEOUT)
    if isinstance(fact, TaskFailed):
        return Failure(error=fact.error, cause=fact.cause)
    return fact.output


def _seconds(trial: Trial, command: RunTask) -> float:
    if command.deadline_ms is None:
        return _SECONDS_MAX
    return min((command.deadline_ms - trial.decision.now_ms) / 1000, _SECONDS_MAX)
