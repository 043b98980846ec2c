import pytest

from eventmill.errors import AuthorError
from eventmill.model import Failure, Json, Payload
from eventmill.query.environment import Environment, no_context
from eventmill.query.jsonpath import PathSyntaxError
from eventmill.query.template import DEPTH_MAX, Template, compile_expression, compile_template

MUST_BE_EXPRESSION = "must be a valid JSONPath or a valid intrinsic function call"


def compiled(value: Json) -> Template:
    mistakes: list[tuple[str, str]] = []
    template = compile_template(value, lambda pointer, text: mistakes.append((pointer, text)))
    assert mistakes == []
    return template


def rendered(value: Json, data: bytes = b"{}") -> str:
    return compiled(value).render(Environment(Payload(data), no_context, {})).text.decode()


def mistakes_in(value: Json) -> list[tuple[str, str]]:
    mistakes: list[tuple[str, str]] = []
    compile_template(value, lambda pointer, text: mistakes.append((pointer, text)))
    return mistakes


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"a.$": "$.x"}, '{"a":1}'),
        ({"a.$": "$"}, '{"a":{"x":1,"list":[1,2]}}'),
        ({"a": {"b": [0, {"c.$": "$.x"}]}}, '{"a":{"b":[0,{"c":1}]}}'),
        ([{"a.$": "$.x"}, "$.x"], '[{"a":1},"$.x"]'),
        ({"a.$": "States.Format('{}!', $.x)"}, '{"a":"1!"}'),
        ({"a.$": "$.list[5]"}, '{"a":null}'),
        ({"a.$": "$.list[*]"}, '{"a":[1,2]}'),
        ({"a.$": "$.nowhere[*]"}, '{"a":[]}'),
        ({"a": "$.x", "b": None}, '{"a":"$.x","b":null}'),
        ("$.x", '"$.x"'),
        (None, "null"),
    ],
)
def test_a_template_is_filled_in(template: Json, expected: str) -> None:
    assert rendered(template, b'{"x": 1, "list": [1, 2]}') == expected


@pytest.mark.parametrize(
    ("template", "order"),
    [
        (
            ["index.$", "value.$", "source.$", "parentId.$"],
            ["index", "source", "value", "parentId"],
        ),
        (["index.$", "item.$"], ["item", "index"]),
        (["child", "input.$", "nullable"], ["child", "nullable", "input"]),
        (["z", "a", "m"], ["z", "a", "m"]),
    ],
)
def test_literal_keys_come_first_and_then_the_others_as_a_hash_map_has_them(
    template: list[str], order: list[str]
) -> None:
    value: Json = {key: "$" if key.endswith(".$") else 0 for key in template}
    rendering = compiled(value).render(Environment(Payload(b"1"), no_context, {}))
    assert list(rendering.value if isinstance(rendering.value, dict) else ()) == order


def test_a_template_without_paths_is_one_payload_made_once() -> None:
    template = compiled({"a": [1, {"b": None}]})
    environment = Environment(Payload(b"1"), no_context, {})
    assert template.render(environment) is template.render(environment)
    assert template.render(environment).text == b'{"a":[1,{"b":null}]}'


def test_rendering_shares_the_values_that_paths_yield() -> None:
    data = Payload(b'{"large":{"x":[1]}}')
    environment = Environment(data, no_context, {})
    rendering = compiled({"a.$": "$.large"}).render(environment).value
    assert isinstance(rendering, dict)
    assert isinstance(data.value, dict)
    assert rendering["a"] is data.value["large"]


def test_two_renderings_do_not_share_what_differs() -> None:
    template = compiled({"outer": {"a.$": "$"}})
    first = template.render(Environment(Payload(b"1"), no_context, {}))
    second = template.render(Environment(Payload(b"2"), no_context, {}))
    assert (first.text, second.text) == (b'{"outer":{"a":1}}', b'{"outer":{"a":2}}')


@pytest.mark.parametrize(
    ("template", "data", "cause"),
    [
        (
            {"m.$": "$.nope"},
            b'{"x":"a"}',
            "The JSONPath '$.nope' specified for the field 'm.$' could not be found in the input "
            '\'{"x":"a"}\'',
        ),
        (
            {"outer": [{"leaf.$": "$.a.b"}]},
            b'{\n  "a" : 1\n}',
            "The JSONPath '$.a.b' specified for the field 'leaf.$' could not be found in the input "
            "'{\n  \"a\" : 1\n}'",
        ),
        (
            {"source.$": "$$.Map.Item.Source"},
            b"{}",
            "The JSONPath '$$.Map.Item.Source' specified for the field 'source.$' could not be "
            "found in the input '{\"Execution\":{}}'",
        ),
        (
            {"a.$": "$v.x"},
            b"{}",
            "The JSONPath '$v.x' specified for the field 'a.$' could not be found in the input "
            "'[1]'",
        ),
        (
            {"a.$": "$v[1].x"},
            b"{}",
            "The JSONPath '$v[1].x' specified for the field 'a.$' could not be found in the input "
            "'[1]'",
        ),
    ],
)
def test_a_missing_path_fails_in_the_words_of_aws(template: Json, data: bytes, cause: str) -> None:
    context = Payload(b'{"Execution":{}}')
    environment = Environment(Payload(data), lambda: context, {"v": [1]})
    with pytest.raises(AuthorError) as caught:
        compiled(template).render(environment)
    assert caught.value.failure == Failure(error="States.Runtime", cause=cause)
    assert caught.value.located


def test_the_first_missing_path_as_written_is_the_one_reported() -> None:
    with pytest.raises(AuthorError, match=r"'index\.\$'"):
        rendered({"index.$": "$.a", "item.$": "$.b"})


def test_all_mistakes_are_noted_with_their_place() -> None:
    template: Json = {
        "good1.$": "$.g1",
        "bad1.$": 23,
        "bad2.$": "23",
        "f3": {"bad3.$": [1, 2], "f5": ["f6", {"f/7": {"bad4.$": {"f9": 1}, "good.$": "$.x[2]"}}]},
        "bad5.$": "$$23",
        "bad6.$": "States.Xyz($.result)",
        "bad7.$": "States.Hash('a')",
        "good2.$": "$$",
    }
    assert mistakes_in(template) == [
        (pointer, f"The value for the field '{key}' {MUST_BE_EXPRESSION}")
        for pointer, key in [
            ("/bad1.$", "bad1.$"),
            ("/bad2.$", "bad2.$"),
            ("/f3/bad3.$", "bad3.$"),
            ("/f3/f5/1/f~17/bad4.$", "bad4.$"),
            ("/bad5.$", "bad5.$"),
            ("/bad6.$", "bad6.$"),
            ("/bad7.$", "bad7.$"),
        ]
    ]


@pytest.mark.parametrize("value", [{"a": 1, "a.$": "$"}, {"a.$": "$", "a": 1}])
def test_a_field_given_twice_is_noted(value: Json) -> None:
    assert mistakes_in([value]) == [
        ("/0/a.$", "The field 'a' is given twice, with and without '.$'")
    ]


def test_a_template_nested_too_deeply_is_noted() -> None:
    value: Json = {"a.$": "$"}
    for _ in range(DEPTH_MAX + 1):
        value = [value]
    ((pointer, message),) = mistakes_in(value)
    assert pointer == "/0" * (DEPTH_MAX + 1)
    assert message == "The template is nested more than 200 levels deep"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$.a", b"1"), ("$$.b", b"2"), ("$v", b"3"), ("States.Format('{}', $.a)", b'"1"')],
)
def test_an_expression_is_a_path_or_a_call(text: str, expected: bytes) -> None:
    context = Payload(b'{"b":2}')
    environment = Environment(Payload(b'{"a":1}'), lambda: context, {"v": 3})
    assert compile_expression(text).render(environment).text == expected


@pytest.mark.parametrize("text", ["", "a", "$.", "States.Nope()", "{% $x %}"])
def test_an_expression_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(PathSyntaxError):
        compile_expression(text)


def test_an_expression_that_leads_nowhere_fails_in_the_words_of_aws() -> None:
    with pytest.raises(AuthorError) as caught:
        compile_expression("$.a").render(Environment(Payload(b"{}"), no_context, {}))
    assert caught.value.failure.cause == "Invalid path '$.a' : No results for path: $['a']"
