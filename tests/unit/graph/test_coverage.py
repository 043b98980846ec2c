"""Coverage: what counts of the histories that the machine writes."""

from collections.abc import Iterator
from typing import Any

import pytest

from eventmill.graph.coverage import Coverage, StateCoverage, coverage
from eventmill.machine.commands import Command, RunTask
from eventmill.machine.facts import StopExecution
from eventmill.machine.transition import outstanding
from eventmill.model import Json
from tests.unit.graph.machines import choice, task
from tests.unit.machine.worlds import Refusal, World

Answers = Iterator["Json | Exception"]
ONCE = StateCoverage(entered=1, succeeded=1)


def covered(world: World) -> Coverage:
    return coverage(world.events)


def statuses(found: Coverage) -> dict[str, str]:
    return {name: runs.status for name, runs in found.states.items()}


def refuse(command: RunTask) -> Exception:
    return Refusal("Broken")


def test_states_in_a_row() -> None:
    world = World({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}).run()

    assert covered(world) == Coverage(
        states={"A": ONCE, "B": ONCE},
        taken={(None, "A", False): 1, ("A", "B", False): 1, ("B", None, False): 1},
    )


def test_a_loop_counts_every_entry() -> None:
    states = {
        "Draw": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "If"},
        "If": choice(default="Draw")
        | {"Choices": [{"Variable": "$.n", "NumericEquals": 3, "Next": "Out"}]},
        "Out": {"Type": "Succeed"},
    }
    found = covered(World(states).run({"n": 0}))

    assert found.of("Draw") == StateCoverage(entered=3, succeeded=3)
    assert found.taken["If", "Draw", False] == 2
    assert found.taken["If", "Out", False] == 1


def test_a_state_that_was_not_reached() -> None:
    states = {"If": choice("No", default="Out"), "No": task("Out"), "Out": {"Type": "Succeed"}}
    found = covered(World(states).run({"n": 9}))

    assert statuses(found) == {"If": "succeeded", "Out": "succeeded"}
    assert found.of("No") == StateCoverage()
    assert found.of("No").status == "unreached"


def test_a_retry_that_helps() -> None:
    answers: Answers = iter([Refusal("Busy"), Refusal("Busy"), {"fine": True}])
    state = task() | {"Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 2}]}
    found = covered(World({"A": state}).run(script=lambda command: next(answers)))

    assert found.of("A") == StateCoverage(entered=1, succeeded=1, retries=2)
    assert statuses(found) == {"A": "retried"}


def test_a_retry_that_does_not_help() -> None:
    state = task() | {"Retry": [{"ErrorEquals": ["Broken"], "MaxAttempts": 1}]}
    found = covered(World({"A": state}).run(script=refuse))

    assert found.of("A") == StateCoverage(entered=1, failed=1, retries=1)


def test_an_error_that_is_caught_takes_the_way_of_the_catcher() -> None:
    states = {"A": task("B", catch="B"), "B": {"Type": "Succeed"}}
    found = covered(World(states).run(script=refuse))

    assert statuses(found) == {"A": "caught", "B": "succeeded"}
    assert found.taken == {(None, "A", False): 1, ("A", "B", True): 1, ("B", None, False): 1}


def test_a_fail_state_fails() -> None:
    found = covered(World({"A": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail"}}).run())

    assert statuses(found) == {"A": "succeeded", "F": "failed"}
    assert ("F", None, False) not in found.taken


def test_an_error_without_an_event_of_its_own_fails_its_state() -> None:
    inner = {"StartAt": "If", "States": {"If": choice("No"), "No": {"Type": "Succeed"}}}
    states = {"Each": {"Type": "Map", "ItemProcessor": inner, "End": True}}
    found = covered(World(states).run([{"n": 7}]))

    assert statuses(found) == {"Each": "failed", "If": "failed"}


def branches(*states: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"StartAt": f"b{index}", "States": {f"b{index}": state}}
        for index, state in enumerate(states)
    ]


@pytest.mark.parametrize("kind", ["task", "fail state"])
def test_a_branch_that_fails_cuts_off_the_others(kind: str) -> None:
    bad = task() if kind == "task" else {"Type": "Fail"}
    both = {
        "Type": "Parallel",
        "Branches": branches({"Type": "Wait", "Seconds": 9, "End": True}, bad),
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}],
        "Next": "Z",
    }
    found = covered(World({"Both": both, "Z": {"Type": "Succeed"}}).run(script=refuse))

    assert statuses(found) == {
        "Both": "caught", "b0": "aborted", "b1": "failed", "Z": "succeeded"
    }  # fmt: skip


def test_a_parallel_that_is_tried_again_counts_its_branches_twice() -> None:
    answers: Answers = iter([Refusal("Busy"), {}])
    both = {
        "Type": "Parallel",
        "Branches": branches(task(), {"Type": "Pass", "End": True}),
        "Retry": [{"ErrorEquals": ["Busy"]}],
        "End": True,
    }
    found = covered(World({"Both": both}).run(script=lambda command: next(answers)))

    assert found.of("Both") == StateCoverage(entered=1, succeeded=1, retries=1)
    assert found.of("b0") == StateCoverage(entered=2, succeeded=1, failed=1)
    assert found.of("b1") == StateCoverage(entered=2, succeeded=2)


def test_iterations_of_a_map_count_together() -> None:
    inner = {"StartAt": "One", "States": {"One": task("Two"), "Two": {"Type": "Pass", "End": True}}}
    states = {"Each": {"Type": "Map", "ItemProcessor": inner, "End": True}}
    found = covered(World(states).run([1, 2, 3], script=lambda command: {}))

    assert found.of("Each") == ONCE
    assert found.of("One") == found.of("Two") == StateCoverage(entered=3, succeeded=3)
    assert found.taken["One", "Two", False] == 3
    assert not any(key[:2] == ("Two", "One") for key in found.taken)


def test_the_iteration_that_fails_is_told_from_those_it_cuts_off() -> None:
    inner = {"StartAt": "One", "States": {"One": task()}}
    states = {"Each": {"Type": "Map", "ItemProcessor": inner, "End": True}}
    found = covered(World(states).run([1, 2, 3], script=refuse))

    assert found.of("One") == StateCoverage(entered=3, failed=1, aborted=2)
    assert found.of("Each") == StateCoverage(entered=1, failed=1)


def test_what_runs_is_running_until_it_is_stopped() -> None:
    inner = {"StartAt": "One", "States": {"One": task()}}
    states = {"Each": {"Type": "Map", "ItemProcessor": inner, "End": True}}
    world = World(states)
    world.start([1, 2])
    world.answer(_first_task(world), lambda command: {})

    assert statuses(covered(world)) == {"Each": "running", "One": "running"}
    assert covered(world).of("One") == StateCoverage(entered=2, succeeded=1)

    world.tell(StopExecution(error=None, cause=None))
    assert covered(world).of("One") == StateCoverage(entered=2, succeeded=1, aborted=1)
    assert statuses(covered(world)) == {"Each": "aborted", "One": "aborted"}


def _first_task(world: World) -> Command:
    return outstanding(world.execution)[0]


def test_a_retry_that_waits_is_running() -> None:
    state = task() | {"Retry": [{"ErrorEquals": ["Broken"]}]}
    world = World({"A": state})
    world.start()
    world.answer(_first_task(world), refuse)

    assert covered(world).of("A") == StateCoverage(entered=1, retries=1)
    assert statuses(covered(world)) == {"A": "running"}
