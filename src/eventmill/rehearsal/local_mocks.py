"""Mock files of AWS Step Functions Local: `MockConfigFile.json`.

Source: "Configuration file for mocked service integrations in Step Functions" (developer guide).
A test case gives each mocked state the name of a mocked response, and that one has an answer for
each invocation of the state, under its number (from 0) or a range of numbers (`"1-2"`).
"""

import re
from dataclasses import replace
from typing import Final

from eventmill.asl.fields import did_you_mean
from eventmill.model import Json, Payload
from eventmill.record import record
from eventmill.rehearsal.fields import Fields, Note, pointer_to
from eventmill.rehearsal.mocks import Answer, Mock, Mocks, parse_failure

_RANGE: Final = re.compile(r"(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?")


@record
class TestCases:
    """The test cases of a mock file, by the names of state machine and test case."""

    __test__ = False  # for pytest, which collects by name

    machines: dict[str, dict[str, Mocks]]

    def find(self, machine: str, case: str) -> Mocks:
        """The mocks of a test case.

        Raises:
            LookupError: There is no such state machine or test case; the message says which.
        """
        cases = self.machines.get(machine)
        if cases is None:
            raise LookupError(_none_named("state machine", machine, list(self.machines)))
        if case not in cases:
            raise LookupError(_none_named("test case", case, list(cases)))
        return cases[case]


def parse_mock_file(value: Json, note: Note) -> TestCases:
    """Read the value of a mock file, and note all that is wrong with it."""
    fields = Fields(value, "", note)
    responses = {
        name: _parse_response(response, pointer_to("", "MockedResponses", name), note)
        for name, response in fields.members("MockedResponses")
    }
    machines: dict[str, dict[str, Mocks]] = {}
    for name, machine in fields.members("StateMachines"):
        inner = Fields(machine, pointer_to("", "StateMachines", name), note)
        machines[name] = {
            case: _parse_case(
                Fields(states, pointer_to(inner.pointer, "TestCases", case), note), responses
            )
            for case, states in inner.members("TestCases")
        }
        inner.refuse_others()
    for name in ("StateMachines", "MockedResponses"):
        if not fields.has(name) and isinstance(value, dict):
            fields.note(f"{name} is missing")
    fields.refuse_others()
    return TestCases(machines=machines)


def _parse_case(states: Fields, responses: dict[str, Mock]) -> Mocks:
    mocks: dict[str, Mock] = {}
    for state in states.names():
        name = states.text(state)
        if name is not None and name not in responses:
            states.note(_none_named("mocked response", name, list(responses)), state)
        elif name is not None:
            mocks[state] = responses[name]
    return mocks


def _parse_response(value: Json, pointer: str, note: Note) -> Mock:
    fields = Fields(value, pointer, note)
    ranges: list[tuple[int, int, Answer]] = []
    for key in fields.names():
        found = _RANGE.fullmatch(key)
        if found is None:
            fields.note('must be the number of an invocation, from "0", or a range as "1-2"', key)
            continue
        first = int(found["first"])
        last = first if found["last"] is None else int(found["last"])
        if last < first:
            fields.note(f"the range ends before it begins: {key}", key)
        else:
            answer = _parse_answer(Fields(fields.json(key), pointer_to(pointer, key), note))
            ranges.append((first, last, answer))
    return _in_sequence(ranges, fields)


def _in_sequence(ranges: list[tuple[int, int, Answer]], fields: Fields) -> Mock:
    """The answers in the order of the invocations, which must have one each."""
    answers: list[Answer] = []
    expected = 0
    for first, last, answer in sorted(ranges, key=lambda each: each[:2]):
        if first > expected:
            fields.note(f"there is no answer for invocation {expected}")
        elif first < expected:
            fields.note(f"there are two answers for invocation {first}")
        expected = last + 1
        answers.append(replace(answer, times=last - first + 1))
    if not ranges:
        fields.note('there is no answer for invocation 0: it needs a "0"')
    return tuple(answers)


def _parse_answer(fields: Fields) -> Answer:
    returns, throws = fields.has("Return"), fields.has("Throw")
    if returns == throws:
        fields.note("must have one of Return and Throw")
    failure = parse_failure(fields, "Throw") if throws else None
    fields.refuse_others()
    returned = Payload.of(fields.json("Return")) if returns else None
    return Answer(returned=returned, failure=failure, enveloped=True)


def _none_named(what: str, name: str, known: list[str]) -> str:
    hint = did_you_mean(name, known) or f"there are: {', '.join(sorted(known)) or 'none'}"
    return f"no {what} is named {name!r}; {hint}"
