"""The geometry of drawings: rules for any machine, and what particular ones look like."""

import json
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from eventmill.graph.drawing import Box, Drawing, Line
from eventmill.graph.layout import layout
from eventmill.graph.outline import outline
from tests.unit.graph.geometry import mistakes
from tests.unit.graph.machines import Definition, choice, machines, row, task

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("EVENTMILL_CONFORMANCE", ROOT.parent / "shared" / "conformance"))


def drawn(document: Definition) -> Drawing:
    return layout(outline(document))


def box(drawing: Drawing, name: str) -> Box:
    return next(each for each in drawing.boxes if each.name == name)


def line(drawing: Drawing, source: str, target: str) -> Line:
    return next(
        each
        for each in drawing.lines
        if drawing.boxes[each.source].name == source and drawing.boxes[each.target].name == target
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(machines())
def test_nothing_overlaps_and_no_line_runs_through_a_box(document: Definition) -> None:
    assert mistakes(drawn(document)) == []


def recorded_definitions() -> Iterator[Definition]:
    """Every definition of the recorded cases, once."""
    seen = set()
    for path in sorted(FOLDER.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for text in lines:
                definition = json.loads(text).get("definition")
                key = json.dumps(definition)
                if isinstance(definition, dict) and key not in seen:
                    seen.add(key)
                    yield definition


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded cases in {FOLDER}")
def test_every_recorded_definition_is_drawn_without_overlap() -> None:
    wrong = [
        (definition, found)
        for definition in recorded_definitions()
        if (found := mistakes(drawn(definition)))
    ]

    assert wrong == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("workflows/*.asl.json")), ids=lambda p: p.name)
def test_every_workflow_of_the_project_is_drawn_without_overlap(path: Path) -> None:
    assert mistakes(drawn(json.loads(path.read_text(encoding="utf-8")))) == []


@given(machines())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_machine_is_always_drawn_the_same(document: Definition) -> None:
    assert drawn(document) == drawn(json.loads(json.dumps(document)))


def test_states_in_a_row_stand_below_each_other() -> None:
    drawing = drawn(row(5))

    assert [each.type for each in drawing.boxes] == ["Start", *["Pass"] * 5, "End"]
    assert len({each.place.centre_x for each in drawing.boxes}) == 1
    assert [each.place.y for each in drawing.boxes] == sorted(
        each.place.y for each in drawing.boxes
    )
    assert all(len({x for x, _ in each.points}) == 1 for each in drawing.lines)


def test_a_catch_leaves_the_main_way_straight_and_runs_straight_itself() -> None:
    states = {
        "A": task("B", catch="Bad"),
        "B": task("C", catch="Bad"),
        "C": task("D"),
        "D": task(),
        "Bad": {"Type": "Fail"},
    }
    drawing = drawn({"StartAt": "A", "States": states})

    main = {box(drawing, name).place.centre_x for name in "ABCD"}
    assert len(main) == 1
    caught = line(drawing, "A", "Bad")
    assert caught.label is not None
    assert caught.label.lines == ("any error",)
    assert {x for x, _ in caught.points[2:-1]} == {caught.label.place.centre_x}


def test_branches_of_a_choice_stand_on_both_sides_of_it() -> None:
    states = {"If": choice("Yes", default="No"), "Yes": task(), "No": task()}
    drawing = drawn({"StartAt": "If", "States": states})

    middle = box(drawing, "If").place.centre_x
    sides = [box(drawing, name).place.centre_x for name in ("Yes", "No")]
    assert sum(sides) / 2 == pytest.approx(middle)
    assert sides[0] < middle < sides[1]


def test_a_way_back_runs_around_and_comes_in_from_above() -> None:
    states = {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "If"},
        "If": choice("Wait", default="End"),
        "End": task(),
    }
    drawing = drawn({"StartAt": "Wait", "States": states})

    back = line(drawing, "If", "Wait")
    first, last = box(drawing, "If").place, box(drawing, "Wait").place
    assert back.points[0][1] == first.bottom
    assert back.points[-1][1] == last.y
    beyond = [
        x for x, _ in back.points if not min(first.x, last.x) < x < max(first.right, last.right)
    ]
    assert len(beyond) == 2, "the way up lies beside both boxes"


def test_ways_back_from_one_state_do_not_cross() -> None:
    states = {
        "A": task("B"),
        "B": task("C"),
        "C": task("If"),
        "If": choice("A", "B", "C", default="Out"),
        "Out": task(),
    }
    drawing = drawn({"StartAt": "A", "States": states})

    backs = [line(drawing, "If", name) for name in "ABC"]
    uprights = [[(p, q) for p, q in pairwise(b.points) if p[0] == q[0]] for b in backs]
    levels = [[(p, q) for p, q in pairwise(b.points) if p[1] == q[1]] for b in backs]
    crossings = [
        (one, other)
        for one in range(3)
        for other in range(3)
        if one != other
        for (x, y1), (_, y2) in uprights[one]
        for (x1, y), (x2, _) in levels[other]
        if min(x1, x2) < x < max(x1, x2) and min(y1, y2) < y < max(y1, y2)
    ]
    assert crossings == []


def test_states_are_put_in_the_order_in_which_no_lines_cross() -> None:
    states = {
        "If": choice("A", default="B"),
        "A": choice("Both", default="Alone"),
        "B": task("Both"),
        "Both": task(),
        "Alone": {"Type": "Succeed"},
    }
    drawing = drawn({"StartAt": "If", "States": states})

    a, b, both, alone = (box(drawing, name).place.centre_x for name in ("A", "B", "Both", "Alone"))
    assert (a < b) == (alone < both)


def test_catches_with_the_same_target_join_in_one_straight_line() -> None:
    names = [f"s{index}" for index in range(6)]
    states = {
        name: task(after, catch="Bad")
        for name, after in zip(names, [*names[1:], None], strict=True)
    }
    drawing = drawn({"StartAt": "s0", "States": {**states, "Bad": {"Type": "Fail"}}})

    caught = [line(drawing, name, "Bad") for name in names[:-1]]
    joined = [set(each.points[-3:-1]) for each in caught]
    assert len(set.union(*joined)) == 2, "all take the same last stretch"
    longest = {x for x, _ in caught[0].points[3:-1]}
    assert len(longest) == 1


def test_a_state_that_leads_to_itself_has_a_loop_at_its_side() -> None:
    states = {"Try": choice("Try", default="Out"), "Out": task()}
    drawing = drawn({"StartAt": "Try", "States": states})

    loop, place = line(drawing, "Try", "Try"), box(drawing, "Try").place
    assert loop.points[0][0] == loop.points[-1][0] == place.right
    assert loop.label is not None
    assert loop.label.place.x > place.right


def test_branches_lie_in_lanes_of_their_state() -> None:
    branches = [{"StartAt": f"b{n}", "States": {f"b{n}": task()}} for n in range(3)]
    states = {"Both": {"Type": "Parallel", "Branches": branches, "End": True}}
    drawing = drawn({"StartAt": "Both", "States": states})

    both = next(index for index, each in enumerate(drawing.boxes) if each.name == "Both")
    assert drawing.boxes[both].holds_states
    assert [lane.parent for lane in drawing.lanes] == [both] * 3
    inner = [each for each in drawing.boxes if each.parent == both]
    assert [each.name for each in inner] == ["b0", "b1", "b2"]
    assert len({each.place.y for each in inner}) == 1


def test_rules_with_the_same_target_share_a_line() -> None:
    states = {"If": choice("A", "A", "B", "A", "A", "A"), "A": task(), "B": task()}
    drawing = drawn({"StartAt": "If", "States": states})

    label = line(drawing, "If", "A").label
    assert label is not None
    assert label.lines == ("$.n = 0", "$.n = 1", "$.n = 3", "and 2 more")
    assert label.full == ("$.n = 0", "$.n = 1", "$.n = 3", "$.n = 4", "$.n = 5")


def test_long_names_are_cut_but_kept() -> None:
    name = "A state with a name of eighty characters, which is what AWS allows at most, fine"
    drawing = drawn({"StartAt": name, "States": {name: task()}})

    state = box(drawing, name)
    assert state.shown.endswith("…")
    assert state.place.width < 320


def test_a_thousand_states_in_a_row_are_drawn() -> None:
    drawing = drawn(row(1_000))

    assert len(drawing.boxes) == 1_002
    assert len({each.place.centre_x for each in drawing.boxes}) == 1


def chained(count: int) -> Definition:
    """So many states, in fours that branch, go back and fail."""
    states: Definition = {}
    for index in range(0, count, 4):
        a, b, c, d = (f"s{index + step}" for step in range(4))
        after = f"s{index + 4}" if index < count - 4 else "Done"
        states |= {
            a: task(b, catch="Bad"),
            b: choice(c, a, default=d),
            c: task(after, catch="Bad"),
            d: {"Type": "Wait", "Seconds": 1, "Next": after},
        }
    states |= {"Done": {"Type": "Succeed"}, "Bad": {"Type": "Fail"}}
    return {"StartAt": "s0", "States": states}


def effort(count: int) -> int:
    """How many calls it takes to draw so many states: the same on every machine."""
    calls = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        drawing = drawn(chained(count))
    finally:
        sys.setprofile(before)
    assert len(drawing.boxes) == count + 3
    return calls


def test_the_effort_grows_with_the_states_and_not_with_their_square() -> None:
    assert effort(200) < 3 * effort(100)


def test_a_definition_without_states_is_an_empty_drawing() -> None:
    assert [each.type for each in drawn({}).boxes] == ["Start"]
