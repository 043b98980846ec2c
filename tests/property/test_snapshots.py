"""A snapshot says of an execution all that its events say, wherever they are cut."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventmill.codec import decode_step, spell_out
from eventmill.machine.commands import RunTask
from eventmill.machine.execution import Execution, fold
from eventmill.machine.snapshot import restore, snapshot
from eventmill.machine.transition import advance, outstanding
from eventmill.model import Quotas
from eventmill.runtime.replay import replay
from tests.property.comparison import differences
from tests.property.definitions import Definition, definitions
from tests.property.effort import examples, patience
from tests.property.trials import IDENTITY, Happening, Trial, happenings, inputs, quotas, run, stops

pytestmark = patience

cuts = st.integers(0, 1_000)


def restored(trial: Trial, execution: Execution) -> Execution:
    """The same execution, from its snapshot, which nothing may be lost in."""
    again = restore(IDENTITY, trial.machine, snapshot(execution))
    assert not differences(again, execution)
    assert snapshot(again) == snapshot(execution)
    assert again.due_frames(2**62) == [
        again.frames[each.id] for each in execution.due_frames(2**62)
    ]
    assert list(again.frames) == list(execution.frames)
    assert list(again.tasks) == list(execution.tasks)
    return again


def tasks_asked_for(execution: Execution) -> list[RunTask]:
    return [each for each in outstanding(execution) if isinstance(each, RunTask)]


@examples(250)
@given(definitions(), inputs, happenings, quotas, stops, cuts)
def test_after_any_step_an_execution_decides_on_from_its_snapshot(
    definition: Definition,
    data: Any,
    happens: list[Happening],
    quotas: Quotas,
    stop_after: int | None,
    cut: int,
) -> None:
    trial = run(definition, data, happens, quotas, stop_after)
    first = cut % (len(trial.rows) + 1)
    folded = replay(IDENTITY, trial.machine, trial.rows[:first])
    again = restored(trial, folded)
    assert tasks_asked_for(again) == tasks_asked_for(folded)

    for row in trial.rows[first:]:
        recorded = decode_step(row.body, row.payloads)
        step = advance(again, recorded.fact, recorded.at_ms)
        decided = spell_out(recorded.at_ms, step.fact, step.events)
        assert decided == spell_out(recorded.at_ms, recorded.fact, recorded.events)
        fold(folded, recorded.events)
        assert snapshot(again) == snapshot(folded)
    assert not differences(again, trial.live)


@examples(150)
@given(definitions(), inputs, happenings, quotas, cuts)
def test_after_any_event_an_execution_is_folded_on_from_its_snapshot(
    definition: Definition, data: Any, happens: list[Happening], quotas: Quotas, cut: int
) -> None:
    trial = run(definition, data, happens, quotas)
    events = [event for row in trial.rows for event in decode_step(row.body, row.payloads).events]
    at = cut % (len(events) + 1)
    execution = restored(trial, fold(Execution(IDENTITY, trial.machine), events[:at]))

    for further in range(at, len(events)):
        fold(execution, events[further : further + 1])
        if further % 7 == at % 7:
            execution = restored(trial, execution)
    assert not differences(execution, trial.live)
