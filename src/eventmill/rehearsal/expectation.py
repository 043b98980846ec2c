"""What a test expects of an execution, and how an outcome differs from it."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from eventmill.model import Json, Payload
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.matcher import Matcher
from eventmill.query.equality import same
from eventmill.record import record
from eventmill.rehearsal.fields import Fields, pointer_to
from eventmill.rehearsal.outcome import Outcome

_STATUSES: Final = ("SUCCEEDED", "FAILED", "TIMED_OUT")
_LINES_MAX: Final = 60


@record
class Difference:
    """One way in which an outcome is not what was expected.

    `lines` show it: `- ` begins what was expected, `+ ` what came, and two spaces what both have.
    """

    message: str
    lines: tuple[str, ...] = ()


@record
class Expectation:
    """What must hold of an outcome; what is None or absent is not looked at.

    `calls` holds for a state either the number of its calls or the parameters of each.
    """

    status: str = "SUCCEEDED"
    output: Payload | None = None
    output_matches: Matcher | None = None
    error: str | None = None
    cause: str | None = None
    cause_contains: str | None = None
    path: Sequence[str] | None = None
    calls: Mapping[str, int | Sequence[Json]]
    min_seconds: float | None = None
    max_seconds: float | None = None

    def differences(self, outcome: Outcome) -> Iterator[Difference]:
        """Every way in which `outcome` differs."""
        if outcome.status != self.status:
            yield Difference(message=_status(self.status, outcome))
        elif self.output is not None and not same(self.output.value, outcome.output):
            yield _json_differs("Output", self.output.value, outcome.output)
        if self.output_matches is not None and outcome.status == "SUCCEEDED":
            yield from self._unmatched(self.output_matches, outcome.output)
        yield from self._failure(outcome)
        if self.path is not None and list(self.path) != list(outcome.path):
            lines = tuple(difflib.ndiff(list(self.path), list(outcome.path)))
            yield Difference(message="the path differs", lines=_cut(lines))
        for state, expected in self.calls.items():
            yield from _calls(state, expected, outcome.calls.get(state, ()))
        yield from self._duration(outcome.duration_ms / 1000)

    def _unmatched(self, matcher: Matcher, output: Json) -> Iterator[Difference]:
        if not isinstance(output, dict) or not matcher.matches(output):
            yield Difference(
                message="the output does not match OutputMatches; it is",
                lines=_cut(tuple(f"+ {line}" for line in _pretty(output))),
            )

    def _failure(self, outcome: Outcome) -> Iterator[Difference]:
        if outcome.status != self.status:
            return
        for name, expected, actual in (
            ("Error", self.error, outcome.error),
            ("Cause", self.cause, outcome.cause),
        ):
            if expected is not None and expected != actual:
                yield _json_differs(name, expected, actual)
        part = self.cause_contains
        if part is not None and part not in (outcome.cause or ""):
            yield Difference(
                message=f"the cause does not contain {part!r}; it is",
                lines=(f"+ {outcome.cause}",),
            )

    def _duration(self, seconds: float) -> Iterator[Difference]:
        if self.min_seconds is not None and seconds < self.min_seconds:
            message = f"it took {seconds:g} s of virtual time, less than {self.min_seconds:g} s"
            yield Difference(message=message)
        if self.max_seconds is not None and seconds > self.max_seconds:
            message = f"it took {seconds:g} s of virtual time, more than {self.max_seconds:g} s"
            yield Difference(message=message)


def parse_expectation(fields: Fields) -> Expectation:
    """Read what stands under `Expect`, and note what is wrong with it."""
    output = Payload.of(fields.json("Output")) if fields.has("Output") else None
    matcher = None
    if fields.has("OutputMatches"):
        place = pointer_to(fields.pointer, "OutputMatches")
        matcher = compile_pattern(
            fields.json("OutputMatches"),
            lambda pointer, message: fields.note_at(f"{place}{pointer}", message),
        )
    error, cause = fields.text("Error"), fields.text("Cause", empty=True)
    contains = fields.text("CauseContains")
    fails = any(each is not None for each in (error, cause, contains))
    status = _parse_status(fields, fails=fails)
    if status == "SUCCEEDED" and fails:
        fields.note("an execution that succeeds has no Error and no Cause")
    if status != "SUCCEEDED" and (output is not None or matcher is not None):
        fields.note(f"an execution that ends {status} has no output")
    expectation = Expectation(
        status=status,
        output=output,
        output_matches=matcher,
        error=error,
        cause=cause,
        cause_contains=contains,
        path=_parse_path(fields) if fields.has("Path") else None,
        calls=dict(_parse_calls(fields)),
        min_seconds=fields.seconds("MinSeconds"),
        max_seconds=fields.seconds("MaxSeconds"),
    )
    fields.refuse_others()
    return expectation


def _parse_status(fields: Fields, *, fails: bool) -> str:
    status = fields.text("Status") or ("FAILED" if fails else "SUCCEEDED")
    if status not in _STATUSES:
        fields.note(f"must be one of {', '.join(_STATUSES)}, not {status!r}", "Status")
    return status


def _parse_path(fields: Fields) -> list[str]:
    path = []
    for index, state in fields.items("Path"):
        if isinstance(state, str):
            path.append(state)
        else:
            fields.note("must be the name of a state", "Path", index)
    return path


def _parse_calls(fields: Fields) -> Iterator[tuple[str, int | Sequence[Json]]]:
    for state, value in fields.members("Calls"):
        if isinstance(value, list) or (
            isinstance(value, int) and not isinstance(value, bool) and value >= 0
        ):
            yield state, value
        else:
            fields.note(
                "must be the number of calls, or an array with the parameters of each",
                "Calls",
                state,
            )


def _status(expected: str, outcome: Outcome) -> str:
    reason = f" with {outcome.error or 'no error name'}" if outcome.status == "FAILED" else ""
    cause = f": {outcome.cause}" if outcome.cause else ""
    return f"it ended {outcome.status}{reason}, not {expected}{cause}"


def _calls(
    state: str, expected: int | Sequence[Json], actual: Sequence[Json]
) -> Iterator[Difference]:
    number = expected if isinstance(expected, int) else len(expected)
    if number != len(actual):
        times = "once" if len(actual) == 1 else f"{len(actual)} times"
        yield Difference(message=f"the state {state!r} made its call {times}, not {number}")
    if not isinstance(expected, int):
        for index, (wanted, given) in enumerate(zip(expected, actual, strict=False), start=1):
            if not same(wanted, given):
                yield _json_differs(f"the parameters of call {index} of {state!r}", wanted, given)


def _json_differs(what: str, expected: Json, actual: Json) -> Difference:
    lines = difflib.ndiff(_pretty(expected), _pretty(actual))
    shown = tuple(line for line in lines if not line.startswith("?"))
    return Difference(message=f"{what} differs (- expected, + actual)", lines=_cut(shown))


def _pretty(value: Json) -> list[str]:
    """A value as lines of JSON, keys in order, so that only differences differ."""
    ordered = msgspec.json.encode(value, order="sorted")
    return msgspec.json.format(ordered, indent=2).decode().split("\n")


def _cut(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines around what differs, and no more than fit a screen."""
    wanted = {
        near
        for index, line in enumerate(lines)
        if not line.startswith("  ")
        for near in range(index - 3, index + 4)
    }
    kept: list[str] = []
    for index, line in enumerate(lines):
        if index in wanted:
            kept.append(line)
        elif not kept or kept[-1] != "  …":
            kept.append("  …")
    if len(kept) > _LINES_MAX:
        kept[_LINES_MAX:] = [f"  … {len(kept) - _LINES_MAX} lines more"]
    return tuple(kept)
