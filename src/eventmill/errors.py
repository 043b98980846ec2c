"""Everything Eventmill raises on purpose.

    EventmillError
    ├── ServiceError                     what an API caller sees: the class name is the wire name
    │   ├── InvalidDefinition            carries every diagnostic
    │   ├── InvalidArn · InvalidName · InvalidToken · InvalidExecutionInput · InvalidOutput
    │   ├── StateMachineDoesNotExist · ExecutionDoesNotExist · ExecutionAlreadyExists
    │   ├── TaskDoesNotExist · TaskTimedOut
    │   └── ValidationException · UnknownOperation
    ├── ProjectError                     files of the project are wrong: carries every diagnostic
    ├── LogError
    │   ├── AppendConflict               somebody else appended: reload and decide again
    │   ├── DuplicateEvent               the inbox holds this event already
    │   ├── LogUnavailable               the disk or database refuses for now
    │   ├── LogInUse                     another server holds this data folder
    │   ├── LogFromTheFuture             written by a newer version
    │   └── LogDamaged                   not a database, or its chain is broken
    ├── ObjectStoreError                 a bucket or an object cannot be read or written
    │   └── ObjectDoesNotExist           there is no such bucket or object
    ├── SensorError                      a source cannot be watched
    ├── SettingsError                    bad configuration, at start only
    └── ReplayMismatch                   the stored history and the machine disagree

The author's failures are data (`eventmill.model.Failure`), which `AuthorError` carries inside the
machine; our own mistakes are assertions.
"""

from collections.abc import Sequence
from typing import ClassVar

from eventmill.model import Failure
from eventmill.record import record


@record
class Diagnostic:
    """One mistake in a file: what is wrong, and at which JSON Pointer (RFC 6901).

    `code` is the name AWS gives to the kind of mistake, such as `MISSING_TRANSITION_TARGET`.
    `location` is the same place as AWS writes it (`/States/A/Choices[0]/Next`), or None where
    AWS prints `null`.
    """

    code: str
    message: str
    pointer: str
    location: str | None = None
    severity: str = "ERROR"
    hint: str | None = None


class EventmillError(Exception):
    """The root of all errors raised on purpose; the message is for the user."""


class AuthorError(Exception):
    """Carries a `Failure` from an expression up to the machine, which turns it into events.

    `located` says whether AWS puts "An error occurred while executing the state …" before the
    cause. `location` names the field whose evaluation failed, where AWS writes an EvaluationFailed
    event about it. It never leaves the machine.
    """

    def __init__(
        self,
        error: str,
        cause: str | None = None,
        *,
        located: bool = True,
        location: str | None = None,
    ) -> None:
        super().__init__(error, cause)
        self.failure = Failure(error=error, cause=cause)
        self.located = located
        self.location = location


class ServiceError(EventmillError):
    """An error of the Step Functions API; the wire name is the class's name."""

    http_status: ClassVar[int] = 400


class InvalidDefinition(ServiceError):
    """The definition has mistakes; `diagnostics` lists all of them."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        listed = ", ".join(
            f"{each.code}: {each.message} at {each.location or each.pointer or 'null'}"
            for each in diagnostics
        )
        super().__init__(f"Invalid State Machine Definition: '{listed}'")
        self.diagnostics = tuple(diagnostics)


class InvalidArn(ServiceError):
    """The ARN is malformed or of the wrong kind."""


class InvalidName(ServiceError):
    """The name breaks AWS's rules for names."""


class InvalidToken(ServiceError):
    """The task token or page token is not one of ours."""


class InvalidExecutionInput(ServiceError):
    """The input is not JSON, or too large."""


class InvalidOutput(ServiceError):
    """The output given to SendTaskSuccess is not JSON."""


class StateMachineDoesNotExist(ServiceError):
    """No state machine has this ARN."""


class ExecutionDoesNotExist(ServiceError):
    """No execution has this ARN."""


class ExecutionAlreadyExists(ServiceError):
    """The name is taken by an execution with another input, or one that has ended."""

    def __init__(self, *args: object, arns: Sequence[str] = ()) -> None:
        """Of several executions that were to begin together, `arns` names those that cannot."""
        super().__init__(*args)
        self.arns = arns


class TaskDoesNotExist(ServiceError):
    """The token names no task."""


class TaskTimedOut(ServiceError):
    """The task of this token has already ended."""


class ValidationException(ServiceError):
    """A parameter is missing or out of range."""


class UnknownOperation(ServiceError):
    """The service has no operation of this name, or we do not offer it yet."""


class ProjectError(EventmillError):
    """Files of the project are wrong; `problems` holds one finished line for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class LogError(EventmillError):
    """The event log could not do what was asked."""


class AppendConflict(LogError):
    """The history does not end where the writer thought."""

    def __init__(self, execution: int, *, expected: int, actual: int) -> None:
        super().__init__(f"execution {execution} is at step {actual}, not {expected}")
        self.execution, self.expected, self.actual = execution, expected, actual


class DuplicateEvent(LogError):
    """The inbox already holds these events, each given by its source and id."""

    def __init__(self, events: Sequence[tuple[str, str]]) -> None:
        source, event_id = events[0]
        more = f", and {len(events) - 1} more" if len(events) > 1 else ""
        super().__init__(f"the event {event_id!r} of {source!r} is in the inbox already{more}")
        self.events = events


class LogUnavailable(LogError):
    """The log cannot be written or read for now (disk full, read-only, input/output error)."""


class LogInUse(LogError):
    """Another server holds this data folder."""


class LogFromTheFuture(LogError):
    """The database was written by a newer version of Eventmill."""


class LogDamaged(LogError):
    """The file is no event log, or its chain of hashes is broken."""


class ObjectStoreError(EventmillError):
    """The store refuses, or cannot be reached."""


class ObjectDoesNotExist(ObjectStoreError):
    """There is no bucket of this name, or no object under this key."""


class SensorError(EventmillError):
    """A source cannot be watched."""


class SettingsError(EventmillError):
    """A setting is wrong."""


class ReplayMismatch(EventmillError):
    """The stored history and the machine disagree about a step."""

    def __init__(self, step: int, stored: bytes, computed: bytes) -> None:
        super().__init__(f"step {step} does not follow from the history before it")
        self.step, self.stored, self.computed = step, stored, computed
