"""Expectations: what they ask of an outcome, and how a difference is shown."""

from typing import Any

import pytest

from eventmill.model import Json
from eventmill.rehearsal.expectation import Difference, Expectation, parse_expectation
from eventmill.rehearsal.fields import Fields
from eventmill.rehearsal.outcome import Outcome


def parse(value: Json) -> tuple[Expectation, list[tuple[str, str]]]:
    found: list[tuple[str, str]] = []
    fields = Fields(value, "/Expect", lambda pointer, message: found.append((pointer, message)))
    return parse_expectation(fields), found


def outcome(**given: Any) -> Outcome:
    return Outcome(**{"status": "SUCCEEDED", "duration_ms": 0, "calls": {}, **given})


def failed(**given: Any) -> Outcome:
    return outcome(status="FAILED", error="E", cause="it is full", **given)


def differences(value: Json, actual: Outcome) -> list[Difference]:
    expectation, found = parse(value)
    assert found == []
    return list(expectation.differences(actual))


def said(value: Json, actual: Outcome) -> list[str]:
    return [each.message for each in differences(value, actual)]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({}, outcome(output=1)),
        ({"Output": {"a": 1, "b": 2.0}}, outcome(output={"b": 2, "a": 1})),
        ({"Output": None}, outcome(output=None)),
        ({"OutputMatches": {"a": {"b": [{"prefix": "x"}]}}}, outcome(output={"a": {"b": "xy"}})),
        ({"Error": "E"}, failed()),
        ({"Error": "E", "Cause": "it is full"}, failed()),
        ({"CauseContains": "full"}, failed()),
        ({"Status": "FAILED"}, failed()),
        ({"Status": "TIMED_OUT"}, outcome(status="TIMED_OUT")),
        ({"Path": ["A", "B"]}, outcome(path=("A", "B"))),
        ({"Calls": {"A": 0, "B": 2}}, outcome(calls={"B": [1, 2]})),
        ({"Calls": {"A": [], "B": [1, {"a": 2}]}}, outcome(calls={"B": [1, {"a": 2}]})),
        ({"MinSeconds": 2, "MaxSeconds": 2}, outcome(duration_ms=2_000)),
    ],
)
def test_what_holds_makes_no_difference(expected: Json, actual: Outcome) -> None:
    assert differences(expected, actual) == []


@pytest.mark.parametrize(
    ("expected", "actual", "message"),
    [
        ({}, failed(), "it ended FAILED with E, not SUCCEEDED: it is full"),
        ({"Error": "E"}, outcome(), "it ended SUCCEEDED, not FAILED"),
        ({"Output": True}, outcome(output=1), "Output differs (- expected, + actual)"),
        ({"Output": None}, outcome(output={}), "Output differs (- expected, + actual)"),
        ({"OutputMatches": {"a": [1]}}, outcome(output={"a": 2}), "the output does not match Out"),
        ({"OutputMatches": {"a": [1]}}, outcome(output=[1]), "the output does not match Output"),
        ({"Error": "F"}, failed(), "Error differs (- expected, + actual)"),
        ({"Cause": ""}, failed(), "Cause differs (- expected, + actual)"),
        ({"CauseContains": "empty"}, failed(), "the cause does not contain 'empty'; it is"),
        ({"Path": ["A"]}, outcome(path=("A", "B")), "the path differs"),
        ({"Calls": {"A": 2}}, outcome(calls={"A": [1]}), "the state 'A' made its call once, not 2"),
        ({"Calls": {"A": 1}}, outcome(), "the state 'A' made its call 0 times, not 1"),
        ({"Calls": {"A": [1, 2]}}, outcome(calls={"A": [1]}), "the state 'A' made its call once"),
        (
            {"Calls": {"A": [1]}},
            outcome(calls={"A": [2]}),
            "the parameters of call 1 of 'A'",
        ),
        ({"MinSeconds": 2}, outcome(duration_ms=1_500), "it took 1.5 s of virtual time, less than"),
        ({"MaxSeconds": 2}, outcome(duration_ms=2_001), "it took 2.001 s of virtual time, more"),
    ],
)
def test_each_difference_is_named(expected: Json, actual: Outcome, message: str) -> None:
    (found,) = said(expected, actual)

    assert found.startswith(message)


def test_a_difference_shows_the_lines_around_it() -> None:
    expected: Json = {"Output": {f"k{number}": number for number in range(20)}}
    actual = {f"k{number}": number for number in range(20)} | {"k17": "x"}

    (found,) = differences(expected, outcome(output=actual))

    assert found.lines == (
        "  …",
        '    "k14": 14,',
        '    "k15": 15,',
        '    "k16": 16,',
        '-   "k17": 17,',
        '+   "k17": "x",',
        '    "k18": 18,',
        '    "k19": 19,',
        '    "k2": 2,',
        "  …",
    )


def test_a_long_difference_is_cut() -> None:
    (found,) = differences({"Output": []}, outcome(output=list(range(1_000))))

    assert len(found.lines) == 61
    assert found.lines[-1].endswith("lines more")


def test_a_path_shows_where_it_leads_elsewhere() -> None:
    (found,) = differences({"Path": ["A", "B", "C"]}, outcome(path=("A", "X", "C")))

    assert found.lines == ("  A", "- B", "+ X", "  C")


@pytest.mark.parametrize(
    ("value", "pointer", "message"),
    [
        ([], "/Expect", "must be an object, not an array"),
        ({"Status": "OK"}, "/Expect/Status", "must be one of SUCCEEDED, FAILED, TIMED_OUT"),
        ({"Status": "SUCCEEDED", "Error": "E"}, "/Expect", "an execution that succeeds has no E"),
        ({"Error": "E", "Output": 1}, "/Expect", "an execution that ends FAILED has no output"),
        ({"OutputMatches": {"a": 1}}, "/Expect/OutputMatches/a", "must be an object or an array"),
        ({"Path": "A"}, "/Expect/Path", "must be an array, not a text"),
        ({"Path": [1]}, "/Expect/Path/0", "must be the name of a state"),
        ({"Calls": {"A": -1}}, "/Expect/Calls/A", "must be the number of calls, or an array"),
        ({"Calls": {"A": True}}, "/Expect/Calls/A", "must be the number of calls, or an array"),
        ({"MaxSeconds": "1"}, "/Expect/MaxSeconds", "must be a number of seconds, 0 or more"),
        ({"Outptu": 1}, "/Expect/Outptu", "there is no field 'Outptu' here; did you mean 'Output'"),
    ],
)
def test_mistakes_are_named_at_their_place(value: Json, pointer: str, message: str) -> None:
    _, (found, *_) = parse(value)

    assert found[0] == pointer
    assert message in found[1]
