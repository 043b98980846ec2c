"""The state under test: found in its definition and compiled, whatever it calls.

A mock can stand for every integration that AWS has. So a Task that calls what does not run here is
compiled with a stand-in in place of its Resource, which it gets back afterwards.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from eventmill.asl.document import read_document
from eventmill.asl.parser import check, reopen
from eventmill.asl.report import UNSUPPORTED_FEATURE, Report
from eventmill.asl.resource import Refusal, read_resource
from eventmill.asl.scopes import scopes_of
from eventmill.asl.syntax import Map, Parallel, Resource, State, Task
from eventmill.errors import Diagnostic, InvalidDefinition, ValidationException
from eventmill.inspection.context_object import TESTED
from eventmill.model import Json, Quotas, encode_json

_STAND_IN: Final = "arn:aws:lambda:us-east-1:000000000000:function:stands-in"

# Where a lone state names states that are not there, which AWS does not mind.
_ONWARD: Final = re.compile(rf"/States/{TESTED}/(Next|Default|(Choices|Catch)/\d+/Next)")


def state_under_test(text: str, name: str | None, quotas: Quotas) -> State:
    """The state called `name`, at any depth; without a name `text` is the state itself.

    Raises:
        InvalidDefinition: The definition has mistakes.
        ValidationException: The definition has no such state.
    """
    document = _read(text, quotas)
    if name is None:
        document = {"StartAt": TESTED, "States": {TESTED: document}}
    resources = _put_stand_ins(document)
    stood_in = encode_json(document).decode()
    # The stand-ins must not make a definition too large, which it was not as it was written.
    wide = replace(quotas, definition_bytes_max=2 * quotas.definition_bytes_max)
    mistakes = [each for each in check(stood_in, wide) if _counts(each, lone=name is None)]
    if mistakes:
        raise InvalidDefinition(mistakes)
    state = next(_named(reopen(stood_in).states.values(), name or TESTED), None)
    if state is None:
        raise ValidationException("State not found in definition")
    if isinstance(state, Task) and state.name in resources:
        return replace(state, resource=_resource(resources[state.name]))
    return state


def untestable(message: str) -> InvalidDefinition:
    """The error about a state that has no mistakes and cannot be tested all the same."""
    error = InvalidDefinition(())
    error.args = (message,)
    return error


def _read(text: str, quotas: Quotas) -> dict[str, Json]:
    report = Report()
    document = read_document(text, quotas, report)
    if document is None or report.errors:
        raise InvalidDefinition(report.errors)
    return document


def _put_stand_ins(document: dict[str, Json]) -> Mapping[str, str]:
    """Replace each Resource that does not run here; the result is what stood there, by state."""
    replaced: dict[str, str] = {}
    for scope in scopes_of(document):
        for name, state, _ in scope.objects():
            resource = state.get("Resource")
            if state.get("Type") != "Task" or not isinstance(resource, str):
                continue
            known = read_resource(resource, "STANDARD")
            if isinstance(known, Refusal) and known.code == UNSUPPORTED_FEATURE:
                replaced[name] = resource
                state["Resource"] = _STAND_IN
    return replaced


def _counts(found: Diagnostic, *, lone: bool) -> bool:
    """Whether AWS would refuse the definition for this."""
    if found.severity != "ERROR":
        return False
    if not lone:
        return True
    is_onward = found.code == "MISSING_TRANSITION_TARGET" and _ONWARD.fullmatch(found.pointer)
    return not is_onward and found.code != "MISSING_END_STATE"


def _named(states: Iterable[State], name: str) -> Iterator[State]:
    for state in states:
        if state.name == name:
            yield state
        elif isinstance(state, Parallel):
            for branch in state.branches:
                yield from _named(branch.states.values(), name)
        elif isinstance(state, Map):
            yield from _named(state.processor.states.values(), name)


def _resource(text: str) -> Resource:
    """What the text of an integration or activity names, as AWS's history tells it apart."""
    named = text.split(":", 5)[5]
    prefix = "aws-sdk:" if named.startswith("aws-sdk:") else ""
    service, _, action = named.removeprefix(prefix).partition(":")
    return Resource(
        text=text,
        kind="integration",
        service=prefix + service,
        action=action,
        pattern="callback" if action.endswith(".waitForTaskToken") else "request",
    )
