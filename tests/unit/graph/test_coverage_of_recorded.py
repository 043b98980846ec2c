"""Coverage of the recorded cases: its numbers add up to those of the histories."""

from collections import Counter

import pytest

from eventmill.errors import InvalidDefinition
from eventmill.graph.coverage import coverage
from eventmill.machine.execution import RUNNING
from eventmill.machine.history import HistoryEvent
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case, World, cases


def ended(case: Case) -> World | None:
    """The case once it has ended; None if it cannot be run, or waits for somebody outside."""
    try:
        world = World(case)
        world.run()
    except InvalidDefinition:
        return None
    return None if world.execution.status == RUNNING else world


def count(events: list[HistoryEvent], ending: str) -> Counter[str]:
    return Counter(event.text("name") for event in events if event.type.endswith(ending))


def problems(world: World) -> list[str]:
    found, status = coverage(world.events), world.execution.status
    entered, exited = (count(world.events, f"State{each}") for each in ("Entered", "Exited"))
    wrong = [
        f"{name}: {runs}"
        for name, runs in found.states.items()
        if runs.running
        or runs.entered != entered[name]
        or runs.succeeded + runs.caught != exited[name]
    ]
    if set(found.states) != set(entered):
        wrong.append("not the states that were entered")
    if status == "SUCCEEDED" and not any(target is None for _, target, _ in found.taken):
        wrong.append("it never ended")
    if status == "FAILED" and not any(runs.failed for runs in found.states.values()):
        wrong.append("nothing failed")
    return wrong


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT_REASON)
def test_the_numbers_of_every_recorded_case_add_up() -> None:
    worlds = {
        case["id"]: world
        for path in sorted(FOLDER.glob("*.jsonl"))
        for case in cases(path.stem)
        if "definition" in case and "handlers" in case and (world := ended(case)) is not None
    }

    assert len(worlds) > 500
    assert {id: found for id, world in worlds.items() if (found := problems(world))} == {}
