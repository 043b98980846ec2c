"""InputPath: what a state works on is the part of its input that the path leads to."""

from typing import Any

import pytest

from eventmill.model import Json
from tests.unit.machine.worlds import BEGIN_MS, World

INNER: Json = {"n": 7, "wait": 5, "items": [3, 4]}
DATA: Json = {"n": 1, "wait": 1, "inner": INNER}
FUNCTION = "arn:aws:lambda:local:000000000000:function:f"

CHOICE = {
    "Type": "Choice",
    "InputPath": "$.inner",
    "Choices": [{"Variable": "$.n", "NumericEquals": 7, "Next": "End"}],
}
WAIT = {"Type": "Wait", "InputPath": "$.inner", "SecondsPath": "$.wait", "Next": "End"}
MAP = {
    "Type": "Map",
    "InputPath": "$.inner",
    "ItemsPath": "$.items",
    "ItemSelector": {"n.$": "$.n", "item.$": "$$.Map.Item.Value"},
    "ItemProcessor": {"StartAt": "Each", "States": {"Each": {"Type": "Pass", "End": True}}},
    "Next": "End",
}


@pytest.mark.parametrize(
    ("state", "output"),
    [
        ({"Type": "Pass", "InputPath": "$.inner", "Next": "End"}, INNER),
        (
            {"Type": "Pass", "InputPath": "$.inner", "Parameters": {"n.$": "$.n"}, "Next": "End"},
            {"n": 7},
        ),
        ({"Type": "Pass", "InputPath": None, "Next": "End"}, {}),
        (CHOICE, INNER),
        (WAIT, INNER),
        (MAP, [{"n": 7, "item": 3}, {"n": 7, "item": 4}]),
    ],
)
def test_a_state_works_on_what_its_input_path_leaves(state: dict[str, Any], output: Any) -> None:
    world = World({"State": state, "End": {"Type": "Succeed"}})

    assert world.run(DATA).output() == output


def test_a_wait_reads_its_seconds_where_the_input_path_leads() -> None:
    world = World({"State": WAIT, "End": {"Type": "Succeed"}}).run(DATA)

    assert world.now_ms == BEGIN_MS + 5_000


def test_a_path_that_leads_nowhere_fails_a_wait_only_when_it_is_over() -> None:
    """The seconds of the state itself need no input."""
    wait = {"Type": "Wait", "Seconds": 5, "InputPath": "$.none", "End": True}
    world = World({"State": wait}).run(DATA)

    assert world.types()[-1] == "ExecutionFailed"
    assert world.now_ms == BEGIN_MS + 5_000


def test_the_timeout_of_a_task_is_read_where_the_input_path_leads() -> None:
    task = {
        "Type": "Task",
        "Resource": FUNCTION,
        "InputPath": "$.inner",
        "TimeoutSecondsPath": "$.wait",
        "End": True,
    }
    world = World({"State": task})
    world.start(DATA)

    assert world.execution.next_due_ms() == BEGIN_MS + 5_000
