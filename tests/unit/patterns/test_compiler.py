import pytest

from eventmill.model import Json
from eventmill.patterns.compiler import compile_pattern


def matches(pattern: Json, event: dict[str, Json]) -> bool:
    mistakes: list[tuple[str, str]] = []
    matcher = compile_pattern(pattern, lambda *mistake: mistakes.append(mistake))
    assert mistakes == []
    return matcher.matches(event)


def mistakes_in(pattern: Json) -> list[tuple[str, str]]:
    mistakes: list[tuple[str, str]] = []
    matcher = compile_pattern(pattern, lambda *mistake: mistakes.append(mistake))
    assert not matcher.matches({"a": 1, "detail": {"a": "b"}})
    return mistakes


@pytest.mark.parametrize(
    ("values", "event", "expected"),
    [
        (["x", "y"], "y", True),
        ([1], True, False),
        ([True], 1, False),
        ([True], "true", False),
        ([0], False, False),
        ([300], 3.0e2, True),
        ([9007199254740993], 9007199254740993, True),
        ([9007199254740993], 9007199254740992, False),
        (["::1"], "0:0:0:0:0:0:0:1", True),
        (["10.0.0.1"], "10.0.0.01", True),
        (["10.0.0.1"], "10.0.0.2", False),
        ([{"equals-ignore-case": "Straße"}], "STRASSE", True),
        ([{"equals-ignore-case": "Straße"}], "strasse", False),
        ([{"prefix": {"equals-ignore-case": "EVENT"}}], "eventmill", True),
        ([{"suffix": {"equals-ignore-case": "ß"}}], "a" * 50 + "SS", True),
        ([{"suffix": {"equals-ignore-case": ".CSV"}}], "a.csvx", False),
        ([{"wildcard": "a*b*c"}], "abc", True),
        ([{"wildcard": "a*b*c"}], "acb", False),
        ([{"wildcard": "ab*ba"}], "aba", False),
        ([{"wildcard": "*ab*ab*"}], "ab", False),
        ([{"wildcard": r"\*\\*"}], r"*\anything", True),
        ([{"wildcard": "*"}], None, False),
        ([{"anything-but": ["a", "b"]}], True, True),
        ([{"anything-but": [0, 1]}], False, True),
        ([{"anything-but": [0, 1]}], 1.0, False),
        ([{"anything-but": {"wildcard": ["*.tmp", "*.part"]}}], "a.part", False),
        ([{"anything-but": {"prefix": "a"}}], 1, True),
        ([{"numeric": [">=", 1, "<", 5]}], 5, False),
        ([{"numeric": [">=", 1, "<", 5]}], 1, True),
        ([{"numeric": [">", 0]}], 2**53 + 1, False),
        ([{"numeric": [">", 0]}], 10**400, False),
        ([{"numeric": [">", 0]}], True, False),
        ([{"cidr": "10.0.0.0/8"}], "10.255.0.1", True),
        ([{"cidr": "10.0.0.0/8"}], "::ffff:a00:1", True),
        ([{"cidr": "10.0.0.0/8"}], "a00::1", False),
        ([{"cidr": "2001:db8::/32"}], "2001:DB8:ffff::", True),
        ([{"exists": True}], None, True),
        ([{"exists": True}], [], False),
        ([{"exists": False}], {"b": 1}, True),
        ([{"exists": True}], {"b": 1}, False),
        (["b"], ["a", ["b"]], True),
    ],
)
def test_compares_one_field(values: list[Json], event: Json, expected: bool) -> None:
    assert matches({"a": values}, {"a": event}) is expected


def test_a_key_with_dots_is_as_good_as_objects_in_objects() -> None:
    pattern: Json = {"a": {"b": {"c": [1]}}}

    assert matches(pattern, {"a": {"b": {"c": 1}}})
    assert matches(pattern, {"a.b": {"c": 1}})
    assert matches(pattern, {"a": {"b.c": 1}})
    assert matches(pattern, {"a.b.c": 1})
    assert not matches(pattern, {"a": {"c": 1}, "b": {"c": 1}, "c": 1, "b.c": 1})


def test_fields_of_different_elements_do_not_hold_together() -> None:
    rooms: Json = [{"name": "hall", "seats": 9}, {"name": "loft", "seats": 2}]

    assert matches({"rooms": {"name": ["loft"], "seats": [2]}}, {"rooms": rooms})
    assert not matches({"rooms": {"name": ["hall"], "seats": [2]}}, {"rooms": rooms})
    assert matches(
        {"rooms": {"name": ["hall"], "size": [{"exists": False}]}},
        {"rooms": [{"name": "hall"}, {"name": "loft", "size": 1}]},
    )


def test_many_elements_that_match_do_not_multiply() -> None:
    many: list[Json] = [{"x": 1} for _ in range(300)]
    event: dict[str, Json] = {name: list(many) for name in "abcdef"} | {"z": 0}
    pattern: Json = {**{name: {"x": [1]} for name in "abcdef"}, "z": [1]}

    assert not matches(pattern, event)


def test_dotted_names_and_nested_objects_are_the_same() -> None:
    assert matches({"detail": {"state.name": ["on"]}}, {"detail": {"state": {"name": "on"}}})
    assert matches({"detail": {"state": {"name": ["on"]}}}, {"detail": {"state.name": "on"}})


def test_or_multiplies_and_the_last_of_two_tests_for_one_name_counts() -> None:
    pattern: Json = {"a": [1], "$or": [{"b": [2]}, {"c": [3], "a": [9]}]}

    assert matches(pattern, {"a": 1, "b": 2})
    assert matches(pattern, {"a": 9, "c": 3})
    assert not matches(pattern, {"a": 1, "c": 3})


def test_or_that_cannot_be_the_operator_is_a_field() -> None:
    assert matches({"$or": ["x"]}, {"$or": "x"})
    assert matches({"$or": [{"prefix": "a"}, {"prefix": "b"}]}, {"$or": "bb"})


def test_deeply_nested_arrays_in_an_event_do_no_harm() -> None:
    nested: Json = "x"
    for _ in range(5000):
        nested = [nested]

    assert matches({"a": ["x"]}, {"a": nested})


def test_reports_all_mistakes_with_their_places() -> None:
    assert mistakes_in(
        {
            "source": "x",
            "detail": {
                "a/b": [],
                "c": {},
                "d": [{"prefx": "a"}, {"prefix": 1}, ["x"]],
                "$or": [{"numeric": {"prefix": ["x"]}, "e": [1]}, {"f": [{}]}],
            },
            "$or": [{"g": {"suffix": [1]}}, {"h": [1]}],
        }
    ) == [
        ("/source", '"source" must be an object or an array'),
        ("/detail/a~1b", "Empty arrays are not allowed"),
        ("/detail/c", "Empty objects are not allowed"),
        ("/detail/d/0", "Unrecognized match type prefx"),
        ("/detail/d/1", "prefix match pattern must be a string"),
        ("/detail/d/2", "Match value must be String, number, true, false, or null"),
        ("/detail/$or/0", "Value of numeric must be an array."),
        ("/detail/$or/1", "Unrecognized match type f"),
        ("/$or/0/g/suffix", "suffix is Ruler reserved fieldName which cannot be used inside $or."),
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({}, "Empty objects are not allowed"),
        ([], "Filter is not an object"),
        ({"a": [{}]}, "Match expression name not found"),
        ({"a": [{"exists": 1}]}, "exists match pattern must be either true or false."),
        ({"a": [{"exists": False, "prefix": "a"}]}, "Only one key allowed in match expression"),
        ({"a": [{"numeric": []}]}, "Invalid member in numeric match: ]"),
        ({"a": [{"numeric": ["!=", 1]}]}, "Unrecognized numeric range operator: !="),
        ({"a": [{"numeric": [">", 5, "<", 5]}]}, "Bottom must be less than top"),
        ({"a": [{"numeric": [">", True]}]}, "Value of > must be numeric"),
        ({"a": [{"cidr": "10.0.0.0/32"}]}, "IPv4 mask bits must be < 32"),
        ({"a": [{"cidr": "10.0.0.0/x"}]}, "Malformed CIDR, mask bits must be an integer"),
        ({"a": [{"wildcard": "ä**"}]}, "Consecutive wildcard characters at pos 3"),
        ({"a": [{"wildcard": r"a\n"}]}, "Invalid escape character at pos 2"),
        ({"a": [{"anything-but": {"cidr": "::/0"}}]}, "Unsupported anything-but pattern: cidr"),
        (
            {"a": [{"anything-but": ["a", 1]}]},
            "Inside anything but list, either all values are number or string, "
            "mixed type is not supported",
        ),
        ({"a": [{"prefix": {"wildcard": "a"}}]}, "Unsupported prefix pattern: wildcard"),
    ],
)
def test_refuses(pattern: Json, message: str) -> None:
    assert [found for _, found in mistakes_in(pattern)] == [message]


def test_refuses_patterns_too_deep_or_with_too_many_combinations() -> None:
    deep: Json = [1]
    for _ in range(300):
        deep = {"a": deep}
    branches: Json = [{name: [1]} for name in "abcdefghijk"]

    assert [message for _, message in mistakes_in(deep)] == [
        "A pattern may not be nested deeper than 200 levels"
    ]
    wide: Json = {"a": {"$or": branches}, "b": {"$or": branches}, "c": {"$or": branches}}
    assert mistakes_in(wide) == [
        ("/c/$or", "A pattern may not have more than 1000 $or combinations")
    ]
