"""Executions as the log has them: found by what people call them, and folded to any event.

The log is opened for reading only, so this works beside a server and without one.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from eventmill.asl.parser import reopen
from eventmill.asl.syntax import StateMachine
from eventmill.cli.failures import Refused
from eventmill.errors import ExecutionDoesNotExist, LogDamaged
from eventmill.log.sqlite import SqliteEventLog
from eventmill.machine.execution import Execution, Identity
from eventmill.ports import EventLog
from eventmill.record import record
from eventmill.rows import ExecutionRow, Snapshot, StepRow
from eventmill.runtime.project import workflow_files, workflow_name
from eventmill.runtime.replay import replay
from eventmill.runtime.settings import Settings

# How many executions, from the newest, a name or the beginning of one is looked for in.
SEARCHED_MAX: Final = 10_000
_PAGE: Final = 500
_CANDIDATES_SHOWN_MAX: Final = 5


@record
class Recorded:
    """An execution with all that is needed to replay it."""

    row: ExecutionRow
    machine: StateMachine
    steps: Sequence[StepRow]
    snapshot: Snapshot | None
    settings: Settings

    @property
    def identity(self) -> Identity:
        """What the execution is called."""
        return Identity.of(self.row.arn, self.row.state_machine_arn)

    def at(self, event: int | None = None) -> Execution:
        """The execution right after an event, or as it stands.

        Raises:
            LogDamaged: A step cannot be read.
        """
        try:
            return replay(self.identity, self.machine, self.steps, event)
        except ValueError as error:
            raise LogDamaged(f"{self.row.arn}: {error}") from error


def machine_name(row: ExecutionRow) -> str:
    """The name of an execution's state machine."""
    return row.state_machine_arn.rsplit(":", 1)[-1]


def reading(settings: Settings) -> AbstractAsyncContextManager[SqliteEventLog]:
    """The log of a project, to read.

    Raises:
        LogError: It is not there, or cannot be read.
    """
    return SqliteEventLog.open(settings.log_path, read_only=True)


async def recorded(log: EventLog, settings: Settings, row: ExecutionRow) -> Recorded:
    """All that the log has of an execution.

    Raises:
        LogDamaged: Its definition is missing.
    """
    text = await log.definition(row.definition)
    if text is None:
        raise LogDamaged(f"the definition {row.definition} of {row.arn} is missing from the log")
    snapshot = await log.snapshot(row.id)  # first, so that its step is among those that are read
    steps = await log.read(row.id)
    try:
        machine = reopen(text)
    except ValueError as error:
        raise LogDamaged(f"the definition of {row.arn} in the log: {error}") from error
    return Recorded(row=row, machine=machine, steps=steps, snapshot=snapshot, settings=settings)


async def newest(
    log: EventLog,
    limit: int,
    *,
    state_machine_arn: str | None = None,
    status: str | None = None,
    before_id: int | None = None,
) -> AsyncIterator[ExecutionRow]:
    """The newest executions, at most `limit`, newest first."""
    while limit > 0:
        page = await log.executions(
            state_machine_arn=state_machine_arn,
            status=status,
            before_id=before_id,
            limit=min(limit, _PAGE),
        )
        for row in page:
            yield row
        if len(page) < _PAGE:
            return
        limit -= len(page)
        before_id = page[-1].id


async def find_execution(log: EventLog, settings: Settings, reference: str) -> ExecutionRow:
    """The execution with this ARN, this name, or the only one whose name begins like this.

    Raises:
        ExecutionDoesNotExist: There is none.
        Refused: There are several.
    """
    if reference.startswith("arn:"):
        row = await log.execution(reference)
        if row is None:
            raise ExecutionDoesNotExist(f"no execution has the ARN {reference}")
        return row
    exact, beginning = await _named(log, settings, reference)
    found = exact or beginning
    if not found:
        raise ExecutionDoesNotExist(
            f"none of the newest {SEARCHED_MAX:,} executions is called {reference!r}, "
            "nor begins like that; an older one needs its ARN"
        )
    if len(found) > 1:
        raise _ambiguous(reference, list(found.values()))
    return next(iter(found.values()))


async def _named(
    log: EventLog, settings: Settings, reference: str
) -> tuple[dict[int, ExecutionRow], dict[int, ExecutionRow]]:
    """Executions whose name is `reference`, and those whose name begins like it."""
    exact: dict[int, ExecutionRow] = {}
    for arn in _likely_arns(settings, reference):
        row = await log.execution(arn)
        if row is not None:
            exact[row.id] = row
    beginning: dict[int, ExecutionRow] = {}
    if exact:
        return exact, beginning
    async for row in newest(log, SEARCHED_MAX):
        if row.name == reference:
            exact[row.id] = row
        elif row.name.startswith(reference):
            beginning[row.id] = row
    return exact, beginning


def _likely_arns(settings: Settings, name: str) -> Iterator[str]:
    """What the ARN is, if the state machine is one of the project's: found however old it is."""
    for path in workflow_files(settings.project):
        yield settings.home.execution(workflow_name(path), name)


def _ambiguous(reference: str, found: list[ExecutionRow]) -> Refused:
    shown = "\n".join(f"  {row.arn}" for row in found[:_CANDIDATES_SHOWN_MAX])
    more = len(found) - _CANDIDATES_SHOWN_MAX
    shown += f"\n  … and {more:,} more" if more > 0 else ""
    message = f"{len(found):,} executions are called {reference!r} or begin like that:\n{shown}"
    return Refused(message, "more of the name, or the ARN")
