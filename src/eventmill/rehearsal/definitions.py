"""Definitions to rehearse: those that run, and those that only call what does not run here yet.

A task that is mocked calls nothing. So a definition is taken whose tasks name integrations that AWS
has and Eventmill does not offer; everything else about it must be right.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

from eventmill.arn import Home
from eventmill.asl.parser import parse
from eventmill.asl.report import UNSUPPORTED_FEATURE
from eventmill.asl.syntax import Map, Parallel, Resource, State, StateMachine, Task
from eventmill.errors import Diagnostic, InvalidDefinition
from eventmill.model import Json, Quotas, decode_json, encode_json, record
from eventmill.ports import EventLog
from eventmill.runtime.catalog import Catalog, Machine

_CALLBACK: Final = ".waitForTaskToken"
_SDK: Final = "aws-sdk"
# What stands in for a foreign resource while the definition is judged.
_STAND_IN: Final = "arn:aws:lambda:local:000000000000:function:stand-in"


@record
class Rehearsable:
    """A state machine, and by state what its tasks call that does not run here."""

    machine: Machine
    foreign: Mapping[str, Resource]


def rehearsable(name: str, text: str, home: Home, quotas: Quotas) -> Rehearsable:
    """The state machine of a definition, whatever integrations of AWS its tasks call.

    Raises:
        InvalidDefinition: It has mistakes, or uses what Eventmill does not run and no mock can
            stand in for.
    """
    foreign: dict[str, Resource] = {}
    try:
        definition = parse(text, quotas).machine
    except InvalidDefinition as error:
        others = [each for each in error.diagnostics if not _can_be_mocked(each)]
        if others:
            raise InvalidDefinition(others) from None
        document = decode_json(text)
        foreign = _put_stand_ins(document, [each.pointer for each in error.diagnostics])
        # A stand-in changes the size of the text, which was judged already.
        unlimited = replace(quotas, definition_bytes_max=2**63)
        definition = _recast_machine(parse(encode_json(document), unlimited).machine, foreign)
    machine = Machine(
        name=name,
        arn=home.state_machine(name),
        digest=sha256(text.encode()).hexdigest(),
        text=text,
        definition=definition,
    )
    return Rehearsable(machine=machine, foreign=foreign)


class RehearsalCatalog(Catalog):
    """A catalog that gives foreign tasks back to the children of a distributed Map.

    Their definitions are parts of the text that was judged, with stand-ins in it.
    """

    def __init__(
        self, log: EventLog, home: Home, quotas: Quotas, foreign: Mapping[str, Resource]
    ) -> None:
        super().__init__(log, home, quotas)
        self._foreign = foreign

    def processor(self, state_machine_arn: str, label: str, text: str) -> Machine:
        """See `Catalog.processor`."""
        machine = super().processor(state_machine_arn, label, text)
        return replace(machine, definition=_recast_machine(machine.definition, self._foreign))


def states_of(states: Mapping[str, State]) -> Iterator[State]:
    """All states, those inside of Parallel and Map among them."""
    for state in states.values():
        yield state
        if isinstance(state, Parallel):
            for branch in state.branches:
                yield from states_of(branch.states)
        elif isinstance(state, Map):
            yield from states_of(state.processor.states)


def _can_be_mocked(diagnostic: Diagnostic) -> bool:
    return diagnostic.code == UNSUPPORTED_FEATURE and diagnostic.pointer.endswith("/Resource")


def _put_stand_ins(document: Json, pointers: Iterable[str]) -> dict[str, Resource]:
    """Put a stand-in in the place of each foreign resource; what was there, by state."""
    foreign: dict[str, Resource] = {}
    for pointer in pointers:
        steps = _steps(pointer)[:-1]
        task = _follow(document, steps)
        foreign[steps[-1]] = _foreign(str(task["Resource"]))
        task["Resource"] = _STAND_IN
    return foreign


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _follow(document: Json, steps: list[str]) -> dict[str, Json]:
    found = document
    for step in steps:
        if isinstance(found, list):
            found = found[int(step)]
        else:
            assert isinstance(found, dict), "the parser has followed this pointer"
            found = found[step]
    assert isinstance(found, dict), "a Resource stands in a state"
    return found


def _foreign(text: str) -> Resource:
    """What a task calls that does not run here: an integration, or else an activity."""
    service, _, action = text.split(":", 5)[5].partition(":")
    if service == _SDK:  # the service behind it is a part of its name, as in aws-sdk:s3
        behind, _, action = action.partition(":")
        service = f"{service}:{behind}"
    elif service == "activity":
        return Resource(text=text, kind="function", service=service, action=action)
    return Resource(
        text=text,
        kind="integration",
        service=service,
        action=action,
        pattern="callback" if action.endswith(_CALLBACK) else "request",
    )


def _recast_machine(machine: StateMachine, foreign: Mapping[str, Resource]) -> StateMachine:
    """The state machine whose tasks call again what stand-ins have stood for."""
    return replace(machine, states=_recast(machine.states, foreign)) if foreign else machine


def _recast(states: Mapping[str, State], resources: Mapping[str, Resource]) -> dict[str, State]:
    return {name: _recast_state(state, resources) for name, state in states.items()}


def _recast_state(state: State, resources: Mapping[str, Resource]) -> State:
    match state:
        case Task() if state.name in resources:
            return replace(state, resource=resources[state.name])
        case Parallel():
            branches = tuple(
                replace(each, states=_recast(each.states, resources)) for each in state.branches
            )
            return replace(state, branches=branches)
        case Map():
            inner = _recast(state.processor.states, resources)
            return replace(state, processor=replace(state.processor, states=inner))
        case _:
            return state
