"""Why a pattern does not hold, told by field and value; and nothing when it does."""

from typing import Any

import pytest

from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.explanation import Mismatch, Miss, explain


def explained(pattern: Any, event: Any) -> Mismatch | None:
    mistakes: list[object] = []
    matcher = compile_pattern(pattern, lambda *mistake: mistakes.append(mistake))
    assert mistakes == []
    return explain(matcher, event)


@pytest.mark.parametrize(
    ("pattern", "event", "reason"),
    [
        ({"a": [1]}, {"a": 2}, "a is 2, wanted: 1"),
        ({"a": [1]}, {}, "a is not there, wanted: 1"),
        ({"a": [1]}, {"a": []}, "a is not there, wanted: 1"),
        ({"a": [{"exists": False}]}, {"a": None}, 'a is null, wanted: {"exists":false}'),
        ({"a": {"b": ["x", "y"]}}, {"a": {"b": "z"}}, 'a.b is "z", wanted: "x" or "y"'),
        ({"a": [1]}, {"a": [2, 3]}, "a is 2 or 3, wanted: 1"),
        ({"a": [1], "b": [2]}, {"a": 1, "b": 3}, "b is 3, wanted: 2"),
        ({"a": [1], "b": [2]}, {"a": 0, "b": 0}, "a is 0, wanted: 1; b is 0, wanted: 2"),
        ({"a": [1, 2, 3, 4, 5]}, {"a": 6}, "a is 6, wanted: 1 or 2 or 3 or 2 more"),
        ({"a": ["x" * 100]}, {"a": 1}, f'a is 1, wanted: "{"x" * 78}…'),
        (
            {"$or": [{"a": [1], "b": [1]}, {"c": [1]}]},
            {"a": 0, "b": 0, "c": 0},
            "nearest of 2 ways: c is 0, wanted: 1",
        ),
        (
            {"a": {"b": [1], "c": [2]}},
            {"a": [{"b": 1, "c": 0}, {"b": 0, "c": 2}]},
            "no element of an array has all of a.b, a.c",
        ),
    ],
)
def test_the_reason_names_the_field_and_its_value(pattern: Any, event: Any, reason: str) -> None:
    assert str(explained(pattern, event)) == reason


def test_there_is_no_reason_when_it_holds() -> None:
    assert explained({"a": [1, 2]}, {"a": [9, 2]}) is None
    assert explained({"a": [{"exists": False}]}, {"b": 1}) is None


def test_what_failed_is_there_for_programs() -> None:
    mismatch = explained({"a": [{"prefix": "x"}], "b": [1]}, {"a": "yx", "b": 1})
    miss = Miss(field="a", wanted=({"prefix": "x"},), found=("yx",))
    assert mismatch == Mismatch(misses=(miss,))
