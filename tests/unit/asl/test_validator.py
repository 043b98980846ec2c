from typing import Any

import pytest

from eventmill.asl.report import Report
from eventmill.asl.validator import validate

END: dict[str, Any] = {"Type": "Pass", "End": True}
MISSING = "MISSING_TRANSITION_TARGET"


def to(target: str) -> dict[str, Any]:
    return {"Type": "Pass", "Next": target}


def scope(states: dict[str, Any], start_at: str = "A") -> dict[str, Any]:
    return {"StartAt": start_at, "States": states}


def found(document: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    report = Report()
    validate(document, report)
    return [(each.code, each.location, each.message) for each in report.errors]


def test_states_that_hang_together_are_silent() -> None:
    choice = {"Type": "Choice", "Choices": [{"Next": "B"}, {"Next": "C"}], "Default": "D"}
    task = {"Type": "Task", "Catch": [{"Next": "E"}], "Next": "A"}

    assert found(scope({"A": choice, "B": END, "C": task, "D": END, "E": {"Type": "Fail"}})) == []


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (to("NOPE"), "/Next"),
        ({"Type": "Choice", "Choices": [{"Next": "Z"}, {"Next": "NOPE"}]}, "/Choices[1]/Next"),
        ({"Type": "Choice", "Choices": [{"Next": "Z"}], "Default": "NOPE"}, "/Default"),
        ({"Type": "Task", "Catch": [{"Next": "NOPE"}], "End": True}, "/Catch[0]/Next"),
    ],
)
def test_a_target_must_exist_whatever_field_names_it(state: dict[str, Any], place: str) -> None:
    expected = (MISSING, f"/States/A{place}", "Missing 'Next' target: NOPE")

    assert found(scope({"A": state, "Z": {"Type": "Succeed"}}))[0] == expected


def test_a_branch_cannot_leave_itself() -> None:
    inner = scope({"B": to("Z")}, "B")
    document = scope({"A": {"Type": "Parallel", "Branches": [inner], "Next": "Z"}, "Z": END})

    assert found(document) == [
        (MISSING, "/States/A/Branches[0]/States/B/Next", "Missing 'Next' target: Z")
    ]


def test_a_start_that_does_not_exist_leaves_every_state_unreached() -> None:
    assert found(scope({"A": END}, "NOPE")) == [
        (MISSING, "/StartAt", "Missing 'Next' target: NOPE"),
        (MISSING, "/States/A", 'State "A" is not reachable.'),
    ]


def test_an_unreached_state_is_named_wherever_it_is() -> None:
    inner = scope({"B": END, "a/b": END}, "B")
    other = scope({"C": END, "D": to("D")}, "C")
    document = scope(
        {
            "A": {"Type": "Map", "ItemProcessor": inner, "Next": "P"},
            "P": {"Type": "Parallel", "Branches": [other], "End": True},
            "U": to("A"),
        }
    )

    assert found(document) == [
        (MISSING, "/States/U", 'State "U" is not reachable.'),
        (MISSING, "/States/A/ItemProcessor/States/a/b", 'State "a/b" is not reachable.'),
        (MISSING, "/States/P/Branches[0]/States/D", 'State "D" is not reachable.'),
    ]


def test_a_missing_end_comes_after_targets_and_instead_of_unreached_states() -> None:
    assert found(scope({"A": to("B"), "B": to("NOPE"), "U": to("A")})) == [
        (MISSING, "/States/B/Next", "Missing 'Next' target: NOPE"),
        ("MISSING_END_STATE", None, "Workflow has no terminal state"),
    ]


def test_only_the_machine_itself_needs_an_end() -> None:
    loop = scope({"B": to("C"), "C": to("B")}, "B")

    assert found(scope({"A": {"Type": "Map", "Iterator": loop, "End": True}})) == []


def test_a_name_is_unique_in_the_whole_machine_and_the_later_one_is_blamed() -> None:
    first, second = scope({"B": END}, "B"), scope({"B": END, "A": END}, "B")
    second["States"]["B"] = to("A")
    document = scope({"A": {"Type": "Parallel", "Branches": [first, second], "End": True}})

    assert found(document) == [
        ("DUPLICATE_STATE_NAME", "/States/A/Branches[1]/States/B", "Duplicate State name: B"),
        ("DUPLICATE_STATE_NAME", "/States/A/Branches[1]/States/A", "Duplicate State name: A"),
    ]


def test_a_name_has_up_to_eighty_characters() -> None:
    assert found(scope({"é" * 80: END}, "é" * 80)) == []
    for name in ("é" * 81, ""):
        [(code, location, _)] = found(scope({name: END}, name))
        assert (code, location) == ("INVALID_STATE_NAME", f"/States/{name}")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"States": 1},
        {"States": {"A": 1}, "StartAt": 1},
        {"States": {"A": {"Type": [], "Next": [], "Choices": 1, "Catch": [1], "Default": {}}}},
        {"States": {"A": {"Type": "Parallel", "Branches": [1, {"States": []}]}}},
        {"States": {"A": {"Type": "Map", "ItemProcessor": []}}},
    ],
)
def test_a_document_of_any_shape_can_be_looked_at(document: dict[str, Any]) -> None:
    assert {code for code, _, _ in found(document)} <= {"MISSING_END_STATE"}
