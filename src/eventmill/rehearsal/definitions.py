"""Definitions to rehearse: those that run, and those that only call what does not run here yet.

A task that is mocked calls nothing. So a definition is taken whose tasks name integrations that AWS
has and Eventmill does not offer; everything else about it must be right.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

from eventmill.arn import Home
from eventmill.asl.parser import check, reopen
from eventmill.asl.report import UNSUPPORTED_FEATURE
from eventmill.asl.syntax import Map, Parallel, State
from eventmill.errors import Diagnostic, InvalidDefinition
from eventmill.model import Quotas
from eventmill.runtime.catalog import Machine


def rehearsable(name: str, text: str, home: Home, quotas: Quotas) -> Machine:
    """The state machine of a definition, whatever integrations of AWS its tasks call.

    Raises:
        InvalidDefinition: It has mistakes, or uses what Eventmill does not run and no mock can
            stand in for.
    """
    mistakes = [each for each in check(text, quotas) if _counts(each)]
    if mistakes:
        raise InvalidDefinition(mistakes)
    return Machine(
        name=name,
        arn=home.state_machine(name),
        digest=sha256(text.encode()).hexdigest(),
        text=text,
        definition=reopen(text),
    )


def states_of(states: Mapping[str, State]) -> Iterator[State]:
    """All states, those inside of Parallel and Map among them."""
    for state in states.values():
        yield state
        if isinstance(state, Parallel):
            for branch in state.branches:
                yield from states_of(branch.states)
        elif isinstance(state, Map):
            yield from states_of(state.processor.states)


def _counts(found: Diagnostic) -> bool:
    if found.severity != "ERROR":
        return False
    return found.code != UNSUPPORTED_FEATURE or not found.pointer.endswith("/Resource")
