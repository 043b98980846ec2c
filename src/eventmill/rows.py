"""Rows: what the log holds of executions, Map Runs, events and deliveries, as it is read.

`eventmill.ports` says what can be asked for, and what becomes durable together.
"""

from collections.abc import Mapping, Sequence

from eventmill.events import TriggerEvent
from eventmill.model import Payload, Payloads
from eventmill.record import record


@record
class Child:
    """The place of an execution in the Map Run that started it."""

    execution: int  # whose Map state it was
    map_run: int  # the id of the event that started the Map Run
    index: int  # which child it is, from 0
    items: int  # how many items it was given


@record
class ExecutionRow:
    """What the log knows of an execution without reading its history."""

    id: int
    arn: str
    state_machine_arn: str
    name: str
    definition: str  # the digest under which the definition is stored
    status: str  # RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED
    start_ms: int
    stop_ms: int | None = None
    steps: int = 0  # number of steps in the history
    event: tuple[str, str] | None = None  # (source, id) of the trigger event that started it
    trigger: str | None = None
    child: Child | None = None


@record
class MapRunRow:
    """A Map Run: named by the execution it belongs to and the event there that started it."""

    execution: int
    map_run: int
    arn: str
    max_concurrency: int
    tolerated_count: int
    tolerated_percentage: float
    start_ms: int
    status: str = "RUNNING"  # or SUCCEEDED, FAILED, ABORTED
    stop_ms: int | None = None
    items: int | None = None  # how many there are; None until all have been read


@record
class MapRunChange:
    """What is new about a Map Run; None is what is not."""

    status: str | None = None
    stop_ms: int | None = None
    items: int | None = None


@record
class Progress:
    """How far a Map Run has come.

    `ended` maps a status to the numbers of children and of items; `running` maps children that
    have not ended to their items; `started` counts all children.
    """

    ended: Mapping[str, tuple[int, int]]
    running: Mapping[int, int]
    started: int


@record
class Snapshot:
    """What the steps of an execution up to `step` come to: a cache, and never the truth.

    `body` is what `eventmill.machine.snapshot` wrote under `layout`.
    """

    execution: int
    step: int
    layout: int
    body: bytes


@record
class ExecutionHistory:
    """An execution as it stands: with the bodies of its steps and when it will be woken."""

    row: ExecutionRow
    bodies: Sequence[bytes]  # of all steps after the snapshot's; of step 1, 2, 3, … without one
    due_ms: int | None  # what its timer says; None without one
    snapshot: Snapshot | None = None
    payloads: Payloads | None = None  # those that the bodies refer to, if any


@record
class ChildHistory:
    """A child with the bodies of its first and its last step; `last` is that of its end, if any."""

    row: ExecutionRow
    first: bytes
    last: bytes
    payloads: Payloads | None = None  # those that these two refer to, if any


@record
class ChildResult:
    """What a child of a Map Run came to; of one that was never started (PENDING), its input."""

    status: str
    input: Payload
    output: Payload | None = None
    error: str | None = None
    cause: str | None = None
    arn: str = ""
    name: str = ""
    state_machine_arn: str = ""
    start_ms: int = 0
    stop_ms: int | None = None


@record
class StepRow:
    """One step of one execution, as stored: `body` is what `eventmill.codec` wrote.

    `payloads` are those that the body refers to; None stands for none. Handed over with a step,
    each of them is kept once, by its digest, however many steps refer to it.
    """

    execution: int
    step: int  # 1, 2, 3, … without gaps within an execution
    body: bytes
    payloads: Payloads | None = None


@record
class StoredStep:
    """A step row with its place in the log and the hash that chains it to the row before."""

    position: int  # counts everything recorded: events of the inbox, new executions and steps
    row: StepRow
    hash: bytes


@record
class InboxEvent:
    """A trigger event in the inbox, with the executions it started, by trigger."""

    position: int
    event: TriggerEvent
    received_ms: int
    executions: Mapping[str, str]  # trigger name -> execution ARN


@record
class DeliveryRow:
    """What became of an event for a trigger, where that is not "started at once".

    One WAITING has a `due_ms`, or waits for executions of its trigger to end; one that is decided
    (STARTED, SKIPPED, DEAD) has a `decided_ms`.
    Ages count from `since_ms`. The log gives the id: it grows in the order of first storing.
    """

    event: tuple[str, str]  # (source, id)
    trigger: str
    status: str  # WAITING, STARTED, SKIPPED or DEAD
    reason: str  # a text for people
    since_ms: int  # when the event came, or was sent again
    attempts: int = 0  # how many have failed
    due_ms: int | None = None
    decided_ms: int | None = None
    execution: str | None = None  # the ARN of what it started, or waits to start
    dedup_key: str | None = None
    content_key: str | None = None
    content: str | None = None  # the digest of what is compared under `content_key`
    id: int = 0  # 0 for one that is new
