"""Replay: an execution at any event of its history, and the proof that each step follows.

Needs no server: the steps and the definition are enough.
"""

from collections.abc import Sequence

from eventmill.asl.syntax import StateMachine
from eventmill.codec import decode_step, spell_out
from eventmill.errors import ReplayMismatch
from eventmill.machine.execution import Execution, Identity, evolve
from eventmill.machine.history import HistoryEvent
from eventmill.machine.snapshot import LAYOUT, snapshot
from eventmill.machine.transition import advance
from eventmill.rows import Snapshot, StepRow


def history(rows: Sequence[StepRow]) -> list[HistoryEvent]:
    """The events of these steps as AWS has them: without the internal ones.

    Raises:
        ValueError: A step cannot be read.
    """
    return [
        event for row in rows for event in decode_step(row.body, row.payloads).events if event.id
    ]


def replay(
    identity: Identity,
    machine: StateMachine,
    rows: Sequence[StepRow],
    until_event: int | None = None,
) -> Execution:
    """The execution as it stood right after event `until_event`, or as it stands.

    Raises:
        ValueError: A step cannot be read.
    """
    execution = Execution(identity, machine)
    for row in rows:
        for event in decode_step(row.body, row.payloads).events:
            if until_event is not None and max(event.id, execution.sequence) > until_event:
                return execution
            try:
                evolve(execution, event)
            except (AssertionError, LookupError, TypeError) as error:
                # Bytes that somebody has changed may say anything.
                raise ValueError(f"step {row.step} does not fit the steps before it") from error
    return execution


def verify(identity: Identity, machine: StateMachine, rows: Sequence[StepRow]) -> int:
    """Decide every recorded step again and compare it byte for byte; return how many there are.

    They are compared with all their payloads in them, wherever the log keeps these.

    Raises:
        ReplayMismatch: A step does not follow from the facts and the definition.
        ValueError: A step cannot be read.
    """
    execution = Execution(identity, machine)
    for row in rows:
        recorded = decode_step(row.body, row.payloads)
        stored = row.body
        if row.payloads:
            stored = spell_out(recorded.at_ms, recorded.fact, recorded.events)
        step = advance(execution, recorded.fact, recorded.at_ms)
        computed = spell_out(recorded.at_ms, step.fact, step.events)
        if computed != stored:
            raise ReplayMismatch(row.step, stored, computed)
    return len(rows)


def snapshot_holds(
    identity: Identity, machine: StateMachine, rows: Sequence[StepRow], stored: Snapshot
) -> bool:
    """Whether a snapshot is, byte for byte, what the steps up to its own come to.

    One of another layout is never read, so there is nothing wrong with it.

    Raises:
        ValueError: A step cannot be read.
    """
    if stored.layout != LAYOUT:
        return True
    before = rows[: stored.step]
    return len(before) == stored.step and snapshot(replay(identity, machine, before)) == stored.body
