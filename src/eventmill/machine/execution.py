"""An execution as it stands, folded from its history. Rule 1: only `evolve` changes one.

Rule 2: `evolve` evaluates no expression and makes no choice; it knows nothing of facts. So an
execution recovers from its log alike under every version of the engine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from eventmill.asl.syntax import Branch, Map, Parallel, State, StateMachine, Task
from eventmill.machine.history import (
    DETAILS_KEY,
    HEARTBEAT_RECEIVED,
    RETRY_SCHEDULED,
    WAIT_SCHEDULED,
    HistoryEvent,
)
from eventmill.model import AWS_QUOTAS, EMPTY_OBJECT, Failure, Json, Payload, Quotas, encode_json
from eventmill.record import record

RUNNING: Final = "RUNNING"
ROOT: Final = 0  # the id of the outermost frame


@record
class Identity:
    """What an execution is called; given when it is created, never changed."""

    arn: str
    name: str
    state_machine_arn: str
    state_machine_name: str
    region: str

    @classmethod
    def of(cls, arn: str, state_machine_arn: str) -> "Identity":
        """What these two ARNs say of an execution."""
        return cls(
            arn=arn,
            name=arn.rsplit(":", 1)[-1],
            state_machine_arn=state_machine_arn,
            # A child of a Map Run has the label of its Map behind the name.
            state_machine_name=state_machine_arn.rsplit(":", 1)[-1].split("/")[0],
            region=arn.split(":", 4)[3],
        )


class RunningTask:
    """A task that was scheduled and not answered yet, named by the id of its Scheduled event."""

    __slots__ = ("deadline_ms", "heartbeat_due_ms", "heartbeat_ms", "id", "parameters", "started")

    def __init__(self, event_id: int, parameters: Payload) -> None:
        self.id = event_id
        self.parameters = parameters
        self.started = False
        self.deadline_ms: int | None = None
        self.heartbeat_ms: int | None = None
        self.heartbeat_due_ms: int | None = None

    @staticmethod
    def of(event: HistoryEvent, parameters: Payload) -> "RunningTask":
        """The task that a Scheduled event tells of; its times count from the event's."""
        task = RunningTask(event.id, parameters)
        details = event.details or {}
        timeout, heartbeat = details.get("timeoutInSeconds"), details.get("heartbeatInSeconds")
        if isinstance(timeout, int):
            task.deadline_ms = event.at_ms + timeout * 1000
        if isinstance(heartbeat, int):
            task.heartbeat_ms = heartbeat * 1000
            task.beat(event.at_ms)
        return task

    def beat(self, at_ms: int) -> None:
        """Count the heartbeat's time from `at_ms`."""
        if self.heartbeat_ms is not None:
            self.heartbeat_due_ms = at_ms + self.heartbeat_ms


@record
class Variable:
    """The value of a variable, and the size of its JSON text in bytes."""

    value: Json
    size: int


@record
class MapRun:
    """A Map Run that was started and has not ended, named by the id of its Started event.

    `settings` are what that event notes, as `states/distributed_map.py` wrote it.
    """

    id: int
    arn: str
    settings: dict[str, Json]


@dataclass(slots=True, eq=False, repr=False)
class Frame:
    """One sequence of states that runs: the execution's own, a branch's or an iteration's.

    Between two states `state` is None; `next` then names the state to enter, and a frame without
    `next` is finished. `data` is the input of the state it is in, else the output of the last.
    """

    id: int
    parent: "Frame | None"
    index: int
    states: Mapping[str, State]
    next: str | None
    state: State | None = None
    data: Payload = EMPTY_OBJECT
    entered_id: int = 0
    before_id: int = 0  # the id that the Entered event points back to
    entered_ms: int = 0
    last_id: int = 0  # the id that the next event of this frame points back to
    retries: dict[int, int] = field(default_factory=dict)  # retrier -> attempts made
    retry_count: int = 0
    due_ms: int | None = None  # when a Wait ends or a retry begins
    retrying: bool = False
    task: RunningTask | None = None
    map_run: MapRun | None = None
    # Assigned in this frame; inner ones see them.
    variables: dict[str, Variable] = field(default_factory=dict)
    children: "dict[int, Frame]" = field(default_factory=dict)  # by index; finished ones are gone
    results: list[Payload | None] = field(default_factory=list)
    length: int = 0  # how many branches or items there are
    # Of a Map; a cache, made when first needed.
    items: list[Json] | dict[str, Json] | None = None

    def leave_children(self) -> None:
        """Be without branches and iterations, as at first; for `Execution` alone."""
        self.children = {}
        self.results = []
        self.length = 0
        self.items = None

    @property
    def admitted(self) -> int:
        """How many branches or iterations have been started."""
        return len(self.results)


class Execution:
    """One run of a state machine.

    It is mutable, since a Map of 100,000 items must not be copied at every step, and belongs to
    whoever folds it; the shell shows it to nobody.
    """

    def __init__(self, identity: Identity, machine: StateMachine) -> None:
        self.identity = identity
        self.machine = machine
        self.quotas = AWS_QUOTAS
        self.status = ""
        self.sequence = 0  # the id of the last event
        self.start_ms = 0
        self.stop_ms: int | None = None
        self.input = EMPTY_OBJECT
        self.output: Payload | None = None
        self.failure: Failure | None = None
        self.role_arn = ""
        self.seed = 0
        self.deadline_ms: int | None = None
        self.root = Frame(ROOT, None, 0, machine.states, machine.start_at)
        self.frames: dict[int, Frame] = {ROOT: self.root}
        self.frames_made = 1
        self.tasks: dict[int, Frame] = {}
        self.variable_bytes = 0  # of all variables in all frames
        self.map_runs: dict[int, Frame] = {}
        self.abandoned: list[int] = []  # tasks cut off since the shell last asked
        self.abandoned_runs: list[int] = []  # Map Runs likewise
        self.now_ms = 0  # the instant of the decision that is being made
        self._timers: list[tuple[int, int]] = []  # (due_ms, frame), outdated ones included

    def next_due_ms(self) -> int | None:
        """When time has something to say to this execution next."""
        self._forget_outdated_timers()
        if self.status != RUNNING:
            return None
        if not self._timers:
            return self.deadline_ms
        due_ms = self._timers[0][0]
        return due_ms if self.deadline_ms is None else min(due_ms, self.deadline_ms)

    def due_frames(self, now_ms: int) -> list[Frame]:
        """The frames whose time has come, in the order in which they fell due."""
        due = sorted({timer for timer in self._timers if timer[0] <= now_ms})
        frames = [self.frames[id] for at_ms, id in due if self._is_current(at_ms, id)]
        return list(dict.fromkeys(frames))

    def waits_only(self) -> bool:
        """Whether nothing is under way but time and callbacks: it may leave memory."""
        if self.map_runs:
            return False
        for frame in self.tasks.values():  # noqa: SIM110  # any() costs more than all the rest
            if is_carried_out(frame):
                return False
        return True

    def set_timer(self, frame: Frame, due_ms: int | None) -> None:
        """Remember that `frame` has something due; for `evolve` alone."""
        if due_ms is not None:
            heappush(self._timers, (due_ms, frame.id))

    def drop_children(self, frame: Frame) -> None:
        """Forget all that runs inside `frame`'s state; for `evolve` alone."""
        for child in frame.children.values():
            self.drop_task(child)
            self.drop_children(child)
            self.drop_frame(child)
        frame.leave_children()

    def drop_frame(self, frame: Frame) -> None:
        """Forget a branch or an iteration, and its variables with it; for `evolve` alone."""
        self.variable_bytes -= sum(each.size for each in frame.variables.values())
        del self.frames[frame.id]

    def drop_task(self, frame: Frame) -> None:
        """Forget a task or Map Run that nobody waits for any more; for `evolve` alone."""
        if frame.task is not None:
            self.abandoned.append(frame.task.id)
            del self.tasks[frame.task.id]
            frame.task = None
        if frame.map_run is not None:
            self.abandoned_runs.append(frame.map_run.id)
            del self.map_runs[frame.map_run.id]
            frame.map_run = None

    def _forget_outdated_timers(self) -> None:
        while self._timers and not self._is_current(*self._timers[0]):
            heappop(self._timers)

    def _is_current(self, at_ms: int, frame_id: int) -> bool:
        frame = self.frames.get(frame_id)
        if frame is None:
            return False
        if frame.task is None:
            return frame.due_ms == at_ms
        return at_ms in (frame.task.deadline_ms, frame.task.heartbeat_due_ms)


def is_carried_out(frame: Frame) -> bool:
    """Whether the shell is busy with `frame`'s task, rather than somebody outside."""
    state = frame.state
    assert isinstance(state, Task)
    assert frame.task is not None
    return state.resource.pattern == "request" or not frame.task.started


def is_late(frame: Frame, now_ms: int) -> bool:
    """Whether the time that `frame`'s task was given is over."""
    task = frame.task
    assert task is not None
    return task.deadline_ms is not None and task.deadline_ms <= now_ms


def quotas_of(started: HistoryEvent) -> Quotas:
    """The quotas that an ExecutionStarted event sets; AWS's, when it says nothing of them."""
    quotas = (started.internal or {}).get("quotas", {})
    assert isinstance(quotas, dict)
    return Quotas(**{name: value for name, value in quotas.items() if isinstance(value, int)})


def fold(execution: Execution, events: Iterable[HistoryEvent]) -> Execution:
    """Apply stored events to `execution`, oldest first, and return it."""
    for event in events:
        evolve(execution, event)
    return execution


def evolve(execution: Execution, event: HistoryEvent) -> None:
    """Take one history event into account."""
    if event.id:
        assert event.id == execution.sequence + 1, f"{event} does not follow {execution.sequence}"
        execution.sequence = event.id
    frame = execution.frames[event.frame]
    _EVOLVE[event.type](execution, frame, event)


def _execution_started(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    execution.status = RUNNING
    execution.start_ms = event.at_ms
    execution.input = frame.data = event.payload("input")
    execution.role_arn = event.text("roleArn")
    execution.seed = event.noted("seed")
    execution.quotas = quotas_of(event)
    if execution.machine.timeout_seconds is not None:
        execution.deadline_ms = event.at_ms + execution.machine.timeout_seconds * 1000


def _ended(status: str) -> "_Evolve":
    def apply(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
        details = event.details or {}
        execution.status = status
        execution.stop_ms = event.at_ms
        if "output" in details:
            execution.output = event.payload("output")
        else:
            reason = {name: event.text(name) for name in ("error", "cause") if name in details}
            execution.failure = Failure(**reason)
        execution.drop_task(execution.root)
        execution.drop_children(execution.root)
        execution.root.due_ms = None

    return apply


def _state_entered(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    frame.state = frame.states[event.text("name")]
    frame.next = None
    frame.data = event.payload("input")
    frame.entered_id = frame.last_id = event.id
    frame.before_id = event.previous_id
    frame.entered_ms = event.at_ms
    frame.retries = {}
    frame.retry_count = 0


def _state_exited(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert frame.state is not None
    # A Choice and a caught error go elsewhere than the state's own `Next`.
    leads_to = (event.internal or {}).get("next", getattr(frame.state, "next", None))
    assert leads_to is None or isinstance(leads_to, str)
    execution.drop_children(frame)
    frame.state = None
    frame.due_ms = None
    frame.next = leads_to
    frame.data = event.payload("output")
    frame.last_id = event.id
    if event.details is not None and "assignedVariables" in event.details:
        _assign(execution, frame, event.payload("assignedVariables"))
    if leads_to is None and frame.parent is not None:
        parent = frame.parent
        parent.results[frame.index] = frame.data
        parent.last_id = event.id
        del parent.children[frame.index]
        execution.drop_frame(frame)


def _assign(execution: Execution, frame: Frame, assigned: Payload) -> None:
    assert isinstance(assigned.value, dict)
    for name, value in assigned.value.items():
        former = frame.variables.get(name)
        variable = Variable(value=value, size=len(encode_json(value)))
        execution.variable_bytes += variable.size - (former.size if former else 0)
        frame.variables[name] = variable


def _wait_scheduled(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    frame.due_ms = event.noted("due_ms")
    execution.set_timer(frame, frame.due_ms)


def _retry_scheduled(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    retrier = event.noted("retrier")
    execution.drop_children(frame)
    frame.retries[retrier] = frame.retries.get(retrier, 0) + 1
    frame.retry_count += 1
    frame.retrying = True
    frame.last_id = event.previous_id
    frame.due_ms = event.noted("due_ms")
    execution.set_timer(frame, frame.due_ms)


def _begun(frame: Frame, event: HistoryEvent) -> None:
    """An attempt at the frame's state begins."""
    frame.retrying = False
    frame.due_ms = None
    frame.last_id = event.id


def _task_scheduled(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    _begun(frame, event)
    where = "input" if event.type == "LambdaFunctionScheduled" else "parameters"
    frame.task = RunningTask.of(event, event.payload(where))
    execution.tasks[event.id] = frame
    execution.set_timer(frame, frame.task.deadline_ms)
    execution.set_timer(frame, frame.task.heartbeat_due_ms)


def _task_started(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert frame.task is not None
    frame.task.started = True
    frame.last_id = event.id


def _heartbeat_received(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert frame.task is not None
    frame.task.beat(event.at_ms)
    execution.set_timer(frame, frame.task.heartbeat_due_ms)


def _task_ended(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert frame.task is not None
    del execution.tasks[frame.task.id]
    if event.type.endswith("TimedOut"):
        execution.abandoned.append(frame.task.id)
    frame.task = None
    frame.last_id = event.id


def _parallel_started(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    state = frame.state
    assert isinstance(state, Parallel)
    _begun(frame, event)
    frame.length = len(state.branches)
    for branch in state.branches:
        _add_child(execution, frame, branch, event)


def _map_started(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert event.details is not None
    length = event.details["length"]
    assert isinstance(length, int)
    _begun(frame, event)
    frame.length = length


def _map_run_started(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    arn, settings = event.text("mapRunArn"), event.internal or {}
    frame.map_run = MapRun(id=event.id, arn=arn, settings=settings)
    frame.last_id = event.id
    execution.map_runs[event.id] = frame


def _map_run_succeeded(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert frame.map_run is not None
    del execution.map_runs[frame.map_run.id]
    frame.map_run = None


def _map_run_failed(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    _map_run_succeeded(execution, frame, event)
    frame.last_id = event.id


def _iteration_started(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    assert isinstance(frame.state, Map)
    _add_child(execution, frame, frame.state.processor, event)


def _add_child(execution: Execution, frame: Frame, branch: Branch, event: HistoryEvent) -> None:
    child = Frame(execution.frames_made, frame, frame.admitted, branch.states, branch.start_at)
    child.last_id = event.id
    execution.frames_made += 1
    execution.frames[child.id] = child
    frame.children[child.index] = child
    frame.results.append(None)


def _children_failed(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    execution.drop_children(frame)
    frame.last_id = event.id


def _advances(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    frame.last_id = event.id


def _changes_nothing(execution: Execution, frame: Frame, event: HistoryEvent) -> None:
    """Nor does a later event point back to it."""


_Evolve = Callable[[Execution, Frame, HistoryEvent], None]

_EVOLVE: Final[dict[str, _Evolve]] = {
    "ExecutionStarted": _execution_started,
    "ExecutionSucceeded": _ended("SUCCEEDED"),
    "ExecutionFailed": _ended("FAILED"),
    "ExecutionAborted": _ended("ABORTED"),
    "ExecutionTimedOut": _ended("TIMED_OUT"),
    **{type: _state_entered for type in DETAILS_KEY if type.endswith("StateEntered")},
    **{type: _state_exited for type in DETAILS_KEY if type.endswith("StateExited")},
    WAIT_SCHEDULED: _wait_scheduled,
    RETRY_SCHEDULED: _retry_scheduled,
    HEARTBEAT_RECEIVED: _heartbeat_received,
    "TaskScheduled": _task_scheduled,
    "TaskStarted": _task_started,
    "TaskSubmitted": _advances,
    "LambdaFunctionScheduled": _task_scheduled,
    "LambdaFunctionStarted": _task_started,
    **{
        f"{prefix}{outcome}": _task_ended
        for prefix in ("Task", "LambdaFunction")
        for outcome in ("Succeeded", "Failed", "TimedOut")
    },
    "ParallelStateStarted": _parallel_started,
    "ParallelStateSucceeded": _changes_nothing,
    "ParallelStateFailed": _children_failed,
    "EvaluationFailed": _advances,
    "MapStateStarted": _map_started,
    "MapStateSucceeded": _changes_nothing,
    "MapStateFailed": _children_failed,
    "MapRunStarted": _map_run_started,
    "MapRunSucceeded": _map_run_succeeded,
    "MapRunFailed": _map_run_failed,
    "MapIterationStarted": _iteration_started,
    "MapIterationSucceeded": _advances,
    "MapIterationFailed": _changes_nothing,
    "MapIterationAborted": _changes_nothing,
    **{f"{kind}StateAborted": _changes_nothing for kind in ("Task", "Wait", "Parallel", "Map")},
}
EVENT_TYPES: Final = frozenset(_EVOLVE)


def running_tasks(execution: Execution) -> Iterator[Frame]:
    """The frames whose tasks a restarted shell must carry out again, oldest task first."""
    return (frame for frame in list(execution.tasks.values()) if is_carried_out(frame))
