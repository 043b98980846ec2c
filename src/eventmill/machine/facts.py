"""Facts: what the world tells an execution. Each is recorded in the step that it causes."""

from typing import TypeAlias

from eventmill.model import AWS_QUOTAS, Payload, Quotas
from eventmill.record import record


@record
class StartExecution:
    """Begin. `seed` feeds everything random in this execution; it comes from the shell, once.

    `quotas` hold for this execution to its end, whatever the settings become.
    """

    input: Payload
    seed: int
    role_arn: str
    quotas: Quotas = AWS_QUOTAS


@record
class TaskFact:
    """What happened to the task that event `task` scheduled."""

    task: int


@record
class TaskStarted(TaskFact):
    """The executor has begun to carry out the task scheduled by event `task`."""


@record
class TaskSubmitted(TaskFact):
    """The call of a `.waitForTaskToken` task was answered; the task itself goes on waiting."""

    output: Payload


@record
class TaskSucceeded(TaskFact):
    """The task has a result."""

    output: Payload


@record
class TaskOversized(TaskFact):
    """The task has a result of so many bytes, more than the quota; it is not kept."""

    bytes: int


@record
class TaskFailed(TaskFact):
    """The task failed, under a name that Retry and Catch can match."""

    error: str | None
    cause: str | None


@record
class TaskHeartbeat(TaskFact):
    """Whoever holds the task's token is alive."""


@record
class MapRunSucceeded:
    """The Map Run that event `map_run` started has ended well; `output` is the state's result."""

    map_run: int
    output: Payload


@record
class MapRunFailed:
    """The Map Run that event `map_run` started has failed."""

    map_run: int
    error: str | None
    cause: str | None


@record
class TimeReached:
    """Time has come to the execution's `next_due_ms`, at least."""


@record
class StopExecution:
    """Somebody asked for the execution to be aborted."""

    error: str | None = None
    cause: str | None = None


Fact: TypeAlias = (
    StartExecution | TaskFact | MapRunSucceeded | MapRunFailed | TimeReached | StopExecution
)
