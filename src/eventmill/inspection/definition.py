"""The state under test: found in its definition and compiled, whatever it calls.

A mock can stand for every integration that AWS has, so one that does not run here is no mistake.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from eventmill.asl.document import read_document
from eventmill.asl.parser import check, reopen
from eventmill.asl.report import UNSUPPORTED_FEATURE, Report
from eventmill.asl.syntax import Map, Parallel, State
from eventmill.errors import Diagnostic, InvalidDefinition, ValidationException
from eventmill.inspection.context_object import TESTED
from eventmill.model import Json, Quotas, encode_json

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
    written = encode_json(document).decode()
    # Written anew, a definition may be larger than it was.
    wide = replace(quotas, definition_bytes_max=2 * quotas.definition_bytes_max)
    mistakes = [each for each in check(written, wide) if _counts(each, lone=name is None)]
    if mistakes:
        raise InvalidDefinition(mistakes)
    state = next(_named(reopen(written).states.values(), name or TESTED), None)
    if state is None:
        raise ValidationException("State not found in definition")
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


def _counts(found: Diagnostic, *, lone: bool) -> bool:
    """Whether AWS would refuse the definition for this."""
    if found.severity != "ERROR":
        return False
    if found.code == UNSUPPORTED_FEATURE and found.pointer.endswith("/Resource"):
        return False  # a mock can stand for it
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
