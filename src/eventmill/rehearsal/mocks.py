"""Mocks: what stands in for the work of a task, and answers the calls of one state.

A mock is a list of answers. Each answers one call, or as many as it says; the first that has calls
left and whose pattern matches the task's parameters is the one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from eventmill.model import Failure, Json, Payload
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.matcher import Matcher
from eventmill.record import record
from eventmill.rehearsal.fields import Fields, Note, pointer_to

Function: TypeAlias = Callable[[Json], Json]
WrittenAnswer: TypeAlias = "Json | Function"
Written: TypeAlias = "WrittenAnswer | list[WrittenAnswer]"
"""A mock as it is written down: JSON, with functions in it where it is written in Python."""

ANY: Final = "Any"


@record
class Answer:
    """How one call ends, or several.

    `returned` is the raw result of the task, before ResultSelector and the like; `failure` is its
    error. With `handler` the project's handler does the work; for a `.waitForTaskToken` task the
    handler is called first, and `returned` or `failure` then answers its token. An answer that is
    none of these never comes. `times` None means any number of calls. An `enveloped` result has
    the form of `lambda:invoke` also for a task that calls the function by its ARN.
    """

    returned: Payload | None = None
    failure: Failure | None = None
    handler: bool = False
    function: Function | None = None
    after_ms: int = 0  # of virtual time, between call and answer
    times: int | None = None
    when: Matcher | None = None
    enveloped: bool = False

    @property
    def is_double(self) -> bool:
        """Whether something is said to follow on the work of the handler."""
        follows = self.returned is not None or self.failure is not None or self.after_ms > 0
        return self.handler and follows

    def suits(self, parameters: Payload) -> bool:
        """Whether this answer is meant for a call with these parameters."""
        if self.when is None:
            return True
        value = parameters.value
        return isinstance(value, dict) and self.when.matches(value)


Mock: TypeAlias = Sequence[Answer]
Mocks: TypeAlias = Mapping[str, Mock]
"""The mocks of a rehearsal, by the name of the state."""


def parse_mock(value: Written, pointer: str, note: Note) -> Mock:
    """Read the mock of one state: one answer for every call, or a list of answers."""
    if not isinstance(value, list):
        return tuple(_parse_answer(value, pointer, note, times=None))
    if not value:
        note(pointer, "an empty list answers no call; leave the mock out, or give an answer")
    return tuple(
        answer
        for index, each in enumerate(value)
        for answer in _parse_answer(each, pointer_to(pointer, index), note, times=1)
    )


_OUTCOMES: Final = ("Return", "Throw", "Never")


def _parse_answer(
    value: WrittenAnswer, pointer: str, note: Note, *, times: int | None
) -> Iterator[Answer]:
    if callable(value):
        yield Answer(function=value, times=times)
        return
    fields = Fields(value, pointer, note)
    fields.text("Comment")
    given = [name for name in _OUTCOMES if fields.has(name)]
    handler, never = fields.flag("Handler"), fields.flag("Never")
    if len(given) > 1 or (never and handler):
        fields.note(f"only one of {', '.join(_OUTCOMES)} can be the answer")
    elif not given and not handler and isinstance(value, dict):
        fields.note("an answer needs one of Return, Throw, Handler and Never")
    returned = Payload.of(fields.json("Return")) if "Return" in given else None
    failure = parse_failure(fields, "Throw") if "Throw" in given else None
    after = fields.seconds("AfterSeconds") or 0.0
    when = _parse_when(fields, note)
    times = _parse_times(fields, None if when is not None else times)
    fields.refuse_others()
    yield Answer(
        returned=returned,
        failure=failure,
        handler=handler,
        after_ms=round(after * 1000),
        times=times,
        when=when,
    )


def parse_failure(fields: Fields, name: str) -> Failure:
    """Read `{"Error": …, "Cause": …}`."""
    inner = Fields(fields.json(name), pointer_to(fields.pointer, name), fields.note_at)
    error = inner.text("Error", required=True)
    cause = inner.text("Cause", empty=True)
    inner.refuse_others()
    return Failure(error=error, cause=cause)


def _parse_times(fields: Fields, default: int | None) -> int | None:
    if not fields.has("Times"):
        return default
    value = fields.json("Times")
    if value == ANY:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        fields.note(f"must be a number of calls, 1 or more, or {ANY}", "Times")
        return default
    return value


def _parse_when(fields: Fields, note: Note) -> Matcher | None:
    if not fields.has("When"):
        return None
    place = pointer_to(fields.pointer, "When")
    return compile_pattern(
        fields.json("When"), lambda pointer, message: note(f"{place}{pointer}", message)
    )
