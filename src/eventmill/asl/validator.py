"""How the states hang together: unique names, existing targets, an end, no state left alone.

Works on the raw document, so that it speaks even when the states themselves have mistakes.
"""

from collections.abc import Iterator

from eventmill.asl.fields import did_you_mean
from eventmill.asl.grammar import TERMINAL_TYPES
from eventmill.asl.report import Place, Report
from eventmill.asl.scopes import Scope, scopes_of, ways_of
from eventmill.model import Json
from eventmill.record import record

STATE_NAME_LENGTH_MAX = 80


@record
class _Target:
    """A state's name where a transition refers to it."""

    name: str
    source: str
    place: Place


def validate(document: dict[str, Json], report: Report) -> None:
    """Report what is wrong between the states, in AWS's order.

    Names first, then StartAt, the targets, a missing end and the states that nothing reaches.
    """
    scopes = list(scopes_of(document))
    _check_names(scopes, report)
    _check_labels(scopes, report)
    _check_starts(scopes, report)
    for scope in scopes:
        for target in _targets(scope):
            _check_target(target.name, scope, target.place, report)
    if scopes and not _has_end(scopes[0]):
        report.error("MISSING_END_STATE", None, "Workflow has no terminal state")
        return
    for scope in scopes:
        _check_reachable(scope, report)


def _targets(scope: Scope) -> Iterator[_Target]:
    for name, state, place in scope.objects():
        for target, at in _transitions(state, place):
            if isinstance(target, str):
                yield _Target(name=target, source=name, place=at)


def _transitions(state: dict[str, Json], place: Place) -> Iterator[tuple[Json, Place]]:
    """What stands where a state names the one that follows it."""
    for way, at in ways_of(state, place):
        yield way.get("Next"), at.field("Next")
    yield state.get("Default"), place.field("Default")


def _check_names(scopes: list[Scope], report: Report) -> None:
    seen: set[str] = set()
    for scope in scopes:
        for name in scope.states:
            place = scope.place.field("States").field(name)
            if len(name) > STATE_NAME_LENGTH_MAX:
                limit = f"{STATE_NAME_LENGTH_MAX}-character limit allowed by the service"
                message = f"State name '{name}' exceeds the {limit}"
                report.error("INVALID_STATE_NAME", place, message)
            elif not name:
                report.error("INVALID_STATE_NAME", place, "State name cannot be empty")
            if name in seen:
                report.error("DUPLICATE_STATE_NAME", place, f"Duplicate State name: {name}")
            seen.add(name)


def _check_labels(scopes: list[Scope], report: Report) -> None:
    """The labels of distributed Maps name their children, so each is there once."""
    seen: set[str] = set()
    for scope in scopes:
        for _, state, place in scope.objects():
            label = state.get("Label")
            if state.get("Type") == "Map" and isinstance(label, str):
                if label in seen:
                    at = place.field("Label")
                    report.error("DUPLICATE_LABEL_NAME", at, f"Duplicate Label name: {label}")
                seen.add(label)


def _check_starts(scopes: list[Scope], report: Report) -> None:
    for scope in scopes:
        if scope.start_at is not None:
            _check_target(scope.start_at, scope, scope.place.field("StartAt"), report)


def _check_target(name: str, scope: Scope, place: Place, report: Report) -> None:
    if name not in scope.states:
        message = f"Missing 'Next' target: {name}"  # the word is always Next, as in AWS
        hint = did_you_mean(name, scope.states)
        report.error("MISSING_TRANSITION_TARGET", place, message, hint)


def _has_end(scope: Scope) -> bool:
    return any(
        isinstance(state, dict)
        and (state.get("End") is True or state.get("Type") in TERMINAL_TYPES)
        for state in scope.states.values()
    )


def _check_reachable(scope: Scope, report: Report) -> None:
    if scope.start_at is None:
        return
    onward: dict[str, list[str]] = {}
    for target in _targets(scope):
        onward.setdefault(target.source, []).append(target.name)
    reached: set[str] = set()
    pending = [scope.start_at]
    while pending:
        name = pending.pop()
        if name in scope.states and name not in reached:
            reached.add(name)
            pending += onward.get(name, ())
    for name in scope.states:
        if name not in reached:
            place = scope.place.field("States").field(name)
            report.error("MISSING_TRANSITION_TARGET", place, f'State "{name}" is not reachable.')
