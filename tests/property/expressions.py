"""Expressions in the three languages, some of them well-formed: made of their tokens."""

from typing import Any, Final

from hypothesis import strategies as st

from eventmill.query.intrinsic_functions import INTRINSIC_FUNCTIONS

_PATH_TOKENS: Final = (
    "$", "$$", "@", ".", "..", "[", "]", "[*]", "?(", "(", ")", "'a'", '"b"', "a", "items", "0",
    "-1", ":", ",", "==", "<", "&&", "||", "!", "=~", "/a/i", ".length()", ".sum()", "true",
    "null", "1.5", "1e999", "99999999999999999999", "\\u0041", "\\", " ", " in ", "[1,2]",
    "'", "$x", ".max(", "{", "}", "*", "é", "contains", "empty", "\ud83d",
)  # fmt: skip

_NAME: Final = st.sampled_from(["a", "b", "k", "items", "text", "n", "length", "in"])
_LITERAL: Final = st.sampled_from(
    ["1", "-1.5", "'a'", '"x*"', "true", "null", "[1, 'a']", "{'a': 1}", "/a.*/i", "abc", "1e400"]
)
_OPERATOR: Final = st.sampled_from(
    ["==", "!=", "<", "<=", ">", ">=", "=~", "in", "nin", "contains", "size", "empty", "subsetof",
     "anyof", "noneof", "all", "===", "!=="]
)  # fmt: skip
_FUNCTION: Final = st.sampled_from(
    ["length", "size", "min", "max", "avg", "sum", "stddev", "keys", "first", "last", "concat",
     "append", "index"]
)  # fmt: skip


def _joined(*parts: Any) -> st.SearchStrategy[str]:
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map("".join)


def _segment(path: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operand = path | _LITERAL
    comparison = _joined(operand, " ", _OPERATOR, " ", operand)
    condition = comparison | path | _joined("!", path) | _joined(comparison, " && ", comparison)
    return st.one_of(
        _joined(".", _NAME),
        _joined("['", _NAME, "']"),
        _joined("['", _NAME, "','", _NAME, "']"),
        _joined("[", st.integers(-3, 3).map(str), "]"),
        st.sampled_from([".*", "[*]", "[0,1]", "[1:]", "[:-1]", "[0:2]", "..*", "[(@.length-1)]"]),
        _joined("..", _NAME),
        _joined("[?(", condition, ")]"),
        _joined(".", _FUNCTION, "()"),
        _joined(".", _FUNCTION, "(", operand, ")"),
    )


def _following(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    root = st.sampled_from(["$", "@", "$$", "$x", "$.items"])
    return _joined(root, st.lists(_segment(inner), max_size=4).map("".join))


_WELL_FORMED_PATHS: Final = st.recursive(
    st.sampled_from(["$", "@.a", "$.n", "$x", "$$.State"]), _following, max_leaves=6
)
paths: Final = _WELL_FORMED_PATHS | st.lists(st.sampled_from(_PATH_TOKENS), max_size=12).map(
    lambda tokens: "$" + "".join(tokens)
)

_ARGUMENT: Final = st.sampled_from(
    ["$.a", "$.n", "$.items", "$.text", "$", "$x", "$$.State.Name", "$.items[*]", "'a {} b'",
     "'a,b'", "''", "'MD5'", "'SHA-256'", "'YQ=='", "'!!!'", "'[1, {\"a\": 2}]'", "0", "1", "-7",
     "3.5", "2147483648", "1e300", "true", "false", "null", r"'\{\}\\'", "'it\\'s'", "$.nothing"]
)  # fmt: skip


@st.composite
def _call(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    name = draw(st.sampled_from(sorted(INTRINSIC_FUNCTIONS)))
    function = INTRINSIC_FUNCTIONS[name]
    most = 4 if function.arguments_max is None else function.arguments_max
    count = draw(st.integers(function.arguments_min, most))
    return f"{name}({', '.join(draw(inner) for _ in range(count))})"


_CALLS: Final = st.recursive(_ARGUMENT, _call, max_leaves=6).filter(
    lambda text: text.startswith("States.")
)
_INTRINSIC_TOKENS: Final = (
    "States.Format", "States.Array", "(", ")", ",", " ", "'", "'{}'", "\\", "$.a", "1", "-", "é",
    "States.", "null", "'\\x'", "{}", "$", "[", "]",
)  # fmt: skip
intrinsics: Final = _CALLS | st.lists(st.sampled_from(_INTRINSIC_TOKENS), max_size=10).map("".join)

_QUERY_FUNCTIONS: Final = (
    "abs", "append", "average", "base64decode", "base64encode", "boolean", "ceil", "contains",
    "count", "decodeUrl", "distinct", "each", "encodeUrlComponent", "error", "eval", "exists",
    "filter", "floor", "formatBase", "formatInteger", "formatNumber", "fromMillis", "hash", "join",
    "keys", "length", "lookup", "lowercase", "map", "match", "max", "merge", "min", "not",
    "number", "pad", "parse", "parseInteger", "partition", "power", "random", "range", "reduce",
    "replace", "reverse", "round", "shuffle", "sift", "single", "sort", "split", "spread", "sqrt",
    "string", "substring", "substringAfter", "sum", "toMillis", "trim", "type", "uppercase",
    "uuid", "zip", "nothing", "x",
)  # fmt: skip
_QUERY_LEAVES: Final = st.sampled_from(
    ["1", "0", "-1.5", "1e300", "9007199254740993", "'a'", "''", '"é\\u20ac"', "true", "null",
     "$states.input", "$states.input.a", "$states.input.items", "$states.result", "$x", "$y",
     "$states.context.State.Name", "[]", "{}", "/a+/i", "function($v){$v}", "'YQ'", "'!!!'",
     "'SHA-1'", "[1..4]", "'#0.0'", "$now()", "$sum", "$", "a", "'2024-01-01T00:00:00Z'"]
)  # fmt: skip


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(
        ["+", "-", "*", "/", "%", "&", "=", "!=", "<", ">=", "and", "or", "in", "..", "~>", "."]
    )
    function = st.sampled_from(_QUERY_FUNCTIONS)
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        _joined("$", function, "(", arguments, ")"),
        _joined("(", inner, " ", operator, " ", inner, ")"),
        _joined("[", arguments, "]"),
        _joined("{'k': ", inner, ", 'l': ", inner, "}"),
        _joined("(", inner, ")[", inner, "]"),
        _joined("(", inner, " ? ", inner, " : ", inner, ")"),
        _joined("$map(", inner, ", function($v, $i){ ", inner, " })"),
        _joined("($z := ", inner, "; $z)"),
        _joined("(", inner, ")^(>a)"),
        _joined("$states.input.items.(", inner, ")"),
    )


_QUERY_TOKENS: Final = (
    "$", "$$", "$x", "states", "$states.input", ".", "(", ")", "[", "]", "{", "}", "'a'", "1", "+",
    "-", "*", "/", "%", "&", "..", ":=", ";", "?", ":", "??", "?:", "~>", "^", "@", "#", "|", "`",
    "function", "/a/", "/*", "*/", " ", "and", "in", "é", "\\", '"', "\ud800", "!=", "0x", "1e",
)  # fmt: skip
queries: Final = st.recursive(_QUERY_LEAVES, _compound, max_leaves=8) | st.lists(
    st.sampled_from(_QUERY_TOKENS), max_size=10
).map("".join)
