"""Mocks as they are written down, and what is wrong with them."""

import pytest

from eventmill.model import Failure, Json, Payload
from eventmill.rehearsal.mocks import Answer, parse_mock


def mistakes(value: Json) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    parse_mock(value, "/Mocks/A", lambda pointer, message: found.append((pointer, message)))
    return found


def parsed(value: Json) -> list[Answer]:
    assert mistakes(value) == []
    return list(parse_mock(value, "", lambda pointer, message: None))


def test_a_mock_that_stands_alone_answers_every_call() -> None:
    assert parsed({"Return": None}) == [Answer(returned=Payload.of(None))]


def test_answers_of_a_list_answer_one_call_each() -> None:
    throw: Json = {"Throw": {"Error": "E", "Cause": ""}}

    assert parsed([throw, {"Never": True, "Times": 2}, {"Return": 1, "Times": "Any"}]) == [
        Answer(failure=Failure(error="E", cause=""), times=1),
        Answer(times=2),
        Answer(returned=Payload.of(1)),
    ]


def test_answers_to_certain_parameters_answer_all_of_those() -> None:
    (answer,) = parsed([{"Return": 1, "When": {"n": [{"numeric": [">", 1]}]}}])

    given: list[Json] = [{"n": 2}, {"n": 1}, [2], None]
    assert answer.times is None
    assert [answer.suits(Payload.of(each)) for each in given] == [
        True, False, False, False
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "pointer", "message"),
    [
        ({}, "/Mocks/A", "an answer needs one of Return, Throw, Handler and Never"),
        (1, "/Mocks/A", "must be an object, not a number"),
        ([], "/Mocks/A", "an empty list answers no call; leave the mock out, or give an answer"),
        ([{"Return": 1}, {}], "/Mocks/A/1", "an answer needs one of Return, Throw, Handler"),
        ({"Return": 1, "Never": True}, "/Mocks/A", "only one of Return, Throw, Never can be"),
        ({"Handler": True, "Never": True}, "/Mocks/A", "only one of Return, Throw, Never can be"),
        ({"Return": 1, "Retrun": 2}, "/Mocks/A/Retrun", "there is no field 'Retrun' here; did you"),
        ({"Throw": {}}, "/Mocks/A/Throw", "Error is missing"),
        ({"Throw": {"Error": 1}}, "/Mocks/A/Throw/Error", "must be a text, not a number"),
        ({"Throw": {"Error": "E", "Case": ""}}, "/Mocks/A/Throw/Case", "there is no field 'Case'"),
        ({"Return": 1, "Times": 0}, "/Mocks/A/Times", "must be a number of calls, 1 or more, or"),
        ({"Return": 1, "Times": True}, "/Mocks/A/Times", "must be a number of calls, 1 or more"),
        ({"Return": 1, "AfterSeconds": -1}, "/Mocks/A/AfterSeconds", "must be a number of seconds"),
        ({"Return": 1, "When": {"n": 1}}, "/Mocks/A/When/n", "must be an object or an array"),
        ({"Handler": "f"}, "/Mocks/A/Handler", "must be true or false, not a text"),
    ],
)
def test_mistakes_are_named_at_their_place(value: Json, pointer: str, message: str) -> None:
    (found,) = mistakes(value)[:1]

    assert found[0] == pointer
    assert message in found[1]
