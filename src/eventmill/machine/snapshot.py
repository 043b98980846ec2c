"""An execution written as bytes, and read again: what its history came to, without the history.

A snapshot says no more than the events it stands for, so it can be thrown away at any time. It
leaves out what is given anew (the identity, the definition), what a decision brings along (its
instant, what is to be cancelled) and what is only a cache (the items of a Map, outdated timers).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import msgspec

from eventmill.asl.syntax import Map, Parallel, State, StateMachine
from eventmill.machine.execution import (
    ROOT,
    Execution,
    Frame,
    Identity,
    MapRun,
    RunningTask,
    Variable,
)
from eventmill.model import AWS_QUOTAS, Failure, Payload, Quotas, encode_json

# Raise it whenever a field here or in `execution.py` changes, or what `evolve` makes of one:
# snapshots of other layouts are passed over, and the history is folded instead.
LAYOUT: Final = 1

_NONE: Final = -1  # in place of a text's number: an iteration without a result


class _Task(msgspec.Struct, array_like=True):
    id: int
    parameters: int
    started: bool
    deadline_ms: int | None
    heartbeat_ms: int | None
    heartbeat_due_ms: int | None


class _MapRun(msgspec.Struct, array_like=True):
    id: int
    arn: str
    settings: int


class _Frame(msgspec.Struct, array_like=True):
    id: int
    parent: int | None
    index: int
    next: str | None
    state: str | None
    data: int
    entered_id: int
    before_id: int
    entered_ms: int
    last_id: int
    retries: dict[int, int]
    retry_count: int
    due_ms: int | None
    retrying: bool
    task: _Task | None
    map_run: _MapRun | None
    variables: dict[str, int]
    results: list[int]
    length: int


class _Execution(msgspec.Struct, array_like=True):
    quotas: dict[str, int]  # that are not AWS's
    status: str
    sequence: int
    start_ms: int
    stop_ms: int | None
    input: int
    output: int | None
    failure: tuple[str | None, str | None] | None
    role_arn: str
    seed: int
    deadline_ms: int | None
    frames: list[_Frame]
    frames_made: int
    texts: list[bytes]  # of payloads and variables; whatever has one says its number


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Execution).decode


class _Texts:
    """JSON texts by number: one that appears often is written once."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def number(self, text: bytes) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[bytes]:
        return list(self._numbers)


def snapshot(execution: Execution) -> bytes:
    """Write an execution between two steps. The same history gives the same bytes."""
    texts = _Texts()
    output, failure = execution.output, execution.failure
    return _encode(
        _Execution(
            quotas=_unlike_aws(execution.quotas),
            status=execution.status,
            sequence=execution.sequence,
            start_ms=execution.start_ms,
            stop_ms=execution.stop_ms,
            input=texts.number(execution.input.text),
            output=None if output is None else texts.number(output.text),
            failure=None if failure is None else (failure.error, failure.cause),
            role_arn=execution.role_arn,
            seed=execution.seed,
            deadline_ms=execution.deadline_ms,
            frames=[_written(frame, texts) for frame in execution.frames.values()],
            frames_made=execution.frames_made,
            texts=texts.all(),
        )
    )


def _unlike_aws(quotas: Quotas) -> dict[str, int]:
    if quotas == AWS_QUOTAS:
        return {}
    usual = asdict(AWS_QUOTAS)
    return {name: value for name, value in asdict(quotas).items() if value != usual[name]}


def _written(frame: Frame, texts: _Texts) -> _Frame:
    task, run = frame.task, frame.map_run
    return _Frame(
        id=frame.id,
        parent=None if frame.parent is None else frame.parent.id,
        index=frame.index,
        next=frame.next,
        state=None if frame.state is None else frame.state.name,
        data=texts.number(frame.data.text),
        entered_id=frame.entered_id,
        before_id=frame.before_id,
        entered_ms=frame.entered_ms,
        last_id=frame.last_id,
        retries=frame.retries,
        retry_count=frame.retry_count,
        due_ms=frame.due_ms,
        retrying=frame.retrying,
        task=None if task is None else _written_task(task, texts),
        map_run=None
        if run is None
        else _MapRun(run.id, run.arn, texts.number(encode_json(run.settings))),
        variables={
            name: texts.number(encode_json(variable.value))
            for name, variable in frame.variables.items()
        },
        results=[
            _NONE if result is None else texts.number(result.text) for result in frame.results
        ],
        length=frame.length,
    )


def _written_task(task: RunningTask, texts: _Texts) -> _Task:
    return _Task(
        id=task.id,
        parameters=texts.number(task.parameters.text),
        started=task.started,
        deadline_ms=task.deadline_ms,
        heartbeat_ms=task.heartbeat_ms,
        heartbeat_due_ms=task.heartbeat_due_ms,
    )


def restore(identity: Identity, machine: StateMachine, body: bytes) -> Execution:
    """The execution that `snapshot` wrote under this layout, as if folded from its events.

    Raises:
        ValueError: The bytes are no snapshot, or not of an execution of this state machine.
    """
    try:
        return _restored(identity, machine, _decode(body))
    except (msgspec.MsgspecError, AssertionError, LookupError, TypeError) as error:
        raise ValueError(f"not a snapshot of such an execution: {error!r}") from error


def _restored(identity: Identity, machine: StateMachine, stored: _Execution) -> Execution:
    payloads = [Payload(text) for text in stored.texts]
    execution = Execution(identity, machine)
    execution.quotas = Quotas(**{**asdict(AWS_QUOTAS), **stored.quotas})
    execution.status = stored.status
    execution.sequence = stored.sequence
    execution.start_ms = stored.start_ms
    execution.stop_ms = stored.stop_ms
    execution.input = payloads[stored.input]
    execution.output = None if stored.output is None else payloads[stored.output]
    if stored.failure is not None:
        error, cause = stored.failure
        execution.failure = Failure(error=error, cause=cause)
    execution.role_arn = stored.role_arn
    execution.seed = stored.seed
    execution.deadline_ms = stored.deadline_ms
    execution.frames_made = stored.frames_made
    for each in stored.frames:  # those around others come first
        frame = execution.root if each.id == ROOT else _added(execution, each)
        _fill(frame, each, payloads)
    _find_again(execution)
    return execution


def _added(execution: Execution, stored: _Frame) -> Frame:
    """A new frame inside the one it belongs to."""
    assert stored.parent is not None
    parent = execution.frames[stored.parent]
    states = _states_inside(parent.state, stored.index)
    frame = Frame(stored.id, parent, stored.index, states, stored.next)
    execution.frames[frame.id] = parent.children[frame.index] = frame
    return frame


def _states_inside(around: State | None, index: int) -> Mapping[str, State]:
    if isinstance(around, Parallel):
        return around.branches[index].states
    assert isinstance(around, Map)
    return around.processor.states


def _fill(frame: Frame, stored: _Frame, payloads: Sequence[Payload]) -> None:
    frame.next = stored.next
    frame.state = None if stored.state is None else frame.states[stored.state]
    frame.data = payloads[stored.data]
    frame.entered_id = stored.entered_id
    frame.before_id = stored.before_id
    frame.entered_ms = stored.entered_ms
    frame.last_id = stored.last_id
    frame.retries = stored.retries
    frame.retry_count = stored.retry_count
    frame.due_ms = stored.due_ms
    frame.retrying = stored.retrying
    frame.task = None if stored.task is None else _task(stored.task, payloads)
    if stored.map_run is not None:
        settings = payloads[stored.map_run.settings].value
        assert isinstance(settings, dict)
        frame.map_run = MapRun(id=stored.map_run.id, arn=stored.map_run.arn, settings=settings)
    frame.variables = {
        name: Variable(value=payloads[number].value, size=len(payloads[number]))
        for name, number in stored.variables.items()
    }
    frame.results = [None if number == _NONE else payloads[number] for number in stored.results]
    frame.length = stored.length


def _task(stored: _Task, payloads: Sequence[Payload]) -> RunningTask:
    task = RunningTask(stored.id, payloads[stored.parameters])
    task.started = stored.started
    task.deadline_ms = stored.deadline_ms
    task.heartbeat_ms = stored.heartbeat_ms
    task.heartbeat_due_ms = stored.heartbeat_due_ms
    return task


def _find_again(execution: Execution) -> None:
    """Make what finds frames, or sums up what is in them."""
    frames = list(execution.frames.values())
    execution.tasks = _in_order((frame.task.id, frame) for frame in frames if frame.task)
    execution.map_runs = _in_order((frame.map_run.id, frame) for frame in frames if frame.map_run)
    execution.variable_bytes = sum(
        variable.size for frame in frames for variable in frame.variables.values()
    )
    for frame in frames:
        execution.set_timer(frame, frame.due_ms)
        if frame.task is not None:
            execution.set_timer(frame, frame.task.deadline_ms)
            execution.set_timer(frame, frame.task.heartbeat_due_ms)


def _in_order(found: Iterable[tuple[int, Frame]]) -> dict[int, Frame]:
    """Frames by event, the oldest first, as a fold meets them."""
    return dict(sorted(found, key=lambda each: each[0]))
