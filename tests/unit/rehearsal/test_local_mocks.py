"""Mock files of Step Functions Local: test cases by name, answers by number of invocation."""

import json

import pytest

from eventmill.arn import Home
from eventmill.model import AWS_QUOTAS, Failure, Json, Payload
from eventmill.rehearsal.definitions import rehearsable
from eventmill.rehearsal.local_mocks import TestCases, parse_mock_file
from eventmill.rehearsal.mocks import Answer
from eventmill.rehearsal.rehearse import Rehearsal, perform


def file(response: Json, name: str = "Mocked") -> Json:
    return {
        "StateMachines": {"Send": {"TestCases": {"Happy": {"A": "Mocked"}}}},
        "MockedResponses": {name: response},
    }


def parse(value: Json) -> tuple[TestCases, list[tuple[str, str]]]:
    found: list[tuple[str, str]] = []
    return parse_mock_file(value, lambda pointer, message: found.append((pointer, message))), found


def test_answers_follow_the_numbers() -> None:
    throw: Json = {"Throw": {"Error": "E", "Cause": "C"}}

    cases, found = parse(file({"1-3": {"Return": 2}, "0": throw}))

    assert found == []
    assert cases.find("Send", "Happy")["A"] == (
        Answer(failure=Failure(error="E", cause="C"), times=1, enveloped=True),
        Answer(returned=Payload.of(2), times=3, enveloped=True),
    )


@pytest.mark.parametrize(
    ("response", "pointer", "message"),
    [
        ({}, "", "there is no answer for invocation 0"),
        ({"1": {"Return": 1}}, "", "there is no answer for invocation 0"),
        ({"0": {"Return": 1}, "2": {"Return": 1}}, "", "there is no answer for invocation 1"),
        ({"0-1": {"Return": 1}, "1": {"Return": 1}}, "", "two answers for invocation 1"),
        ({"0": {"Return": 1}, "one": {"Return": 1}}, "/one", "must be the number of an invocation"),
        ({"0": {"Return": 1}, "3-1": {"Return": 1}}, "/3-1", "the range ends before it begins"),
        ({"0": {}}, "/0", "must have one of Return and Throw"),
        ({"0": {"Return": 1, "Throw": {"Error": "E"}}}, "/0", "must have one of Return and Throw"),
        ({"0": {"Throw": {"Cause": "C"}}}, "/0/Throw", "Error is missing"),
        ({"0": {"Return": 1, "Delay": 1}}, "/0/Delay", "there is no field 'Delay' here"),
        (3, "", "must be an object, not a number"),
    ],
)
def test_mistakes_in_responses(response: Json, pointer: str, message: str) -> None:
    _, (first, *_) = parse(file(response))

    assert first[0] == f"/MockedResponses/Mocked{pointer}"
    assert message in first[1]


def test_mistakes_around_the_responses() -> None:
    assert parse({})[1] == [("", "StateMachines is missing"), ("", "MockedResponses is missing")]
    assert parse(file({"0": {"Return": 1}}, name="Moked"))[1] == [
        (
            "/StateMachines/Send/TestCases/Happy/A",
            "no mocked response is named 'Mocked'; did you mean 'Moked'?",
        )
    ]


def test_test_cases_are_found_by_both_names() -> None:
    cases, _ = parse(file({"0": {"Return": 1}}))

    with pytest.raises(LookupError, match="no state machine is named 'Sned'; did you mean 'Send'"):
        cases.find("Sned", "Happy")
    with pytest.raises(LookupError, match="no test case is named 'Sad'; there are: Happy"):
        cases.find("Send", "Sad")


@pytest.mark.parametrize(
    ("resource", "output"),
    [
        ("arn:aws:lambda:us-east-1:123456789012:function:f", {"n": 1}),
        ("arn:aws:states:::aws-sdk:lambda:invoke", {"StatusCode": 200, "Payload": {"n": 1}}),
    ],
)
def test_a_function_called_by_its_arn_gives_the_payload_alone(resource: str, output: Json) -> None:
    task: Json = {"Type": "Task", "Resource": resource, "End": True}
    cases, _ = parse(file({"0": {"Return": {"StatusCode": 200, "Payload": {"n": 1}}}}))
    text = json.dumps({"StartAt": "A", "States": {"A": task}})
    tested = rehearsable("Send", text, Home(), AWS_QUOTAS)

    outcome = perform(Rehearsal(tested=tested, mocks=cases.find("Send", "Happy")))

    assert outcome.output == output
