"""What holds for every execution, whatever its definition and whatever the world does to it."""

from typing import Any, Final

from hypothesis import given

from eventmill.machine.execution import RUNNING
from eventmill.machine.facts import StopExecution, TimeReached
from eventmill.model import Payload, Quotas, encode_json
from eventmill.runtime.replay import replay, verify
from tests.property.comparison import differences
from tests.property.definitions import Definition, definitions
from tests.property.effort import examples, patience
from tests.property.trials import IDENTITY, Happening, happenings, inputs, quotas, run, stops

pytestmark = patience

TERMINAL: Final = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)


@examples(400)
@given(definitions(), inputs, happenings, quotas, stops)
def test_an_execution_ends_or_says_what_it_waits_for_and_folds_to_itself(
    definition: Definition,
    data: Any,
    happens: list[Happening],
    quotas: Quotas,
    stop_after: int | None,
) -> None:
    trial = run(definition, data, happens, quotas, stop_after)

    assert trial.live.status != RUNNING
    folded = replay(IDENTITY, trial.machine, trial.rows)
    assert not differences(trial.live, folded)


@examples(350)
@given(definitions(), inputs, happenings, quotas, stops)
def test_a_stored_history_is_decided_again_to_the_same_bytes(
    definition: Definition,
    data: Any,
    happens: list[Happening],
    quotas: Quotas,
    stop_after: int | None,
) -> None:
    trial = run(definition, data, happens, quotas, stop_after)

    assert verify(IDENTITY, trial.machine, trial.rows) == len(trial.rows)


def variable_bytes(variables: Payload) -> int:
    """What the variables that a state assigns count for: their values, without their names."""
    assert isinstance(variables.value, dict)
    return sum(len(encode_json(value)) for value in variables.value.values())


@examples(350)
@given(definitions(), inputs, happenings, quotas, stops)
def test_a_history_is_well_formed(
    definition: Definition,
    data: Any,
    happens: list[Happening],
    quotas: Quotas,
    stop_after: int | None,
) -> None:
    trial = run(definition, data, happens, quotas, stop_after)
    events = [event for event in trial.events if event.id]

    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert len(events) <= quotas.history_events_max
    assert all(0 <= event.previous_id < event.id for event in events)
    assert events[0].type == "ExecutionStarted"
    assert [event.type for event in trial.events if event.type in TERMINAL] == [events[-1].type]
    assert trial.events[-1] is events[-1]
    for event in events:
        details = event.details or {}
        if "output" in details:
            assert len(event.payload("output")) <= quotas.payload_bytes_max, event
        if "assignedVariables" in details:
            variables = event.payload("assignedVariables")
            assert variable_bytes(variables) <= quotas.variable_bytes_max


@examples(60)
@given(definitions(), inputs, happenings)
def test_an_execution_that_has_ended_hears_nothing_more(
    definition: Definition, data: Any, happens: list[Happening]
) -> None:
    trial = run(definition, data, happens)
    stopped = StopExecution(error=None, cause=None)

    for fact in (stopped, TimeReached()):
        assert not trial.tell(fact).events
    for what in happens:
        trial.happen(what)
    assert trial.events[-1].type in TERMINAL
