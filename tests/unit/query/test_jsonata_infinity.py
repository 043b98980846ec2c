"""Where an expression comes to no number: the whole of it, or only a part."""

import pytest

from eventmill.model import Json, Payload
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query, QueryError, compile_query
from eventmill.query.jsonata_infinity import comparison, infinity, last_operation

INPUT: Json = {"total": 12, "count": 0, "none": 0, "big": 1e308, "each": [1, 2], "text": "a"}


def compiled(text: str) -> Query:
    query = compile_query(f"{{% {text} %}}", "Output", frozenset({"input"}), lambda *each: None)
    assert query is not None
    return query


def surroundings() -> Environment:
    drawn = iter(range(1, 100))
    return Environment(
        Payload.of(INPUT), lambda: Payload.of({}), {"x": -1}, lambda below: next(drawn)
    )


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("1/0", ("1", "/", "0")),
        ("-1/0", ("-1", "/", "0")),
        ("2 * -$x / $sum([1 - 1])", ("2 * -$x ", "/", " $sum([1 - 1])")),
        ("$a.b * 2 - $c[0].d / 4", ("$a.b * 2 ", "-", " $c[0].d / 4")),
        ("1e-7 * 2", ("1e-7 ", "*", " 2")),
        ("1 / 'a - b'", ("1 ", "/", " 'a - b'")),
        ("$a.`b - c` + 1", ("$a.`b - c` ", "+", " 1")),
        ("$states.input.items.* + 1", None),
        ("$x", None),
        ("-$x", None),
        ("1/0 > 5", None),
        ("1/0 = 1/0", None),
        ("$x ? 1/0 : 1", None),
        ("$x and 1/0", None),
        ("1/0 & 'a'", None),
        ("1/0 ~> $floor", None),
        ("[1/0]", None),
        ("(1/0)", None),
        ("$a.(b * c)", None),
        ("$a % 2", None),
        ("$a^(b) / 2", None),
        ("1..2 * 3", None),
    ],
)
def test_the_last_operation_is_found(text: str, operation: tuple[str, str, str] | None) -> None:
    assert last_operation(text) == operation


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$states.input.total / $states.input.count", "Infinity"),
        ("$states.input.total / ($states.input.count - $states.input.none)", "Infinity"),
        ("$x * $states.input.total / $states.input.count", "-Infinity"),
        ("$states.input.big + $states.input.big", "Infinity"),
        ("-$states.input.big - $states.input.big", "-Infinity"),
        ("$count($states.input.each[$ / 2 = 1]) / 0", "Infinity"),
        ("$random() / 0", "Infinity"),
        ("$states.input.count / $states.input.none", "NaN"),
    ],
)
def test_an_infinity_that_is_the_result_is_told_as_text(text: str, value: Json) -> None:
    assert compiled(text).evaluate(surroundings()) == value


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("1/0 > 5", ("1/0 ", ">", " 5")),
        ("$a[b > 1] <= $f(1 = 2)", ("$a[b > 1] ", "<=", " $f(1 = 2)")),
        ("$a != 'x > y'", ("$a ", "!=", " 'x > y'")),
        ("$a = /x>y/", ("$a ", "=", " /x>y/")),
        ("$a & 1 = $b", ("$a & 1 ", "=", " $b")),
        ("$a > 1 and $b", None),
        ("$a > 1 ? 2 : 3", None),
        ("$a ~> $f", None),
        ("$a := $b > 1", None),
        ("[1 > 2]", None),
        ("$a = 1 = 2", None),
        ("1", None),
    ],
)
def test_the_comparison_is_found(text: str, compared: tuple[str, str, str] | None) -> None:
    assert comparison(text) == compared


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$states.input.total / $states.input.count > 5", True),
        ("5 >= $states.input.total / $states.input.count", False),
        ("$x / 0 <= -1", True),
        ("1/0 = 2/0", True),
        ("1/0 != -1/0", True),
        ("$floor(1/0) > 5", True),
        ("$floor( (1 - 2) / 0)", "-Infinity"),
        ("$floor($floor(1/0))", "Infinity"),
    ],
)
def test_an_infinity_is_compared_and_rounded_down(text: str, value: Json) -> None:
    assert compiled(text).evaluate(surroundings()) == value


@pytest.mark.parametrize(
    "text", ["1/0 > 'a'", "1/0 > $states.input.none2", "1/0 > 5 > 1", "$floor(1/0) + $floor(1)"]
)
def test_what_is_not_known_of_an_infinity_fails(text: str) -> None:
    with pytest.raises(QueryError, match="D1001"):
        compiled(text).evaluate(surroundings())


@pytest.mark.parametrize("text", ["1/0 + 1", "1/0 - 1/0", "2 * (1/0)", "1/0 * 0"])
def test_arithmetic_on_an_infinity_fails(text: str) -> None:
    with pytest.raises(QueryError, match="specified for the field 'Output' threw an error"):
        compiled(text).evaluate(surroundings())


@pytest.mark.parametrize(
    ("left", "operator", "right"), [(1, "+", 1), (None, "/", 0), (True, "/", 0), (0, "/", 0)]
)
def test_what_is_no_infinity_is_not_told(left: Json, operator: str, right: Json) -> None:
    assert infinity(left, operator, right) is None
