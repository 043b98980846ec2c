"""The expected values were printed by OpenJDK 17."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.model import Json
from eventmill.query import java
from eventmill.query.equality import contains, same
from eventmill.query.java import (
    Random,
    class_name,
    compile_java_pattern,
    hash_code,
    hash_map_order,
    number_text,
    value_text,
)


def test_the_examples_in_the_documentation_hold() -> None:
    assert doctest.testmod(java).failed == 0


@pytest.mark.parametrize(
    ("text", "code"), [("", 0), ("grüße", 98768023), ("🆗", 1772763), ("item", 3242771)]
)
def test_hash_code_is_that_of_java(text: str, code: int) -> None:
    assert hash_code(text) == code


def test_thirty_names_come_in_the_order_of_a_map_that_has_grown_twice() -> None:
    numbers = [
        *(0, 119, 84, 7, 154, 21, 175, 42, 112, 63, 133, 14, 35, 196, 56, 91, 147, 168, 105, 70),
        *(126, 203, 77, 98, 189, 161, 182, 140, 28, 49),
    ]
    assert hash_map_order([f"key{number * 7}" for number in range(30)]) == [
        f"key{number}" for number in numbers
    ]


def test_the_thirteenth_name_makes_the_map_grow() -> None:
    names = [f"name{number}" for number in range(12)]
    order = ["name6", "name5", "name4", "name3", "name11", "name9", "name10", "name8"]
    rest = ["name7", "name2", "name1", "name0"]
    assert hash_map_order(names) == order + rest
    assert hash_map_order([*names, "q"]) == [*order[:2], "q", *order[2:], *rest]


def test_names_of_one_bucket_keep_their_order() -> None:
    assert hash_map_order(["BB", "Aa"]) == ["BB", "Aa"]
    assert hash_map_order(["Aa", "BB"]) == ["Aa", "BB"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0, "0"), (-7, "-7"), (10**20, "100000000000000000000"), (100.0, "100.0")),
        *((0.0, "0.0"), (1.5, "1.5"), (1e7, "1.0E7"), (9999999.9, "9999999.9"), (1e22, "1.0E22")),
        *((1e-3, "0.001"), (2e-3, "0.002"), (1e-4, "1.0E-4"), (-12345678.0, "-1.2345678E7")),
        *((123456789.125, "1.23456789125E8"), (float("-inf"), "-Infinity"), (float("nan"), "NaN")),
    ],
)
def test_numbers_are_written_as_java_writes_them(number: float, text: str) -> None:
    assert number_text(number) == text


def test_values_are_written_as_java_writes_maps_and_lists() -> None:
    value: Json = {"a": [], "b": {}, "c": ["x", {"y": 1e7}], "": False, "n": None}
    assert value_text(value) == "{a=[], b={}, c=[x, {y=1.0E7}], =false, n=null}"


def test_a_deeply_nested_value_is_written_and_compared() -> None:
    one: Json = []
    other: Json = []
    for _ in range(100_000):
        one, other = [one], [other]
    assert value_text(one) == "[" * 100_001 + "]" * 100_001
    assert same(one, other)
    while isinstance(one, list) and one:
        one = one.pop()  # Freeing a deep value at once would recurse.
    while isinstance(other, list) and other:
        other = other.pop()


def test_random_numbers_are_those_of_java() -> None:
    random = Random(42)
    assert [random.next_int(10) for _ in range(5)] == [0, 3, 8, 4, 0]
    assert Random(0).next_int(100) == 60
    assert Random(7).next_int(1 << 20) == 766193
    assert Random(5).next_int(2**31 - 1) == 1568779487
    assert Random(123456789012).next_int(1_500_000_000) == 29712462
    assert Random(-1).next_double() == 0.26894263088050496


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_means_the_number(number: float) -> None:
    assert float(number_text(number)) == number


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((None, "null"), (True, "java.lang.Boolean"), (1, "java.lang.Integer")),
        *((2**31, "java.lang.Long"), (2**63, "java.math.BigInteger"), (1.0, "java.lang.Double")),
        *(("", "java.lang.String"), ([], "java.util.ArrayList"), ({}, "java.util.LinkedHashMap")),
    ],
)
def test_every_value_has_a_class_in_java(value: Json, name: str) -> None:
    assert class_name(value) == name


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "expected"),
    [
        *(("a.c", "", "abc", True), ("a.c", "", "ABC", False), ("a.c", "i", "ABC", True)),
        *(("a.c", "", "a\nc", False), ("a.c", "s", "a\nc", True), (r"[\w[]+", "", "a[", True)),
        *(("[[a]", "", "[", True), ("[a&&b]+", "", "&a", True), ("[]a]+", "", "]a", True)),
        (r"\[[^]]*\]", "", "[x]", True),
    ],
)
def test_regular_expressions_take_the_flags_of_java(
    pattern: str, flags: str, text: str, expected: bool
) -> None:
    assert bool(compile_java_pattern(pattern, flags).fullmatch(text)) is expected


@pytest.mark.parametrize(("pattern", "flags"), [("(", ""), ("a", "q"), ("a{99999999999}", "")])
def test_what_is_no_regular_expression_is_refused(pattern: str, flags: str) -> None:
    with pytest.raises(ValueError, match=r"unterminated|flag|repetition|repeat"):
        compile_java_pattern(pattern, flags)


@given(st.text(alphabet="[]^-&|~\\ab(){}*+?.1,:=!<>$", max_size=20))
def test_no_pattern_warns_or_raises_anything_else(pattern: str) -> None:
    try:
        compile_java_pattern(pattern, "")
    except ValueError:
        return


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        *(
            (1, 1.0, True),
            (1, True, False),
            (0, False, False),
            (1, "1", False),
            (None, False, False),
        ),
        *(([1], [True], False), ({"a": 1}, {"a": True}, False), ([], {}, False), ("", None, False)),
        ({"a": 1, "b": [{}]}, {"b": [{}], "a": 1}, True),
        *(([1, 2], [2, 1], False), ([1], [1, 1], False), ({"a": 1}, {"b": 1}, False)),
    ],
)
def test_json_values_are_the_same_only_with_the_same_types(
    one: Json, other: Json, expected: bool
) -> None:
    assert (same(one, other), same(other, one)) == (expected, expected)
    assert contains([None, other], one) is (expected or one is None)
