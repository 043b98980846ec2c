"""Facts measured on the service about JSONata: what expressions give, and how they fail."""

from typing import Any

import pytest

from eventmill.model import Json, Payload
from eventmill.query.environment import Environment
from eventmill.query.jsonata import Query, QueryError, compile_query, compile_query_template

MEMBERS = frozenset({"input", "context"})
NO_VALUE = "returned nothing (undefined)."
RAISED = "threw an error during evaluation"
MEMORY = f"{RAISED}: Expression evaluation memory limit exceeded: Check for excessive memory usage"
NBSP, EMOJI = "\u00a0", "\U0001f600"


def compiled(text: str) -> Query:
    query = compile_query(f"{{% {text} %}}", "Output", MEMBERS, lambda *each: None)
    assert query is not None
    return query


def surroundings(data: Json = None, **variables: Json) -> Environment:
    return Environment(Payload.of(data), lambda: Payload.of({}), variables, lambda below: 0)


def written(text: str, data: Json = None, **variables: Json) -> str:
    """The value as it stands in an output."""
    return Payload.of(compiled(text).evaluate(surroundings(data, **variables))).text.decode()


def failure(text: str, data: Json = None, **variables: Json) -> str:
    """What the cause says after the name of the field."""
    with pytest.raises(QueryError) as caught:
        compiled(text).evaluate(surroundings(data, **variables))
    assert caught.value.failure.error == "States.QueryEvaluationError"
    return (caught.value.failure.cause or "").partition(" specified for the field 'Output' ")[2]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$range(-2.9, 0, 1)", "[-2,-1,0]"),
        ("$range(5, 1, -1.5)", "[5,4,3,2,1]"),
        ("$range(1.9, 3.9, 1)", "[1,2,3]"),
        ("$partition([1, 2, 3], 2.9)", "[[1,2],[3]]"),
        ("$random(42.9) = $random(42)", "true"),
        ("$random(-0.5)", "0.730967787376657"),
    ],
)
def test_arguments_are_cut_towards_zero(text: str, value: str) -> None:
    assert written(text) == value


@pytest.mark.parametrize(
    "text",
    ["$partition([1, 2], -0.5)", "$range(1, 5)", "$range(1)", "$range(1, 5, -1)", "$range(5, 1, 1)",
     "$range(1, 5, 0.9)"],
)  # fmt: skip
def test_what_cannot_be_counted_out_is_undefined(text: str) -> None:
    assert failure(text) == NO_VALUE


def test_undefined_drops_a_key_inside_an_object_of_the_expression_only() -> None:
    assert written("{'a': $states.input.none, 'b': [$states.input.none, 1]}") == '{"b":[1]}'


@pytest.mark.parametrize(
    ("template", "location"),
    [
        ({"a": {"b": "{% $states.input.none %}"}}, "Output/a/b"),
        ({"a": {"b": [[0, "{% $states.input.none %}"]]}}, "Output/a/b[0][1]"),
        (["{% $states.input.none %}"], "Output[0]"),
        ({"a": 1, "b": "{% $none %}"}, "Output/b"),
    ],
)
def test_undefined_fails_in_any_leaf_of_a_template(template: Json, location: str) -> None:
    filled = compile_query_template(template, "Output", MEMBERS, lambda *each: None)
    with pytest.raises(QueryError, match=r"returned nothing \(undefined\)\.") as caught:
        filled.render(surroundings({}))
    assert caught.value.location == location


def test_a_literal_number_of_a_template_keeps_its_digits() -> None:
    filled = compile_query_template(
        {"n": 10000000000000000000000001}, "Output", MEMBERS, lambda *each: None
    )
    assert filled.render(surroundings()).text == b'{"n":10000000000000000000000001}'


D3086 = (
    "The sub-picture must not contain a passive character that is preceded by an active character "
    "and that is followed by another active character"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$abs('a')", 'T0410: Argument 1 of function "abs" does not match function signature'),
        ("$sum(['a'])", 'T0412: Argument 1 of function "sum" must be an array of "numbers"'),
        ("1 + 'a'", 'T2002: The right side of the "+" operator must evaluate to a number'),
        ("'a' + 1", 'T2001: The left side of the "+" operator must evaluate to a number'),
        ("$single([1, 2])", "D3138: The $single() function expected exactly 1 matching result.  "
         "Instead it matched more."),
        ("$formatNumber(1, 'x')", f"D3086: {D3086}"),
        ("$formatNumber(1, '0;0;0')",
         "D3080: The picture string must only contain a maximum of two sub-pictures"),
        ("$formatNumber(1, '0.0.0')", "D3081: The sub-picture must not contain more than one "
         "instance of the 'decimal-separator' character"),
        ("$formatNumber(1, '0%‰')", "D3084: The sub-picture must not contain both a 'percent' "
         "and a 'per-mille' character"),
        ("$formatNumber(1, '0,.0')", "D3087: The sub-picture must not contain a "
         "'grouping-separator' character that appears adjacent to a 'decimal-separator' "
         "character"),
        ("$formatNumber(1, '0,')", "D3088: The sub-picture must not contain a "
         "'grouping-separator' at the end of the integer part"),
        ("$formatNumber(1, '0e')", "D3093: The exponent part of the sub-picture must comprise "
         "only of one or more characters that are members of the 'decimal digit family'"),
        ("$replace('a', '', 'b')",
         "D3010: Second argument of replace function cannot be an empty string"),
        ("$hash('a', 'sha-1')", "D3137: Hash algorithm 'sha-1' must be one of SHA-1, SHA-384, "
         "SHA-256, SHA-512, MD5"),
        ("$sort([1, 'a'])", "D3070: The single argument form of the sort function can only be "
         "applied to an array of strings or an array of numbers.  Use the second argument to "
         "specify a comparison function"),
        ("$decodeUrlComponent('%zz')",
         'D3140: Malformed URL passed to $decodeUrlComponent(): "%zz"'),
    ],
)  # fmt: skip
def test_messages_are_those_of_the_reference_implementation(text: str, message: str) -> None:
    assert failure(text) == f"{RAISED}. {message}"


def test_a_variable_hides_the_function_of_its_name_when_it_is_called() -> None:
    told = f"{RAISED}. T1006: Attempted to invoke a non-function"
    assert failure("$count([1])", count=1) == told


def test_a_text_may_have_2_to_the_22_characters_and_not_2_to_the_23() -> None:
    half, whole = "a" * 2**21, "a" * 2**22
    for joined in ("$states.input & $states.input", "$join([$states.input, $states.input])"):
        assert written(f"$length({joined})", half) == str(2**22)
        assert failure(f"$length({joined})", whole) == MEMORY


@pytest.mark.parametrize("text", ["[1..900000] ~> $count()", "$sum([1..900000])"])
def test_an_array_that_takes_too_much_memory_fails_inside_a_call_too(text: str) -> None:
    assert failure(text) == MEMORY


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$string(1e20)", '"100000000000000000000"'),
        ("$string(1e21)", '"1e+21"'),
        ("$string(1e-6)", '"0.000001"'),
        ("$string(1e-7)", '"1e-7"'),
        ("$string(1/3)", '"0.333333333333333"'),
        ("9223372036854775808", "9223372036854776000"),
        ("1.0", "1"),
        ("$count(null)", "1"),
        ("$exists(null)", "true"),
        ("[null, {'a': null}]", '[null,{"a":null}]'),
        ('$parse(\'{"z": 1, "a": 2}\')', '{"z":1,"a":2}'),
        ("$parse(\"{'a': 1}\")", '{"a":1}'),
    ],
)
def test_values_are_written_as_the_service_writes_them(text: str, value: str) -> None:
    assert written(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$replace('abc', 'b', '$0x')", '"a$0xc"'),
        ("$round(2.5)", "2"),
        ("$round(3.5)", "4"),
        ("$round(-2.5)", "-2"),
        ("$round(2.675, 2)", "2.68"),
        ("$round(25, -1)", "20"),
        ("$base64decode('YQ')", '"a"'),
        ("$sort(['a', 'B', '\U0001f600', '\uffee'])", '["B","a","\U0001f600","\uffee"]'),
        ("$sort([{'k': 1, 'v': 2}, {'k': 1, 'v': 1}], function($a, $b){$a.k > $b.k}).v", "[2,1]"),
        ("$distinct([1, true, 1, [1], [1]])", "[1,true,[1]]"),
        ("$pad('a', 6.5, 'xy')", '"axyxyx"'),
        ("$substring('hello', -10, 2)", '"he"'),
        ("$split('a.b.', '.')", '["a","b",""]'),
        ("$power(-7, 3) & $ceil(-1.5) & $floor(-1.5)", '"-343-1-2"'),
        ("$boolean([0, [0]])", "false"),
    ],
)
def test_functions_give_what_was_measured(text: str, value: str) -> None:
    assert written(text) == value


@pytest.mark.parametrize(
    ("pattern", "text", "replaced"),
    [
        (r"/^\s+|\s+$/", f"{NBSP} a\u3000", f"{NBSP} a\u3000"),
        (r"/^\s+|\s+$/", " \t\n\r\f\va \n", "a"),
        (r"/[\s,]+/", f"a, {NBSP}", f"a{NBSP}"),
        (r"/\S+/", f"{NBSP} ", " "),
        (r"/\\s/", r"a\sb", "ab"),
        (r"/[\S]/", f"{NBSP} a", " "),
        (r"/[^\s]/i", f"{NBSP} a", " "),
    ],
)
def test_white_space_of_a_regular_expression_is_that_of_ascii(
    pattern: str, text: str, replaced: str
) -> None:
    assert (
        compiled(f"$replace($states.input, {pattern}, '')").evaluate(surroundings(text)) == replaced
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$base64encode('é😀')", "w6nwn5iA"),
        ("$base64decode('w6nwn5iA')", "é😀"),
        ("$base64decode('/w==')", "\ufffd"),
        ("$base64decode($base64encode('a b'))", "a b"),
        ("['a', 'é'].$base64encode()", ["YQ==", "w6k="]),
    ],
)
def test_base64_is_of_the_bytes_of_utf_8(text: str, value: Json) -> None:
    assert compiled(text).evaluate(surroundings()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("$decodeUrlComponent('a+b%20c')", "a b c"), ("$decodeUrlComponent('%E6')", "\ufffd")],
)
def test_a_plus_in_a_component_of_a_url_is_a_space(text: str, value: Json) -> None:
    assert compiled(text).evaluate(surroundings()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$floor(1/0)", "Infinity"),
        ("$floor(-1/0)", "-Infinity"),
        ("$floor(0/0)", "NaN"),
        ("1/0 > 5", True),
        ("5 > -1/0", True),
        ("1/0 < 5", False),
    ],
)
def test_an_infinity_may_be_compared_and_rounded(text: str, value: Json) -> None:
    assert compiled(text).evaluate(surroundings()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$states.input.n", "9007199254740993"),
        ("$n", "9007199254740993"),
        ("$states.input", '{"n":9007199254740993}'),
    ],
)
def test_whole_numbers_are_exact_within_a_long(text: str, value: str) -> None:
    assert written(text, {"n": 9007199254740993}, n=9007199254740993) == value


@pytest.mark.parametrize("text", ["$states.input.n", "$n", "$states.input", "[$n]", "$n + 0"])
def test_whole_numbers_beyond_a_long_are_doubles(text: str) -> None:
    number = 10000000000000000000000001
    assert "1e25" in written(text, {"n": number}, n=number)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="the library has doubles only")
@pytest.mark.parametrize("text", ["[$n]", "{'id': $n}"])
def test_whole_numbers_within_a_long_are_exact_inside_an_expression_too(text: str) -> None:
    assert "9007199254740993" in written(text, n=9007199254740993)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="the library counts code points")
@pytest.mark.parametrize(
    "text",
    ["$count($split('\U0001f600', '')) = 2", "$substring('h\U0001f600', -1) != '\U0001f600'"],
)
def test_units_of_utf_16_show_through(text: str) -> None:
    assert written(text) == "true"


def refused(text: str) -> list[Any]:
    found: list[Any] = []
    compile_query(f"{{% {text} %}}", "Output", MEMBERS, lambda *each: found.append(each))
    return found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", 'Expected "]" before end of expression'),
        ("[1, 2,,", 'The symbol "," cannot be used as a unary operator'),
        ("'a", "String literal must be terminated by a matching quote"),
        ("1 +", "Unexpected end of expression"),
        ("}", 'The symbol "}" cannot be used as a unary operator'),
        ("/a", "No terminating / in regular expression"),
        ("($a[0, 1])", 'Expected "]", got ","'),
    ],
)
def test_broken_expressions_are_refused_in_the_words_of_the_parser(text: str, message: str) -> None:
    assert refused(text) == [("INVALID_JSONATA_EXPRESSION", message)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("phone & name & phone", ["phone", "name"]),
        ("$map([1], function($v){phone})", ["phone"]),
        ("$states.input[phone = 1]^(phone).phone", []),
        ("$states.input.phone.(phone)", []),
    ],
)
def test_a_name_at_the_top_level_is_refused_once(text: str, names: list[str]) -> None:
    assert refused(text) == [
        (
            "UNSUPPORTED_JSONATA_EXPRESSION",
            f"Reference to '{name}' at the top level is not supported.",
        )
        for name in names
    ]
