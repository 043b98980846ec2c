"""Where an expression comes to no number: the whole of it, or only a part."""

import pytest

from eventmill.model import Json, Payload
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query, QueryError, compile_query
from eventmill.query.jsonata_infinity import last_operation, out_of_range

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


@pytest.mark.parametrize("text", ["1/0 + 1", "1/0 - 1/0", "2 * (1/0)", "1/0 * 0"])
def test_arithmetic_on_an_infinity_fails(text: str) -> None:
    with pytest.raises(QueryError, match="specified for the field 'Output' threw an error"):
        compiled(text).evaluate(surroundings())


@pytest.mark.parametrize(
    ("left", "operator", "right"), [(1, "+", 1), (None, "/", 0), (True, "/", 0), (0, "/", 0)]
)
def test_what_is_no_infinity_is_not_told(left: Json, operator: str, right: Json) -> None:
    assert out_of_range(left, operator, right) is None
