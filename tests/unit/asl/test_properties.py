"""Whatever the text: a definition or `InvalidDefinition`, and each mistake once."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.asl.choice import OPERATORS
from eventmill.asl.grammar import STATE_FIELDS
from eventmill.asl.parser import check, parse
from eventmill.asl.positions import position_of
from eventmill.errors import InvalidDefinition

FIELDS = sorted(
    {name for fields in STATE_FIELDS.values() for name in fields}
    | set(OPERATORS)
    | {"StartAt", "States", "Variable", "And", "Or", "Not", "ErrorEquals", "Mode", "RoleArn"}
    | {"ProcessorConfig", "MaxAttempts", "BackoffRate", "Condition", "a.$"}
)
WORDS = [
    *STATE_FIELDS, "A", "B", "$", "$.a", "$$.a", "$x", "$.a[*]", "States.UUID()", "States.ALL",
    "{% $states.input %}", "{% $x + 1 %}", "{% [", "{% [ %}",
    "JSONPath", "JSONata", "INLINE", "DISTRIBUTED", "2024-01-01T00:00:00Z",
    "arn:aws:states:::lambda:invoke", "arn:aws:states:::sqs:sendMessage",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=3)
)
names = st.sampled_from(FIELDS) | st.sampled_from(["A", "B"]) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
    max_leaves=12,
)


@st.composite
def states(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """A state that has a real type, mostly fitting fields, and values of any kind."""
    kind = draw(st.sampled_from(sorted(STATE_FIELDS)))
    known = st.sampled_from(sorted(STATE_FIELDS[kind] - {"Type"}))
    fields: dict[str, Any] = draw(st.dictionaries(known | names, values, max_size=5))
    if depth and draw(st.booleans()):
        inner = draw(branches(depth - 1))
        fields |= {"Branches": [inner]} if kind == "Parallel" else {"ItemProcessor": inner}
    return {**fields, "Type": draw(st.just(kind) | values)}


def branches(depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.dictionaries(st.sampled_from(["A", "B", "C"]), states(depth), min_size=1, max_size=3)
    return st.fixed_dictionaries({"StartAt": st.sampled_from(["A", "B"]), "States": inner})


def assert_parse_answers(text: str | bytes) -> None:
    diagnostics = check(text)
    errors = tuple(each for each in diagnostics if each.severity == "ERROR")
    assert len(set(diagnostics)) == len(diagnostics)
    if isinstance(text, str):
        assert all(position_of(text, each.pointer) >= (1, 1) for each in errors)
    if errors:
        with pytest.raises(InvalidDefinition) as raised:
            parse(text)
        assert raised.value.diagnostics == errors
        return
    definition = parse(text)
    assert definition.warnings == diagnostics
    assert definition.machine.start_at in definition.machine.states


@given(values)
def test_any_json_is_parsed_or_refused(value: object) -> None:
    assert_parse_answers(json.dumps(value))


@given(branches())
def test_anything_that_looks_like_a_definition_is_parsed_or_refused(value: object) -> None:
    assert_parse_answers(json.dumps(value))


@given(st.text() | st.binary())
def test_any_text_is_parsed_or_refused(text: str | bytes) -> None:
    assert_parse_answers(text)
