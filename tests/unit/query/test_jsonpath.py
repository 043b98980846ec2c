import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.errors import AuthorError
from eventmill.model import Failure, Json, Payload
from eventmill.query.environment import Environment, no_context
from eventmill.query.jsonpath import (
    IndexOutOfRange,
    NotAnArray,
    PathNotFound,
    PathSyntaxError,
    compile_path,
    compile_reference_path,
)

STORE: Json = {
    "book": [
        {"category": "reference", "author": "Rees", "price": 8.95, "tags": ["a", "b"]},
        {"category": "fiction", "author": "Waugh", "price": 12.99, "tags": []},
        {"category": "fiction", "author": "Melville", "isbn": "0-553", "price": 8.99},
        {"category": "fiction", "author": "Tolkien", "isbn": None, "price": 22.99},
    ],
    "bicycle": {"colour": "red", "price": 19.95},
    "numbers": [3, 1, 2],
    "limit": 10,
    "it's": 1,
    "a.b": 2,
    "back\\slash": 3,
    "grüße": 4,
    "text": "abc",
    "nothing": None,
    "empty": [],
}


def environment_of(value: Json, variables: dict[str, Json] | None = None) -> Environment:
    return Environment(Payload.of(value), no_context, variables or {})


def found(path: str, value: Json = STORE) -> Json:
    return compile_path(path).find(environment_of(value))


def authors(path: str) -> Json:
    return found(f"$.book[?({path})].author")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.bicycle.colour", "red"),
        ("$['bicycle']['colour']", "red"),
        ('$["bicycle"].colour', "red"),
        ("$[ 'bicycle' ].colour", "red"),
        ("$.book[0].author", "Rees"),
        ("$.book[-1].author", "Tolkien"),
        ("$.book[(@.length-1)].author", "Tolkien"),
        ("$['it\\'s']", 1),
        ('$["it\'s"]', 1),
        ("$['a.b']", 2),
        ("$.a\\.b", 2),
        ("$['back\\\\slash']", 3),
        ("$['back\\slash']", 3),
        ("$.grüße", 4),
        ("$.gr\\u00fc\\u00dfe", 4),
        ("$.nothing", None),
        ("$['limit','text']", {"limit": 10, "text": "abc"}),
        ("$['limit','missing']", {"limit": 10}),
    ],
)
def test_a_definite_path_gives_one_value(path: str, expected: Json) -> None:
    assert (found(path), compile_path(path).definite) == (expected, True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.numbers[*]", [3, 1, 2]),
        ("$.numbers.*", [3, 1, 2]),
        ("$.bicycle.*", ["red", 19.95]),
        ("$.numbers[0,2]", [3, 2]),
        ("$.numbers[0,9]", [3]),
        ("$.numbers[1:]", [1, 2]),
        ("$.numbers[:2]", [3, 1]),
        ("$.numbers[1:2]", [1]),
        ("$.numbers[-2:]", [1, 2]),
        ("$.numbers[:-1]", [3, 1]),
        (
            "$.book[*]['author','price']",
            [
                {"author": "Rees", "price": 8.95},
                {"author": "Waugh", "price": 12.99},
                {"author": "Melville", "price": 8.99},
                {"author": "Tolkien", "price": 22.99},
            ],
        ),
        ("$['limit','bicycle'].colour", ["red"]),
        ("$..colour", ["red"]),
        ("$..price", [8.95, 12.99, 8.99, 22.99, 19.95]),
        ("$..book[0].author", ["Rees"]),
        ("$..tags[*]", ["a", "b"]),
        ("$.missing[*]", []),
        ("$.missing.deeper[1:].x", []),
        ("$.text[*]", []),
        ("$[*].nowhere", []),
    ],
)
def test_an_indefinite_path_gathers_an_array(path: str, expected: Json) -> None:
    assert (found(path), compile_path(path).definite) == (expected, False)


def test_a_wildcard_on_an_empty_object_gives_an_empty_array() -> None:
    assert found("$[*]", {}) == []


def test_a_descent_gives_parents_before_children_and_then_the_items() -> None:
    document: Json = {"a": [1, 2], "b": {"a": {"a": 3}}}
    assert found("$..a", document) == [[1, 2], {"a": 3}, 3]
    assert found("$..a[*]", document) == [1, 2, 3]
    assert found("$..*", {"x": [1]}) == [[1], 1]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("@.price < 10", ["Rees", "Melville"]),
        ("@.price <= 8.99", ["Rees", "Melville"]),
        ("@.price > $.limit", ["Waugh", "Tolkien"]),
        ("10 > @.price", ["Rees", "Melville"]),
        ("@.price >= 22.99", ["Tolkien"]),
        ("@.category == 'fiction'", ["Waugh", "Melville", "Tolkien"]),
        ("@['category'] != \"fiction\"", ["Rees"]),
        ("@.category == reference", ["Rees"]),
        ("@.isbn == null && @.author == Tolkien", ["Tolkien"]),
        ("@.price == '8.95'", ["Rees"]),
        ("@.price === '8.95'", []),
        ("@.isbn", ["Melville"]),
        ("!@.isbn", ["Rees", "Waugh", "Tolkien"]),
        ("!(@.isbn)", ["Rees", "Waugh", "Tolkien"]),
        ("@.isbn == null", ["Tolkien"]),
        ("@.isbn != '0-553'", ["Rees", "Waugh", "Tolkien"]),
        ("@.author =~ /t.*/i", ["Tolkien"]),
        ("@.author =~ /.*e.*/", ["Rees", "Melville", "Tolkien"]),
        ("@.author =~ /Ree/", []),
        ("@.author in ['Rees', 'Waugh']", ["Rees", "Waugh"]),
        ("@.author nin ['Rees', \"Waugh\"]", ["Melville", "Tolkien"]),
        ("@.author contains 'el'", ["Melville"]),
        ("@.tags contains 'a'", ["Rees"]),
        ("@.tags size 2", ["Rees"]),
        ("@.tags empty true", ["Waugh"]),
        ("@.tags empty false", ["Rees"]),
        ("@.tags", ["Rees", "Waugh"]),
        ("@.tags[*]", ["Rees"]),
        ("@.tags subsetof ['a','b','c']", ["Rees", "Waugh"]),
        ("@.tags anyof ['a']", ["Rees"]),
        ("@.tags noneof ['a']", ["Waugh"]),
        ("@.tags all ['a','b']", ["Rees"]),
        ("@.tags.length() == 2", ["Rees"]),
        ("@.price < 10 && @.isbn", ["Melville"]),
        ("@.price > 20 || @.tags && @.price < 10", ["Rees", "Tolkien"]),
        ("(@.price > 20 || @.tags) && @.price < 10", ["Rees"]),
        ("@.price < 'x'", []),
        ("@.tags == ['a','b']", ["Rees"]),
    ],
)
def test_a_filter_keeps_the_items_its_condition_holds_for(
    condition: str, expected: list[str]
) -> None:
    assert authors(condition) == expected


def test_a_filter_on_an_object_keeps_the_object_itself() -> None:
    assert found("$.bicycle[?(@.price > 1)]") == [{"colour": "red", "price": 19.95}]
    assert found("$..[?(@.colour)]") == [{"colour": "red", "price": 19.95}]


def test_an_existence_test_keeps_false() -> None:
    assert found("$[?(@.keep)]", [{"keep": False}, {"keep": None}, {}]) == [{"keep": False}]


def test_true_is_not_one_in_a_filter() -> None:
    assert found("$[?(@ == 1)]", [1, True, 1.0, "1"]) == [1, 1.0, "1"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.numbers.length()", 3),
        ("$.text.length()", 3),
        ("$.bicycle.keys()", ["colour", "price"]),
        ("$.numbers.min()", 1.0),
        ("$.numbers.max()", 3.0),
        ("$.numbers.avg()", 2.0),
        ("$.numbers.sum()", 6.0),
        ("$.numbers.stddev()", 0.816496580927726),
        ("$.numbers.first()", 3),
        ("$.numbers.last()", 2),
        ("$.numbers.index(1)", 1),
        ("$.numbers.append(4)", [3, 1, 2, 4]),
        ("$.text.concat('-', $.text, 1)", "-abc1"),
        ("$..price.sum()", 73.87),
        ("$.sum($.numbers, $.limit)", 16.0),
    ],
)
def test_a_function_at_the_end_computes_a_value(path: str, expected: Json) -> None:
    assert found(path) == pytest.approx(expected)


def test_a_function_after_a_wildcard_is_applied_to_each_match() -> None:
    assert found("$.book[*].tags.length()") == [2, 0]


@pytest.mark.parametrize(
    ("path", "detail", "kind"),
    [
        ("$.missing", "No results for path: $['missing']", PathNotFound),
        ("$.bicycle.missing", "No results for path: $['bicycle']['missing']", PathNotFound),
        ("$.missing.deeper", "Missing property in path $['missing']", PathNotFound),
        ("$.numbers[3]", "No results for path: $['numbers'][3]", IndexOutOfRange),
        ("$.numbers[-4]", "No results for path: $['numbers'][-4]", IndexOutOfRange),
        ("$.numbers[3].x", "No results for path: $['numbers'][3]['x']", PathNotFound),
        (
            "$.text[0]",
            "Filter: [0] can only be applied to arrays. Current context is: abc",
            NotAnArray,
        ),
        ("$.nothing[0]", "The path $['nothing'] is null", PathNotFound),
        (
            "$.text.x",
            "Expected to find an object with property ['x'] in path $['text'] but found "
            "'java.lang.String'. This is not a json object according to the JsonProvider: "
            "'com.jayway.jsonpath.spi.json.JacksonJsonProvider'.",
            PathNotFound,
        ),
        (
            "$.empty.max()",
            "Aggregation function attempted to calculate value using empty array",
            PathNotFound,
        ),
        ("$unknown", "Variable 'unknown' is not defined", PathNotFound),
    ],
)
def test_a_definite_path_that_leads_nowhere_says_why(
    path: str, detail: str, kind: type[PathNotFound]
) -> None:
    with pytest.raises(PathNotFound) as caught:
        found(path)
    assert (caught.value.detail, type(caught.value)) == (detail, kind)


def test_roots_are_the_data_the_context_object_and_variables() -> None:
    context = Payload.of({"State": {"Name": "A"}})
    environment = Environment(Payload.of({"a": 1}), lambda: context, {"v": {"w": [2]}})
    paths = ["$.a", "$$.State.Name", "$v.w[0]", "$v", "$v.w[*]"]
    assert [compile_path(path).find(environment) for path in paths] == [
        *(1, "A", 2, {"w": [2]}, [2])
    ]
    assert [compile_path(path).root for path in paths] == ["$", "$$", "$v", "$v", "$v"]


def test_a_filter_may_read_variables_and_the_document() -> None:
    environment = environment_of({"items": [1, 2, 3], "least": 2}, {"most": 2})
    path = compile_path("$.items[?(@ >= $.least && @ <= $most)]")
    assert path.find(environment) == [2]


def test_select_hands_the_payload_itself_on_for_the_root() -> None:
    environment = Environment(Payload(b'{ "a" : 1 }'), no_context, {})
    assert compile_path("$").select(environment) is environment.data
    assert compile_path("$$").select(environment) is environment.context
    assert compile_path("$.a").select(environment).text == b"1"


def test_select_fails_in_the_words_of_aws() -> None:
    with pytest.raises(AuthorError) as caught:
        compile_path("$.missing").select(environment_of({}))
    assert caught.value.failure == Failure(
        error="States.Runtime",
        cause="Invalid path '$.missing' : No results for path: $['missing']",
    )


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", ".a", "..a", "()", "$.", "$..", "$...", "$.a.", "$.a..", "$a b", "$$23", "$23"),
        *("$[", "$[]", "$[a]", "$['a'", "$['a", "$['a',]", "$[1:2:3]", "$[:]", "$[1,2:3]", "$[,]"),
        *(
            "$[?]",
            "$[?()]",
            "$[?(@.a ==)]",
            "$[?(@.a = 1)]",
            "$[?(1)]",
            "$[?(@.a =~ 'x')]",
            "$[?(@.a =~ x)]",
        ),
        *("$[?(@.a =~ /(/)]", "$[?(@.a == /x/)]", "$[?(@.a =~ /x/q)]", "$[?(@.a in [1)]"),
        *(
            "$.a.unknown()",
            "$.length(",
            "$.length(1",
            "$.sum(/x/)",
            "$.a\\",
            "@.a",
            "$ .a",
            "$.a b",
        ),
        *("$.a[99999999999999999999]", "$[٣]", "$[?(@.a == ٣)]", "$[?(@.a == 1e999)]"),
        *("States.UUID()", "$[?(nullable == @.a)]", "$[?(" + "(" * 5000, "$[?(" + "!" * 5000),
    ],
)
def test_what_is_no_path_is_refused_with_a_hint(path: str) -> None:
    with pytest.raises(PathSyntaxError, match=r"^Value is not a valid JSONPath$") as caught:
        compile_path(path)
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *(("$", True), ("$.a['b'][0]", True), ("$$.a", True), ("$v.a", True), ("$.a[-1]", True)),
        *(("$.*", False), ("$..a", False), ("$[0,1]", False), ("$[1:]", False)),
        *(("$['a','b']", False), ("$[?(@.a)]", False), ("$.a.length()", False)),
    ],
)
def test_a_reference_path_has_names_and_indexes_only(path: str, expected: bool) -> None:
    assert compile_path(path).is_reference is expected


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        ("$", {"a": 1}, "new"),
        ("$", [1], "new"),
        ("$.a", {}, {"a": "new"}),
        ("$.a", {"a": 1, "b": 2}, {"a": "new", "b": 2}),
        ("$.a.b.c", {"x": 1}, {"x": 1, "a": {"b": {"c": "new"}}}),
        ("$.a.b", {"a": {"c": 1}}, {"a": {"c": 1, "b": "new"}}),
        ("$['a'][1].b", {"a": [1, {}]}, {"a": [1, {"b": "new"}]}),
        ("$[0]", [1, 2], ["new", 2]),
    ],
)
def test_put_writes_a_copy_and_makes_missing_parents(
    path: str, document: Json, expected: Json
) -> None:
    before = Payload.of(document).text
    assert compile_reference_path(path).put(document, "new") == expected
    assert Payload.of(document).text == before


def test_put_shares_what_is_not_on_the_way() -> None:
    aside: Json = {"large": 1}
    result = compile_reference_path("$.a.b").put({"aside": aside, "a": {}}, 1)
    assert isinstance(result, dict)
    assert result["aside"] is aside


@pytest.mark.parametrize(
    ("path", "document", "cause"),
    [
        ("$.child", 4, "Unable to apply ReferencePath $.child to input 4"),
        ("$.x", "text", 'Unable to apply ReferencePath $.x to input "text"'),
        ("$.x", None, "Unable to apply ReferencePath $.x to input null"),
        ("$.items", [1, 2], 'Unable to apply step "items" to input [1,2]'),
        ("$.a.b", {"a": 4}, 'Unable to apply step "b" to input 4'),
        ("$.a[1]", {"a": [0]}, 'Unable to apply step "1" to input [0]'),
        ("$.a[0]", {}, 'Unable to apply step "0" to input {}'),
    ],
)
def test_put_refuses_what_it_cannot_write_to(path: str, document: Json, cause: str) -> None:
    with pytest.raises(AuthorError) as caught:
        compile_reference_path(path).put(document, 1)
    assert caught.value.failure == Failure(error="States.ReferencePathConflict", cause=cause)


@pytest.mark.parametrize("path", ["$$.a", "$v", "$.*", "$..a", ".guid", "()", "$[?(@.a)]", "x"])
def test_a_result_path_is_a_reference_path_into_the_data(path: str) -> None:
    with pytest.raises(PathSyntaxError, match=r"^Value is not a Reference Path$"):
        compile_reference_path(path)


PATH_PARTS = st.sampled_from(
    [
        *("$", "$$", "$v", "@", ".", "..", "[", "]", "(", ")", "?", "*", ":", ",", "'", '"', "\\"),
        *(
            "a",
            "b",
            "0",
            "-1",
            "1",
            "==",
            "!=",
            "<",
            "=~",
            "/",
            "/x/",
            "&&",
            "||",
            "!",
            "in",
            "size",
        ),
        *("empty", "[?(", ")]", "['a']", ".a", "[0]", "[*]", ".length()", ".sum(", "@.a", "true"),
        *("null", "{}", "States.", "length", "u00e4", "🆗", " ", "\n"),
    ]
)
JSON_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from("ab"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.text() | st.lists(PATH_PARTS, max_size=12).map("".join))
def test_no_text_raises_anything_but_a_syntax_error(text: str) -> None:
    for candidate in (text, "$" + text):
        try:
            path = compile_path(candidate)
        except PathSyntaxError:
            continue
        assert path.text == candidate


@given(st.lists(PATH_PARTS, max_size=8).map("".join))
def test_no_condition_raises_anything_but_a_syntax_error(text: str) -> None:
    try:
        assert compile_path(f"$[?({text})]").definite is False
    except PathSyntaxError as error:
        assert error.hint is not None  # noqa: PT017 - most texts are refused, a few are not


SEGMENTS = st.sampled_from(
    [
        *(".a", "['b']", "[0]", "[-1]", "[*]", ".*", "..a", "..*", "..[0]", "[0,1]", "[:1]"),
        *("['a','b']", ".length()", ".sum()", ".keys()", ".max()", ".concat($.a)", ".first()"),
        *(".append(@)", "[?(@.a)]", "[?(!@.b)]", "[?(@.a == @.b)]", "[?(@ < 1)]"),
        *("[?(@.a =~ /a|b/)]", "[?(@.a in @.b)]", "[?(@.* size 1)]", "[?($.a anyof @)]"),
        *("[?(@..a contains 'a')]", "..[?(@.a)]", ".stddev()", ".avg()", ".index(0)"),
    ]
)


@given(JSON_VALUES, st.lists(SEGMENTS, max_size=5).map("".join))
def test_no_path_raises_anything_but_not_found_on_any_document(document: Json, path: str) -> None:
    compiled = compile_path("$" + path)
    try:
        value = compiled.find(environment_of(document))
    except PathNotFound:
        assert compiled.definite
    else:
        assert compiled.definite or isinstance(value, list)


@given(JSON_VALUES, st.lists(st.sampled_from([".a", "['b']", "[0]"]), max_size=4).map("".join))
def test_what_was_put_is_found_there(document: Json, path: str) -> None:
    before = Payload.of(document).text
    try:
        written = compile_reference_path("$" + path).put(document, "new")
    except AuthorError as error:
        outcome: Json = error.failure.error
    else:
        outcome = found("$" + path, written)
    assert outcome in ("States.ReferencePathConflict", "new")
    assert Payload.of(document).text == before
