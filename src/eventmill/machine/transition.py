"""The state machine: a fact goes in, history events and commands come out.

Rule 1: no I/O, no clock, no randomness, no `await` in this package. Rule 2: it does not know where
events are stored or who runs a task. What it decides becomes true only through `evolve`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final, TypeAlias

from eventmill.asl.error_names import RUNTIME, TIMEOUT
from eventmill.asl.syntax import Choice, Fail, Map, Parallel, Pass, Succeed, Task, Wait
from eventmill.machine import facts, failing
from eventmill.machine.commands import CancelMap, CancelTask, Command
from eventmill.machine.decision import Decision, HistoryIsFull
from eventmill.machine.execution import RUNNING, Execution, Frame, is_late, running_tasks
from eventmill.machine.facts import Fact, TaskFact
from eventmill.machine.history import HEARTBEAT_RECEIVED, Details, HistoryEvent
from eventmill.machine.states import (
    choice,
    distributed_map,
    fail,
    map_,
    parallel,
    pass_,
    succeed,
    task,
    wait,
)
from eventmill.model import AWS_QUOTAS, Failure, Json, Payload
from eventmill.record import record


@record
class Step:
    """What one fact led to. A fact that was no news leads to no events."""

    fact: Fact
    at_ms: int
    events: tuple[HistoryEvent, ...]
    commands: tuple[Command, ...]


_Act: TypeAlias = Callable[[Decision, Frame, Any], None]

_ATTEMPT: Final[Mapping[type, _Act]] = {
    Task: task.schedule,
    Parallel: parallel.begin,
    Map: map_.begin,
}
_ENTER: Final[Mapping[type, _Act]] = {
    **_ATTEMPT,
    Pass: pass_.enter,
    Choice: choice.enter,
    Wait: wait.enter,
    Succeed: succeed.enter,
    Fail: fail.enter,
}
# What time brings: the next attempt after a retry's delay, or the end of a Wait.
_WAKE: Final[Mapping[type, _Act]] = {**_ATTEMPT, Wait: wait.over}


def advance(execution: Execution, fact: Fact, now_ms: int) -> Step:
    """Absorb one outside fact and all that follows from it without waiting.

    Deterministic: the same execution, fact and instant give the same step, so the recorded facts
    prove a history. Runnable states wait in a queue, so branches advance breadth first, one state
    each in turn, as the service does it.
    """
    execution.now_ms = now_ms
    fact = _as_recorded(execution, fact, now_ms)
    decision = Decision(execution, now_ms)
    try:
        _absorb(decision, fact)
        _run(decision)
    except HistoryIsFull:
        _end_full_history(decision)
    commands = tuple(_commands(execution, decision.events))
    return Step(fact=fact, at_ms=now_ms, events=tuple(decision.events), commands=commands)


def outstanding(execution: Execution) -> list[Command]:
    """What a restarted shell must do again: every command without a recorded answer."""
    runs = [distributed_map.run_map(execution, frame) for frame in execution.map_runs.values()]
    return [*(task.run_task(execution, frame) for frame in running_tasks(execution)), *runs]


def _as_recorded(execution: Execution, fact: Fact, now_ms: int) -> Fact:
    """The fact as it counts: an answer may come too late, or be too large to be kept."""
    if not isinstance(fact, TaskFact):
        return fact
    frame = execution.tasks.get(fact.task)
    if frame is not None and is_late(frame, now_ms):
        return facts.TimeReached()
    if isinstance(fact, (facts.TaskSucceeded, facts.TaskSubmitted)):
        size = len(fact.output)
        if size > execution.quotas.payload_bytes_max:
            return facts.TaskOversized(task=fact.task, bytes=size)
    return fact


def _absorb(decision: Decision, fact: Fact) -> None:
    execution = decision.execution
    if isinstance(fact, facts.StartExecution):
        _start(decision, fact)
    elif execution.status != RUNNING:
        return
    elif isinstance(fact, TaskFact):
        if fact.task in execution.tasks:
            _task_reported(decision, execution.tasks[fact.task], fact)
    elif isinstance(fact, facts.StopExecution):
        failing.end(decision, "ExecutionAborted", Failure(error=fact.error, cause=fact.cause), 0)
    elif isinstance(fact, facts.TimeReached):
        _time_reached(decision)
    elif fact.map_run in execution.map_runs:
        _map_run_ended(decision, execution.map_runs[fact.map_run], fact)


def _start(decision: Decision, fact: facts.StartExecution) -> None:
    execution = decision.execution
    assert execution.status == "", "an execution starts once"
    internal: dict[str, Json] = {"seed": fact.seed}
    if fact.quotas != AWS_QUOTAS:
        internal["quotas"] = asdict(fact.quotas)
    details: Details = {"input": fact.input, "roleArn": fact.role_arn}
    decision.emit(execution.root, "ExecutionStarted", details, internal=internal)
    decision.runnable.append((execution.root, fact.input))


def _task_reported(decision: Decision, frame: Frame, fact: TaskFact) -> None:
    match fact:
        case facts.TaskStarted():
            task.started(decision, frame)
        case facts.TaskSubmitted():
            task.submitted(decision, frame, fact.output)
        case facts.TaskSucceeded():
            failing.attempt(decision, frame, lambda: task.succeeded(decision, frame, fact.output))
        case facts.TaskOversized():
            task.failed(decision, frame, task.too_large_result(frame))
        case facts.TaskFailed():
            task.failed(decision, frame, Failure(error=fact.error, cause=fact.cause))
        case facts.TaskHeartbeat():
            decision.note(frame, HEARTBEAT_RECEIVED, None)


def _map_run_ended(
    decision: Decision, frame: Frame, fact: facts.MapRunSucceeded | facts.MapRunFailed
) -> None:
    if isinstance(fact, facts.MapRunSucceeded):
        succeed = partial(distributed_map.succeeded, decision, frame, fact.output)
        failing.attempt(decision, frame, succeed)
    else:
        distributed_map.failed(decision, frame, Failure(error=fact.error, cause=fact.cause))


def _time_reached(decision: Decision) -> None:
    execution = decision.execution
    if execution.deadline_ms is not None and execution.deadline_ms <= decision.now_ms:
        failing.end(decision, "ExecutionTimedOut", Failure(error=TIMEOUT), 0)
        return
    due = execution.due_frames(decision.now_ms)
    # All that timed out is written down before any of it has consequences.
    timed_out = [(frame, task.timed_out(decision, frame)) for frame in due if frame.task]
    for frame, failure in timed_out:
        if decision.is_live(frame):
            failing.fail(decision, frame, failure)
            _settle(decision)
    for frame in due:
        # A task that has just timed out may have a retry scheduled, for later.
        is_due = frame.due_ms is not None and frame.due_ms <= decision.now_ms
        if is_due and decision.is_live(frame):
            wake = _WAKE[type(frame.state)]
            failing.attempt(decision, frame, partial(wake, decision, frame, frame.state))
            _settle(decision)


def _run(decision: Decision) -> None:
    """Enter states until nothing is runnable; a frame that ends tells its parent at once."""
    _settle(decision)
    while decision.runnable:
        frame, data = decision.runnable.popleft()
        if decision.is_live(frame):
            _enter(decision, frame, data)
            _settle(decision)


def _settle(decision: Decision) -> None:
    while decision.finished:
        _frame_finished(decision, decision.finished.popleft())


def _enter(decision: Decision, frame: Frame, data: Payload) -> None:
    assert frame.next is not None
    state = frame.states[frame.next]
    kind = type(state)
    decision.emit(frame, f"{kind.__name__}StateEntered", {"name": state.name, "input": data})
    failing.attempt(decision, frame, lambda: _ENTER[kind](decision, frame, state))


def _frame_finished(decision: Decision, child: Frame) -> None:
    parent = child.parent
    if parent is None:
        decision.emit(child, "ExecutionSucceeded", {"output": child.data})
    elif isinstance(parent.state, Parallel):
        failing.attempt(decision, parent, lambda: parallel.branch_finished(decision, parent))
    else:
        failing.attempt(decision, parent, lambda: map_.iteration_finished(decision, parent, child))


def _end_full_history(decision: Decision) -> None:
    """Event number `history_events_max` is the end, whatever was about to be written."""
    quota = decision.execution.quotas.history_events_max
    cause = f"The execution reached the maximum number of history events ({quota})."
    failure = Failure(error=RUNTIME, cause=cause)
    failing.end(decision, "ExecutionFailed", failure, decision.execution.sequence)


def _commands(execution: Execution, events: list[HistoryEvent]) -> list[Command]:
    commands: list[Command] = []
    if execution.abandoned or execution.abandoned_runs:
        commands += [CancelTask(task=id) for id in execution.abandoned]
        commands += [CancelMap(map_run=id) for id in execution.abandoned_runs]
        execution.abandoned.clear()
        execution.abandoned_runs.clear()
    for event in events:
        if event.type in task.SCHEDULED and event.id in execution.tasks:
            commands.append(task.run_task(execution, execution.tasks[event.id]))
        elif event.type == "MapRunStarted" and event.id in execution.map_runs:
            commands.append(distributed_map.run_map(execution, execution.map_runs[event.id]))
    return commands
