"""JSONata behind our port: values, undefined and null, AWS's texts, what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.model import Json, Payload
from eventmill.query.environment import Environment, no_draw
from eventmill.query.jsonata import (
    Query,
    QueryError,
    QueryTemplate,
    compile_query,
    compile_query_template,
    is_query,
)

ALL = frozenset({"input", "result", "errorOutput", "context"})


def surroundings(data: Json = None, **variables: Json) -> Environment:
    draws = iter(range(1, 100))
    return Environment(
        Payload.of(data),
        lambda: Payload.of({"State": {"Name": "S"}}),
        variables,
        lambda below: next(draws),
        result=Payload.of("the result"),
        error_output=Payload.of({"Error": "E"}),
        now_ms=1_000,
    )


def compiled(text: str, field: str = "Output") -> Query:
    mistakes: list[tuple[str, str]] = []
    query = compile_query(f"{{% {text} %}}", field, ALL, lambda *each: mistakes.append(each))
    assert mistakes == []
    assert query is not None
    return query


def mistakes_in(text: str, allowed: frozenset[str] = ALL) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    compile_query(f"{{% {text} %}}", "Output", allowed, lambda *each: found.append(each))
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 1", 2),
        ("$states.input.x + $y", 42),
        ("$states.result", "the result"),
        ("$states.errorOutput.Error", "E"),
        ("$states.context.State.Name", "S"),
        ("null", None),
        ("$states.input.n", None),
        ("[]", []),
        ("$states.input.nothing = 1 ? 1 : 2", 2),
        ("$count([1, 2])", 2),
        ("$now()", "1970-01-01T00:00:01.000Z"),
        ("$partition([1, 2, 3], 2)", [[1, 2], [3]]),
        ("$partition([1, 2, 3])", [[1, 2, 3]]),
        ("$range(0, 9, 3)", [0, 3, 6, 9]),
        ("$range(-1.7, 2, 1)", [-1, 0, 1, 2]),
        ("$range(5, 1, -1.5)", [5, 4, 3, 2, 1]),
        ("$range(3, 3, 1)", 3),
        ("$hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("$random(42)", 0.7275636800328681),
        ("$random(0)", 0.730967787376657),
        ("$random()", 1 / 2**53),
        ("$uuid()", "00000000-0000-4000-8000-000000000001"),
        ("$parse('[1, {\"a\": null}]')", [1, {"a": None}]),
    ],
)
def test_gives(text: str, value: Json) -> None:
    assert compiled(text).evaluate(surroundings({"x": 40, "n": None}, y=2)) == value


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("$states.input.absent", "returned nothing (undefined)."),
        ("$partition([], 1)", "returned nothing (undefined)."),
        ("$partition([1], 0)", "returned nothing (undefined)."),
        ("$range(1, 2, 0)", "returned nothing (undefined)."),
        ("$hash('a')", "returned nothing (undefined)."),
        ("function($x){$x}", "returned an unsupported result type."),
        (
            "'a' + 1",
            'threw an error during evaluation. T2001: The left side of the "+" operator must '
            "evaluate to a number",
        ),
        (
            "$eval('1')",
            "threw an error during evaluation. T1006: Attempted to invoke a non-function",
        ),
        ("$parse('{')", "threw an error during evaluation. D3137: Invalid JSON"),
        (
            "$partition([1], -1)",
            "threw an error during evaluation. D3137: Second argument must be zero or greater",
        ),
        (
            "$hash('a', 'SHA-9')",
            "threw an error during evaluation. D3137: Hash algorithm 'SHA-9' must be one of "
            "SHA-1, SHA-384, SHA-256, SHA-512, MD5",
        ),
        (
            "($f := function($n){$n + $f($n + 1)}; $f(1))",
            "threw an error during evaluation: Stack overflow error: Check for non-terminating "
            "recursive function. Consider rewriting as tail-recursive. Depth=101 max=100",
        ),
        (
            "($f := function(){$f()}; $f())",
            "threw an error during evaluation: Expression evaluation memory limit exceeded: "
            "Check for excessive memory usage",
        ),
    ],
)
def test_fails_in_the_words_of_aws(text: str, how: str) -> None:
    with pytest.raises(QueryError) as caught:
        compiled(text, "Assign/x").evaluate(surroundings({}))
    failure = caught.value.failure
    assert failure.error == "States.QueryEvaluationError"
    assert failure.cause == (
        f"The JSONata expression '{text}' specified for the field 'Assign/x' {how}"
    )
    assert caught.value.location == "Assign/x"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("1 +", "INVALID_JSONATA_EXPRESSION", "Unexpected end of expression"),
        (
            "'a",
            "INVALID_JSONATA_EXPRESSION",
            "String literal must be terminated by a matching quote",
        ),
        (
            "phone",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to 'phone' at the top level is not supported.",
        ),
        (
            "$map($states.input, function($v){$v & q})",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to 'q' at the top level is not supported.",
        ),
        ("$", "UNSUPPORTED_JSONATA_EXPRESSION", "Reference to '$' is not supported."),
        ("$$", "UNSUPPORTED_JSONATA_EXPRESSION", "Reference to '$$' is not supported."),
        (
            "$states.result",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Field '$states.result' does not exist.",
        ),
        ("'\ud800'", "INVALID_JSONATA_EXPRESSION", "The expression holds half of a surrogate pair"),
    ],
)
def test_refuses(text: str, code: str, message: str) -> None:
    assert mistakes_in(text, frozenset({"input", "context"})) == [(code, message)]


@pytest.mark.parametrize(
    "text",
    [
        "$states.input.items[price > 3].name",
        "$states.input^(>age)",
        "$states.input.{'n': name}",
        "'$$ in a string'",
        "$unknown(1)",
    ],
)
def test_names_inside_a_path_are_free(text: str) -> None:
    assert mistakes_in(text) == []


def test_says_which_variables_it_reads() -> None:
    assert compiled("$b + $a.x + $sum($states.input) + $uuid()").variables == ("a", "b")


def test_a_template_fills_in_its_leaves_and_names_their_places() -> None:
    found: list[Any] = []
    template = compile_query_template(
        {"a": ["{% $x %}", 1, {"b/c": "{% $states.input %}"}], "d": "{% not closed"},
        "Output",
        ALL,
        lambda *each: found.append(each),
    )
    assert found == []
    assert template.render(surroundings("in", x=7)).value == {
        "a": [7, 1, {"b/c": "in"}],
        "d": "{% not closed",
    }
    with pytest.raises(QueryError) as caught:
        template.render(surroundings("in"))
    assert caught.value.location == "Output/a[0]"


def test_a_template_notes_each_mistake_at_its_pointer() -> None:
    found: list[Any] = []
    value: Json = {"a/b": ["{% 1 + %}"], "c": "{% phone %}"}
    compile_query_template(value, "Output", ALL, lambda *each: found.append(each))
    assert found == [
        ("/a~1b/0", "INVALID_JSONATA_EXPRESSION", "Unexpected end of expression"),
        (
            "/c",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to 'phone' at the top level is not supported.",
        ),
    ]


def test_a_template_without_expressions_is_one_constant() -> None:
    template = compile_query_template({"a": [1]}, "Output", ALL, lambda *each: None)
    assert isinstance(template, QueryTemplate)
    first = template.render(surroundings())
    assert first is template.render(surroundings("other"))
    assert first.value == {"a": [1]}


def test_the_same_environment_gives_the_same_value_for_ever() -> None:
    query = compiled("$uuid() & $random() & $now() & $millis()")
    assert query.evaluate(surroundings()) == query.evaluate(surroundings())


@given(st.text(max_size=40))
def test_any_text_is_compiled_or_refused(text: str) -> None:
    found: list[Any] = []
    query = compile_query("{%" + text + "%}", "F", ALL, lambda *each: found.append(each))
    assert (query is None) == bool(found)


def test_only_a_string_in_both_marks_is_a_query() -> None:
    assert is_query("{% 1 %}")
    assert not any(map(is_query, ["", "{%", "{%}", " {% 1 %}", "{% 1 %} ", "1"]))


def test_nothing_is_random_where_nothing_may_be() -> None:
    environment = Environment(Payload.of(None), lambda: Payload.of({}), {}, no_draw)
    with pytest.raises(AssertionError):
        compiled("$uuid()").evaluate(environment)
