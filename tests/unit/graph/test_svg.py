"""The SVG of a drawing: what a reader, a screen reader and a web page find in it."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventmill.graph.coverage import Coverage, StateCoverage
from eventmill.graph.layout import layout
from eventmill.graph.outline import outline
from eventmill.graph.palette import Theme
from eventmill.graph.svg import render_svg
from tests.unit.graph.machines import Definition, choice, task

SVG = "{http://www.w3.org/2000/svg}"
STATES = {
    "First": task("If", catch="Bad") | {"Retry": [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}]},
    "If": choice("First", default="Out"),
    "Out": {"Type": "Succeed"},
    "Bad": {"Type": "Fail", "Error": "Gone"},
}
MACHINE: Definition = {"StartAt": "First", "States": STATES}


def rendered(
    document: Definition, coverage: Coverage | None = None, theme: Theme = "auto"
) -> ElementTree.Element:
    svg = render_svg(layout(outline(document)), "A <title>", coverage=coverage, theme=theme)
    return ElementTree.fromstring(svg)


def groups(svg: ElementTree.Element, name: str) -> dict[str, ElementTree.Element]:
    return {each.attrib[name]: each for each in svg.iter(f"{SVG}g") if name in each.attrib}


def tooltip(group: ElementTree.Element) -> str:
    return group.findtext(f"{SVG}title") or ""


def test_it_says_what_it_shows() -> None:
    svg = rendered(MACHINE)

    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"] == "A <title>"
    assert svg.findtext(f"{SVG}title") == "A <title>"
    assert svg.findtext(f"{SVG}desc") == (
        "A state machine of 4 states, beginning with First. First to If. First to Bad (any error). "
        "If to First ($.n = 0). If to Out (Default)."
    )


def test_states_and_transitions_are_found_by_their_names() -> None:
    svg = rendered(MACHINE)

    states = groups(svg, "data-state")
    assert {name: each.attrib["data-type"] for name, each in states.items()} == {
        "First": "Task", "If": "Choice", "Out": "Succeed", "Bad": "Fail"
    }  # fmt: skip
    assert tooltip(states["First"]) == "First\nLambda work\nRetries Busy: at most once"
    ways = [each for each in svg.iter(f"{SVG}g") if "data-from" in each.attrib]
    assert [
        (way.attrib["data-from"], way.attrib["data-to"], way.attrib["class"]) for way in ways
    ] == [
        ("", "First", "em-transition em-start"),
        ("First", "If", "em-transition em-next"),
        ("First", "Bad", "em-transition em-catch"),
        ("If", "First", "em-transition em-choice"),
        ("If", "Out", "em-transition em-default"),
    ]


def test_what_an_execution_ran_is_told_by_classes_counts_and_a_legend() -> None:
    coverage = Coverage(
        states={
            "First": StateCoverage(entered=3, succeeded=2, caught=1, retries=1),
            "If": StateCoverage(entered=2, succeeded=2),
            "Bad": StateCoverage(entered=1, failed=1),
        },
        taken={
            (None, "First", False): 1,
            ("First", "If", False): 2,
            ("If", "First", False): 2,
            ("First", "Bad", True): 1,
        },
    )
    svg = rendered(MACHINE, coverage)

    states = groups(svg, "data-state")
    assert {name: each.attrib["class"].split()[-1] for name, each in states.items()} == {
        "First": "is-caught", "If": "is-succeeded", "Out": "is-unreached", "Bad": "is-failed"
    }  # fmt: skip
    assert "entered 3 times: 2 succeeded, 1 caught, 1 retries" in tooltip(states["First"])
    assert tooltip(states["Out"]).endswith("not reached")
    assert [each.text for each in states["First"].iter(f"{SVG}text")] == [
        "First", "Lambda work", "3× · 1 retry"
    ]  # fmt: skip
    assert len(list(states["Bad"].iter(f"{SVG}text"))) == 2
    taken = {
        (each.attrib["data-from"], each.attrib["data-to"])
        for each in svg.iter(f"{SVG}g")
        if "is-taken" in each.attrib["class"]
    }
    assert taken == {("", "First"), ("First", "If"), ("If", "First"), ("First", "Bad")}
    legend = next(each for each in svg.iter(f"{SVG}g") if each.attrib["class"] == "em-legend")
    assert [each.text for each in legend.iter(f"{SVG}text")] == [
        "succeeded", "failed and caught", "failed", "not reached"
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=80))
def test_any_name_is_text_and_nothing_else(name: str) -> None:
    name = re.sub(r"[\ud800-\udfff]", "", name) or "x"
    svg = rendered({"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}})

    (group,) = groups(svg, "data-state").values()
    assert {each.tag for each in group} == {f"{SVG}title", f"{SVG}rect", f"{SVG}path", f"{SVG}text"}


def test_markup_in_names_is_escaped() -> None:
    name = """</text><script>"x" & 'y'"""
    svg = rendered({"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}})

    group = groups(svg, "data-state")[name]
    assert tooltip(group).startswith(name)
    assert not list(svg.iter(f"{SVG}script"))


def test_a_long_name_is_whole_in_its_title() -> None:
    name = "n" * 80
    svg = rendered({"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}})

    group = groups(svg, "data-state")[name]
    shown = next(group.iter(f"{SVG}text")).text or ""
    assert re.fullmatch(r"n+…", shown)
    assert tooltip(group).startswith(name)


def test_it_follows_the_reader_into_the_dark_and_needs_nothing_else() -> None:
    svg = render_svg(layout(outline(MACHINE)), "t")

    assert "@media (prefers-color-scheme: dark)" in svg
    used = set(re.findall(r"var\((--[a-z-]+)\)", svg))
    assert used
    assert used <= set(re.findall(r"(--[a-z-]+):", svg))
    assert not re.findall(r"url\(|href|@import", svg)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_fixed_theme_has_no_variables(theme: Theme) -> None:
    svg = render_svg(layout(outline(MACHINE)), "t", theme=theme)

    assert "var(" not in svg
    assert "@media" not in svg
