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


RAISED = "threw an error during evaluation"
INVALID_JSON = f"{RAISED}. D3137: Invalid JSON"
INTERNAL = "threw an internal error during evaluation. 00000000-0000-4000-8000-000000000001"
MEMORY = f"{RAISED}: Expression evaluation memory limit exceeded: Check for excessive memory usage"
STACK = (
    f"{RAISED}: Stack overflow error: Check for non-terminating recursive function. "
    "Consider rewriting as tail-recursive. Depth=101 max=100"
)


def mismatch(function: str, argument: int) -> str:
    return (
        f'{RAISED}. T0410: Argument {argument} of function "{function}" does not match '
        "function signature"
    )


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
        ("$parse(\"['it\\\\'s', '\\\"', 1.0]\")", ["it's", '"', 1]),
        ("$partition(1, 2)", [[1]]),
        ("$count($range(1, 360145, 1))", 360_145),
        ("$length($pad('', 262144, 'x'))", 262_144),
        ("$length($pad($pad('', 262144, 'é'), -300000, 'xy'))", 300_000),
        ("$pad('a', -4, 'xyz') & $pad('b', 3) & $pad('cd', 1)", "xyzab  cd"),
        ("['a', 'b'].$pad(2, '#')", ["a#", "b#"]),
        ("$count([1..873782])", 873_782),
        ("0/0", "NaN"),
        ("1/0", "Infinity"),
        ("-1/0", "-Infinity"),
        ("1e308*10", "Infinity"),
        ("1e308 / -1e-7", "-Infinity"),
        ("$base64decode('YQ') & $base64decode('w6k=') & $base64decode('')", "aé"),
        ("['YWI=', 'Yw==']. $base64decode()", ["ab", "c"]),
        ("$parseInteger('abc', '0')", "NaN"),
        ("1.0", 1),
        ("$power(2, 63)", 9223372036854776000),
        ("+".join(["1"] * 100), 100),
        ("(" * 99 + "1" + ")" * 99, 1),
        ("($f := function($n){$n = 0 ? 0 : 1 + $f($n - 1)}; $f(31))", 31),
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
        ("$parse()", "returned nothing (undefined)."),
        ("$base64decode($states.input.a)", "returned nothing (undefined)."),
        ("$base64decode('!!!')", INTERNAL),
        ("$base64decode('YQ=')", INTERNAL),
        ("$base64decode('YQ==YQ==')", INTERNAL),
        ("$base64decode('YW I=')", INTERNAL),
        ("$base64decode('_w==')", INTERNAL),
        ("$base64decode(1)", mismatch("base64decode", 1)),
        ("$parse('')", INVALID_JSON),
        ("$parse('1 2')", INVALID_JSON),
        ('$parse(\'{"a": 1, "a": 1}\')', INVALID_JSON),
        ("$parse('1e400')", INVALID_JSON),
        ("$parse('NaN')", INVALID_JSON),
        ("$parse($pad('', 5000, '['))", INVALID_JSON),
        ("$parse(null)", mismatch("parse", 1)),
        ("$partition([1], 'a')", mismatch("partition", 2)),
        ("$partition([1], 1, 1)", mismatch("partition", 3)),
        ("$range('a', 1, 1)", mismatch("range", 1)),
        ("$hash('a', [1])", mismatch("hash", 2)),
        ("$random('a')", mismatch("random", 1)),
        ("$random(true)", mismatch("random", 1)),
        ("$random(1, 2)", mismatch("random", 2)),
        ("$uuid(1)", mismatch("uuid", 1)),
        ("$range(1, 360146, 1)", MEMORY),
        ("$range(1, 1e300, 1)", MEMORY),
        ("$range(1, -1e300, -1)", MEMORY),
        ("$pad('', 262145, 'x')", MEMORY),
        ("$pad('', -1e300)", MEMORY),
        ("[1..873783]", MEMORY),
        ("[1..100000000]", MEMORY),
        ("+".join(["1"] * 101), STACK),
        ("(" * 100 + "1" + ")" * 100, STACK),
        ("($f := function($n){$n = 0 ? 0 : 1 + $f($n - 1)}; $f(32))", STACK),
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
            "$states.input.a[b = $$.c]",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to '$$' is not supported.",
        ),
        ("$.c", "UNSUPPORTED_JSONATA_EXPRESSION", "Reference to '$' is not supported."),
        (
            "$uuid() & $hash(phone, 'MD5') & $unknown(phone)",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to 'phone' at the top level is not supported.",
        ),
        (
            "`a b`",
            "UNSUPPORTED_JSONATA_EXPRESSION",
            "Reference to 'a b' at the top level is not supported.",
        ),
        (
            "$x ?? 1",
            "INVALID_JSONATA_EXPRESSION",
            'The symbol "?" cannot be used as a unary operator',
        ),
        (
            "$x ?: 1",
            "INVALID_JSONATA_EXPRESSION",
            'The symbol ":" cannot be used as a unary operator',
        ),
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
        "$states.input and /a??$$/",
        "/* ?? $$ */ $match($states.input, /(?:$$|[/?:])/i)",
        "$states.input.`?:` & '??'",
        "$states.input.(a / 2 / $) ~> $map(function($v){$v})",
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


def test_a_null_after_random_numbers_is_judged_on_the_same_numbers() -> None:
    query = compiled("$shuffle([1..9])[0] + $random() + $length($uuid()) > 0 ? null : 1")
    drawn: list[int] = []

    def draw(below: int) -> int:
        drawn.append(below)
        return 7

    environment = Environment(Payload.of(None), lambda: Payload.of({}), {}, draw)
    assert query.evaluate(environment) is None
    assert sorted(drawn) == [2**53, 2**63, 2**128]


def test_shuffles_by_the_numbers_drawn() -> None:
    query = compiled("$shuffle([1..9])")

    def shuffled(number: int) -> Json:
        return query.evaluate(
            Environment(Payload.of(None), lambda: Payload.of({}), {}, lambda below: number)
        )

    assert shuffled(1) == shuffled(1)
    assert shuffled(1) != shuffled(2)


@pytest.mark.parametrize("name", ["count", "hash", "random", "eval", "uuid", "base64decode"])
def test_a_variable_hides_the_function_of_its_name(name: str) -> None:
    assert compiled(f"${name}").evaluate(surroundings(None, **{name: 5})) == 5
    with pytest.raises(QueryError, match="T1006: Attempted to invoke a non-function"):
        compiled(f"${name}(1)").evaluate(surroundings(None, **{name: 5}))
    assert compiled("$count([1, 2])").evaluate(surroundings(None, other=5)) == 2


def test_references_keep_numbers_that_no_double_holds() -> None:
    data: Json = {"order": {"id": 9007199254740993, "price": 10.0, "each": [2.5, -0.0, 1e20, 1e21]}}
    environment = surroundings(data, order=data)
    whole = '{"id":9007199254740993,"price":10,"each":[2.5,0,100000000000000000000,1e21]}'
    for text in ("$states.input.order", "$order.order"):
        assert Payload.of(compiled(text).evaluate(environment)).text.decode() == whole
    assert compiled("$states.input.order.id").evaluate(environment) == 9007199254740993
    assert data == {
        "order": {"id": 9007199254740993, "price": 10.0, "each": [2.5, -0.0, 1e20, 1e21]}
    }
    assert Payload.of(data).text.count(b"10.0") == 1, "the input stays as it was given"


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def outcome(query: Query, environment: Environment) -> Any:
    try:
        return repr(query.evaluate(environment))
    except QueryError as error:
        cause = error.failure.cause
        assert cause is not None
        return cause.partition("specified for the field")[2]


@given(VALUES, st.lists(KEYS, max_size=3))
def test_references_give_what_the_whole_language_gives(value: Json, names: list[str]) -> None:
    environment = surroundings(value, x=value)
    for root in ("$states.input", "$x"):
        text = ".".join([root, *names])
        # A block is no reference, and has the value of what is in it.
        assert outcome(compiled(text), environment) == outcome(compiled(f"({text})"), environment)


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
