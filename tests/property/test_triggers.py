"""A trigger file is refused or works; a pattern is noted or answers; both whatever they say."""

from typing import Any

import pytest
from hypothesis import given

from eventmill.arn import is_name
from eventmill.errors import AuthorError
from eventmill.events import TriggerEvent
from eventmill.model import decode_json
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.matcher import Matcher
from eventmill.triggers.trigger import InvalidTrigger, Trigger, parse_trigger
from tests.property.bus import events, patterns, trigger_files
from tests.property.documents import VALUES, damaged
from tests.property.effort import examples, patience

pytestmark = patience


def assert_trigger_works(trigger: Trigger, event: TriggerEvent) -> None:
    assert isinstance(trigger.matches(event.envelope()), bool)
    try:
        payload = trigger.input_for(event)
    except AuthorError:
        pass
    else:
        assert repr(decode_json(payload.text)) == repr(payload.value)
    try:
        name = trigger.execution_name(event)
    except AuthorError:
        return
    assert is_name(name)
    assert trigger.execution_name(event) == name


@examples(400)
@given(trigger_files | damaged(trigger_files), events)
def test_a_trigger_file_is_refused_or_works(value: Any, event: TriggerEvent) -> None:
    before = repr(value)
    read = parsed(value)
    assert repr(value) == before
    if isinstance(read, Trigger):
        assert_trigger_works(read, event)
    else:
        assert read
        assert all(pointer == "" or pointer.startswith("/") for pointer, _ in read)


def parsed(value: Any) -> Trigger | tuple[tuple[str, str], ...]:
    """The trigger, or what is wrong with it."""
    try:
        return parse_trigger("measured", value)
    except InvalidTrigger as error:
        return error.mistakes


@examples(200)
@given(VALUES)
def test_any_json_is_a_trigger_or_is_refused(value: Any) -> None:
    with pytest.raises(InvalidTrigger):
        parse_trigger("measured", value)


def compiled(pattern: Any) -> Matcher | None:
    """The matcher; None when there are mistakes, and then it must hold for nothing."""
    mistakes: list[tuple[str, str]] = []
    matcher = compile_pattern(pattern, lambda *each: mistakes.append(each))
    if not mistakes:
        return matcher
    assert all(message for _, message in mistakes)
    assert not matcher.matches({"source": "a"})
    return None


@examples(400)
@given(patterns | damaged(patterns), events)
def test_a_pattern_is_noted_or_answers(pattern: Any, event: TriggerEvent) -> None:
    matcher = compiled(pattern)
    if matcher is None:
        return
    envelope = event.envelope()
    before = repr(envelope)
    answer = matcher.matches(envelope)
    assert isinstance(answer, bool)
    again = compiled(pattern)
    assert again is not None
    assert again.matches(envelope) is answer
    assert repr(envelope) == before


@examples(300)
@given(patterns, events)
def test_a_pattern_with_one_test_more_holds_for_no_more_events(
    pattern: dict[str, Any], event: TriggerEvent
) -> None:
    more = {**pattern, "version": ["1"]}
    matcher = compiled(more)
    if matcher is not None:
        assert not matcher.matches(event.envelope())
    same = compiled({**pattern, "version": ["0"]})
    plain = compiled(pattern)
    if same is not None and plain is not None:
        assert same.matches(event.envelope()) is plain.matches(event.envelope())


@examples(150)
@given(VALUES, VALUES)
def test_any_json_is_a_pattern_or_is_noted(pattern: Any, detail: Any) -> None:
    matcher = compiled(pattern)
    if matcher is not None:
        assert isinstance(matcher.matches({"a": detail, "b": [detail]}), bool)
