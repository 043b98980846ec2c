"""Commands: what the machine asks of the shell. Each follows from exactly one history event."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from eventmill.asl.syntax import Resource
from eventmill.machine.map_run import Batching, Item, Reading, Writing
from eventmill.model import Payload
from eventmill.record import record


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


@record
class RunMap:
    """Carry out the Map Run that event `map_run` started: a child execution for each batch.

    The items are `items`, or what `reading` says; `item_input` gives what the child of an item
    gets, by its index and value, and raises `AuthorError` where the ItemSelector fails.
    `definition` is the text of the children's state machine. `max_concurrency` 0 means no limit
    of its own. A tolerance of 0 is none; over either one the Map Run fails.
    """

    map_run: int
    arn: str
    label: str
    state: str
    definition: str
    is_express: bool
    reading: Reading | None
    items: Sequence[Item] | None
    item_input: Callable[[int, Item], Payload]
    batching: Batching | None
    writing: Writing | None
    max_concurrency: int
    tolerated_count: int
    tolerated_percentage: float


@record
class CancelMap:
    """Abort the Map Run that event `map_run` started; its end would change nothing."""

    map_run: int


Command: TypeAlias = RunTask | CancelTask | RunMap | CancelMap
