import base64
import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.errors import AuthorError
from eventmill.model import Failure, Json, Payload
from eventmill.query.environment import Draw, Environment, no_context, no_draw
from eventmill.query.intrinsics import NESTING_MAX, compile_intrinsic
from eventmill.query.java import Random
from eventmill.query.jsonpath import PathSyntaxError


def evaluated(text: str, data: Json = None, draw: Draw = no_draw) -> Json:
    environment = Environment(Payload.of(data), no_context, {"v": "variable"}, draw)
    return compile_intrinsic(text)(environment)


def failure_of(text: str, data: Json = None) -> Failure:
    with pytest.raises(AuthorError) as caught:
        evaluated(text, data)
    return caught.value.failure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("States.Format('plain')", "plain"),
        ("States.Format('{}{}-{}', 1, 'a', null)", "1a-null"),
        ("States.Format('{} is {}', true, 1.50)", "true is 1.5"),
        ("States.Format('\\{{}\\}', 'x')", "{x}"),
        ("States.Format('it\\'s {}', 'it\\'s')", "it's it's"),
        ("States.Format('\\\\{}', 1)", "\\1"),
        ("States.Format('{\"a\": {}}', 1)", '{"a": 1}'),
        ("States.Format('{}', 12345678.0)", "1.2345678E7"),
        ("States.Format('{}', States.Array(1, 'a', States.Array()))", "[1, a, []]"),
        ("States.Format($v)", "variable"),
        ("States.StringToJson('\\{\"a\": [1, null]\\}')", {"a": [1, None]}),
        ("States.StringToJson('1')", 1),
        ("States.JsonToString(States.Array('ü', 1.0))", '["ü",1.0]'),
        ("States.Array()", []),
        ("States.Array( 'a' , 2.3, -1, true, false, null )", ["a", 2.3, -1, True, False, None]),
        ("States.ArrayPartition(States.Array(1, 2, 3), 2)", [[1, 2], [3]]),
        ("States.ArrayPartition(States.Array(1, 2, 3), 1.5)", [[1, 2], [3]]),
        ("States.ArrayContains(States.Array(1, 'a'), 'a')", True),
        ("States.ArrayContains(States.Array(1), true)", False),
        ("States.ArrayContains(States.Array(1), '1')", False),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(1, 10, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayRange(3, 1, 1)", []),
        ("States.ArrayGetItem(States.Array('a', 'b'), 1)", "b"),
        ("States.ArrayLength(States.Array(null))", 1),
        (
            "States.ArrayUnique(States.Array(1, true, '1', 1.0, States.Array(1), States.Array(1)))",
            [1, True, "1", [1]],
        ),
        ("States.Base64Encode('Grüße')", "R3LDvMOfZQ=="),
        ("States.Base64Decode('R3LDvMOfZQ==')", "Grüße"),
        ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("States.Hash(States.Array(1), 'MD5')", "35dba5d75538a9bbe0b4da4422759a0e"),
        ("States.MathAdd(1.5, -1.5)", 1),
        ("States.StringSplit('a,b;;c,', ',;')", ["a", "b", "c"]),
        ("States.StringSplit('abc', '')", ["abc"]),
        ("States.StringSplit('', ',')", []),
    ],
)
def test_a_call_gives_its_value(text: str, expected: Json) -> None:
    result = evaluated(text)
    assert (result, type(result)) == (expected, type(expected))


def test_a_range_may_have_a_thousand_items_and_a_text_ten_thousand_characters() -> None:
    assert evaluated("States.ArrayRange(1, 1000, 1)") == list(range(1, 1001))
    digest = evaluated("States.Hash($, 'MD5')", "x" * 10_000)
    assert digest == hashlib.md5(b"x" * 10_000).hexdigest()


def test_a_merge_is_shallow_and_comes_out_in_the_order_of_a_hash_map() -> None:
    data: Json = {"one": {"a": {"x": 1}, "b": 2, "d": 3}, "other": {"a": {"y": 1}, "c": 3, "d": 4}}
    merged = evaluated("States.JsonMerge($.one, $.other, false)", data)
    assert Payload.of(merged).text == b'{"a":{"y":1},"b":2,"c":3,"d":4}'


def test_paths_may_be_arguments_with_filters_in_them() -> None:
    data: Json = {"items": [{"n": "a, (b)", "v": 1}, {"n": "c", "v": 2}]}
    text = "States.Array($.items[?(@.n == 'a, (b)')].v, $['items'][0].v , $v)"
    assert evaluated(text, data) == [[1], 1, "variable"]


def test_a_template_from_the_data_is_filled_in() -> None:
    assert evaluated("States.Format($.t, 1)", {"t": "n={}"}) == "n=1"


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("States.ArrayLength($.number)", "States.ArrayLength"),
        ("States.Format('{} {}', 1)", "States.Format"),
        ("States.Format('{}', 1, 2)", "States.Format"),
        ("States.Format($.number)", "States.Format"),
        ("States.StringToJson('[')", "States.StringToJson"),
        ("States.StringToJson($.number)", "States.StringToJson"),
        ("States.ArrayPartition($.list, 0)", "States.ArrayPartition"),
        ("States.ArrayPartition($.number, 1)", "States.ArrayPartition"),
        ("States.ArrayContains($.number, 1)", "States.ArrayContains"),
        ("States.ArrayRange(1, 2, 0)", "States.ArrayRange"),
        ("States.ArrayRange(0, 1000, 1)", "States.ArrayRange"),
        ("States.ArrayGetItem($.list, 3)", "States.ArrayGetItem"),
        ("States.ArrayGetItem($.list, -1)", "States.ArrayGetItem"),
        ("States.ArrayGetItem($.list, '1')", "States.ArrayGetItem"),
        ("States.ArrayUnique('a')", "States.ArrayUnique"),
        ("States.Base64Encode(1)", "States.Base64Encode"),
        ("States.Base64Encode($.long)", "States.Base64Encode"),
        ("States.Base64Decode('*')", "States.Base64Decode"),
        ("States.Hash('a', 'SHA-2')", "States.Hash"),
        ("States.Hash($.long, 'MD5')", "States.Hash"),
        ("States.JsonMerge($, $, true)", "States.JsonMerge"),
        ("States.JsonMerge($, $.list, false)", "States.JsonMerge"),
        ("States.MathAdd(1, true)", "States.MathAdd"),
        ("States.MathAdd(2147483648, 0)", "States.MathAdd"),
        ("States.MathAdd($.infinity, 0)", "States.MathAdd"),
        ("States.MathRandom(1, 1)", "States.MathRandom"),
        ("States.StringSplit('a', 1)", "States.StringSplit"),
        ("States.Array(States.ArrayLength(1))", "States.ArrayLength"),
    ],
)
def test_values_a_function_cannot_take_fail_in_the_words_of_aws(text: str, function: str) -> None:
    data: Json = {"number": 1, "list": [1, 2, 3], "long": "x" * 10_001, "infinity": float("inf")}
    assert failure_of(text, data) == Failure(
        error="States.Runtime",
        cause=f"There was an error while evaluating the intrinsic function: {text}. "
        f"Invalid arguments in {function}",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "States.Format('{}', $.nope)",
            "The JsonPath argument for the field '$.nope' could not be found in the input "
            '\'{"list":[1],"one":1}\'',
        ),
        (
            "States.Array(States.ArrayLength($.list[1]))",
            "The JsonPath argument for the field '$.list[1]' could not be found in the input "
            '\'{"list":[1],"one":1}\'',
        ),
        (
            "States.Array($$.Nope)",
            "The JsonPath argument for the field '$$.Nope' could not be found in the input '{}'",
        ),
        (
            "States.Array($.one[0])",
            "Filter: [0] can only be applied to arrays. Current context is: 1",
        ),
    ],
)
def test_a_missing_argument_fails_in_the_words_of_aws(text: str, reason: str) -> None:
    assert failure_of(text, {"list": [1], "one": 1}) == Failure(
        error="States.Runtime", cause=f"The function '{text}' had the following error: {reason}"
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("States.Nope()", "after one of"),
        ("States.Array", "after one of"),
        ("Array()", "after one of"),
        ("States.UUID(1)", "expected 0 arguments in States.UUID, not 1"),
        ("States.Format()", "at least 1 arguments in States.Format, not 0"),
        ("States.MathRandom(1)", "2 or 3 arguments in States.MathRandom, not 1"),
        ("States.Hash('a')", "2 arguments in States.Hash, not 1"),
        ("States.Array(1", "',' or ')'"),
        ("States.Array(1,)", "a path, a text"),
        ('States.Array("a")', "a path, a text"),
        ("States.Array('a)", "a path, a text"),
        ("States.Array('\\n')", "an escape of"),
        ("States.Array('An \\\"escaped\\\" quote')", "an escape of"),
        ("States.Array(01)", "',' or ')'"),
        ("States.Array($.a[)", "in the brackets"),
        ("States.Array()[0]", "nothing after"),
        ("States.Format('{}' 1)", "',' or ')'"),
        ("States.Array(" * (NESTING_MAX + 1) + ")" * (NESTING_MAX + 1), "at most 10 functions"),
        ("States.Array(" * 5000, "at most 10 functions"),
    ],
)
def test_what_is_no_call_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(PathSyntaxError) as caught:
        compile_intrinsic(text)
    assert hint in str(caught.value.hint)


def test_ten_functions_may_be_inside_each_other() -> None:
    nested = "States.Array(" * NESTING_MAX + ")" * NESTING_MAX
    assert Payload.of(evaluated(nested)).text == b"[" * 10 + b"]" * 10


def test_a_uuid_is_of_version_4_and_made_from_the_numbers_drawn() -> None:
    bounds: list[int] = []

    def draw(bound: int) -> int:
        bounds.append(bound)
        return bound - 1

    made = evaluated("States.UUID()", draw=draw)
    assert made == "ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert (uuid.UUID(str(made)).version, bounds) == (4, [1 << 128])
    assert (
        evaluated("States.UUID()", draw=lambda bound: 0) == "00000000-0000-4000-8000-000000000000"
    )


def test_a_random_number_starts_at_the_first_and_stays_below_the_last() -> None:
    text = "States.MathRandom($.first, $.last)"
    data: Json = {"first": 12.5, "last": 44.51}
    assert evaluated(text, data, draw=lambda bound: 0) == 13
    assert evaluated(text, data, draw=lambda bound: bound - 1) == 44
    assert evaluated("States.MathRandom(-2147483648, 2147483647)", draw=lambda bound: 7) == (
        -2147483641
    )


def test_a_seeded_random_number_is_that_of_java() -> None:
    assert evaluated("States.MathRandom(100, 110, 42)") == 100 + Random(42).next_int(10)
    assert evaluated("States.MathRandom(100, 110, 42)") == 100


@given(st.text(max_size=50))
def test_base64_and_json_texts_can_be_turned_back(text: str) -> None:
    data: Json = {"t": text}
    assert evaluated("States.Base64Decode(States.Base64Encode($.t))", data) == text
    assert evaluated("States.StringToJson(States.JsonToString($.t))", data) == text
    assert evaluated("States.Base64Encode($.t)", data) == base64.b64encode(text.encode()).decode()


CALL_PARTS = st.sampled_from(
    [
        *(
            "States.",
            "Array",
            "Format",
            "States.Array(",
            "States.Format(",
            "States.Hash(",
            "(",
            ")",
        ),
        *(",", "'", "''", "'{}'", "\\", "\\'", "$.a", "$", "[0]", "[?(", "1", "-", "1.5", "null"),
        *(" ", "true", "States.UUID()", '"', "{", "}"),
    ]
)


@given(st.text() | st.lists(CALL_PARTS, max_size=10).map("".join))
def test_no_text_raises_anything_but_a_syntax_error(text: str) -> None:
    for candidate in (text, f"States.Array({text})"):
        try:
            compile_intrinsic(candidate)
        except PathSyntaxError as error:
            assert error.hint is not None  # noqa: PT017 - most texts are refused, a few are not


ANY_JSON: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *(("Format", 2), ("StringToJson", 1), ("JsonToString", 1), ("Array", 2)),
        *(("ArrayPartition", 2), ("ArrayContains", 2), ("ArrayRange", 3), ("ArrayGetItem", 2)),
        *(("ArrayLength", 1), ("ArrayUnique", 1), ("Base64Encode", 1), ("Base64Decode", 1)),
        *(("Hash", 2), ("JsonMerge", 3), ("MathRandom", 2), ("MathRandom", 3), ("MathAdd", 2)),
        ("StringSplit", 2),
    ],
)
@given(data=st.lists(ANY_JSON, min_size=3, max_size=3))
def test_no_value_raises_anything_but_an_author_error(
    name: str, count: int, data: list[Json]
) -> None:
    arguments = ", ".join(f"$[{index}]" for index in range(count))
    try:
        result = evaluated(f"States.{name}({arguments})", data, draw=lambda bound: 0)
    except AuthorError as error:
        result = error.failure.error
    assert Payload.parse(Payload.of(result).text).value == result
