"""Whatever the text and the data: a value, or one of the errors that the documentation names."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.asl.parser import check, parse
from eventmill.asl.positions import position_of
from eventmill.errors import AuthorError, InvalidDefinition
from eventmill.machine.execution import RUNNING
from eventmill.model import Json, Payload, Quotas, decode_json, encode_json
from eventmill.query.environment import Environment
from eventmill.query.intrinsics import compile_intrinsic
from eventmill.query.jsonata import compile_query, compile_query_template
from eventmill.query.jsonpath import (
    PathNotFound,
    PathSyntaxError,
    compile_path,
    compile_reference_path,
)
from eventmill.query.template import compile_template
from eventmill.runtime.replay import verify
from tests.property.definitions import Definition, definitions
from tests.property.documents import VALUES, damaged
from tests.property.effort import examples, patience
from tests.property.expressions import intrinsics, paths, queries
from tests.property.trials import IDENTITY, Happening, happenings, inputs, run

pytestmark = patience

MEMBERS: Final = frozenset({"input", "result", "errorOutput", "context"})
KEPT_SHORT: Final = Quotas(history_events_max=80)


def surroundings(data: Json, x: Json = None) -> Environment:
    drawn = iter(range(1, 10_000))
    return Environment(
        Payload.of(data),
        lambda: Payload.of({"State": {"Name": "S"}}),
        {"x": x},
        lambda below: next(drawn) % below,
        result=Payload.of([x, "the result"]),
        now_ms=1_700_000_000_000,
    )


def is_unicode(text: str) -> bool:
    """Whether a JSON document can hold the text: no half of a surrogate pair stands in it."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def assert_is_json(value: Json) -> None:
    """A value means the same when it is written and read again: a history keeps only its text."""
    assert repr(decode_json(encode_json(value))) == repr(value)


def outcome(evaluate: Callable[[], Json]) -> tuple[Json, AuthorError | None]:
    """The value, or the author's kind of failure; any other error is ours."""
    try:
        return evaluate(), None
    except AuthorError as error:
        return None, error


@examples(500)
@given(paths, VALUES, VALUES)
def test_a_path_is_refused_or_leads_somewhere_or_nowhere(text: str, data: Json, x: Json) -> None:
    before = repr(data)
    try:
        path = compile_path(text)
    except PathSyntaxError:
        return
    environment = surroundings(data, x)
    try:
        value = path.find(environment)
    except PathNotFound:
        if path.text not in ("$", "$$"):
            with pytest.raises(AuthorError):
                path.select(environment)
    else:
        assert_is_json(value)
        assert path.select(environment).value == value
        assert path.definite or isinstance(value, list)
    assert repr(data) == before


@examples(300)
@given(paths, VALUES, VALUES)
def test_what_was_put_at_a_path_is_found_there(text: str, data: Json, value: Json) -> None:
    before = repr(data)
    try:
        path = compile_reference_path(text)
    except PathSyntaxError:
        return
    changed, error = outcome(lambda: path.put(data, value))
    if error is None:
        assert_is_json(changed)
        assert compile_path(text).find(surroundings(changed)) == value
    else:
        assert error.failure.error == "States.ReferencePathConflict"
    assert repr(data) == before


@examples(500)
@given(intrinsics, VALUES, VALUES)
def test_an_intrinsic_is_refused_or_gives_json_or_fails(text: str, data: Json, x: Json) -> None:
    try:
        evaluate = compile_intrinsic(text)
    except PathSyntaxError:
        return
    value, error = outcome(lambda: evaluate(surroundings(data, x)))
    if error is None:
        assert_is_json(value)
        assert repr(evaluate(surroundings(data, x))) == repr(value)
    else:
        assert error.failure.error == "States.Runtime"


@examples(500)
@given(queries, VALUES, VALUES)
def test_a_query_is_refused_or_gives_json_or_fails(text: str, data: Json, x: Json) -> None:
    mistakes: list[tuple[str, str]] = []
    query = compile_query(f"{{%{text}%}}", "Output", MEMBERS, lambda *each: mistakes.append(each))
    assert (query is None) == bool(mistakes)
    if query is None:
        return
    before = repr((data, x))
    value, error = outcome(lambda: query.evaluate(surroundings(data, x)))
    if error is None:
        assert_is_json(value)
        assert repr(query.evaluate(surroundings(data, x))) == repr(value)
    else:
        assert error.failure.error == "States.QueryEvaluationError"
        assert error.location == "Output"
    assert repr((data, x)) == before


TEMPLATES: Final = st.dictionaries(
    st.sampled_from(["a", "a.$", "b.$", "c"]),
    (paths | intrinsics | queries.map("{{% {} %}}".format)).filter(is_unicode) | VALUES,
)


@examples(200)
@given(TEMPLATES)
def test_a_template_is_noted_or_gives_json_or_fails(value: Json) -> None:
    notes: list[tuple[str, str]] = []
    for template in (
        compile_template(value, lambda *each: notes.append(each)),
        compile_query_template(value, "Output", MEMBERS, lambda *each: notes.append(each[:2])),
    ):
        if notes:
            continue
        try:
            rendered = template.render(surroundings({"a": [1, {"b": 2.5}]}))
        except AuthorError:
            continue
        assert_is_json(rendered.value)


def assert_judged(text: str | bytes) -> Definition | None:
    """Check a text; the definition when nothing is wrong with it."""
    diagnostics = check(text)
    errors = tuple(each for each in diagnostics if each.severity == "ERROR")
    if isinstance(text, str):
        assert all(position_of(text, each.pointer) >= (1, 1) for each in errors)
    if errors:
        with pytest.raises(InvalidDefinition) as raised:
            parse(text)
        assert raised.value.diagnostics == errors
        return None
    parse(text)
    definition: Definition = json.loads(text)
    return definition


@examples(300)
@given(damaged(definitions()), inputs, happenings)
def test_a_damaged_definition_is_refused_or_runs_like_any_other(
    document: Any, data: Any, happens: list[Happening]
) -> None:
    definition = assert_judged(json.dumps(document))
    if definition is None:
        return
    trial = run(definition, data, happens, KEPT_SHORT)
    assert trial.live.status != RUNNING
    assert verify(IDENTITY, trial.machine, trial.rows) == len(trial.rows)


@examples(150)
@given(definitions().map(json.dumps), st.integers(0, 9_999), st.integers(0, 9), st.text(max_size=2))
def test_a_damaged_text_is_judged(text: str, at: int, length: int, replacement: str) -> None:
    position = at % len(text)
    damaged_text = text[:position] + replacement + text[position + length :]
    assert_judged(damaged_text)
    assert_judged(damaged_text.encode("utf-8", "surrogatepass")[: position + 40])


@examples(100)
@given(VALUES)
def test_any_json_is_judged(value: Json) -> None:
    assert_judged(json.dumps(value))
