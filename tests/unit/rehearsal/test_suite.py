"""Test files: found, read whole, and checked with the definition and the mock file they name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from eventmill.instant import parse_instant
from eventmill.model import Json, Payload
from eventmill.rehearsal.rehearse import START_MS
from eventmill.rehearsal.suite import Suite, machine_of, read_suite, suite_files
from eventmill.runtime.settings import load_settings

DEFINITION: Final[Json] = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Next": "B"},
        "B": {"Type": "Pass", "End": True},
    },
}

Read = Callable[..., Suite]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a test file of the state machine `send`, in a project with these other files."""

    def read_(text: str, name: str = "send.test.yaml", **others: str) -> Suite:
        folder = tmp_path / "workflows"
        folder.mkdir(exist_ok=True)
        (folder / "send.asl.json").write_text(json.dumps(DEFINITION))
        for other, content in others.items():
            (folder / f"{other}.json").write_text(content)
        (folder / name).write_text(text)
        return read_suite(folder / name, load_settings(tmp_path))

    return read_


def only_finding(suite: Suite) -> tuple[str, str]:
    (finding,) = suite.findings
    return finding.place.rsplit("/", 1)[-1], finding.message


def test_tests_lie_beside_workflows(tmp_path: Path) -> None:
    (tmp_path / "workflows" / "more").mkdir(parents=True)
    names = ("a.test.yaml", "b.test.yml", "more/c.test.json", "a.asl.json", "test.yaml", "a.json")
    for name in names:
        (tmp_path / "workflows" / name).touch()

    found = suite_files(tmp_path)

    assert [machine_of(each) for each in found] == ["a", "b", "c"]


def test_a_test_takes_over_what_the_file_says(read: Read) -> None:
    suite = read(
        """
        Comment: two tests
        Input: { a: 1 }
        StartTime: 2030-01-01T00:00:00Z
        Mocks: { A: { Return: 1 } }
        Tests:
          - Name: first
          - Name: second
            Comment: it has all of its own
            Input: null
            StartTime: 2031-01-01T00:00:00Z
            ExecutionName: named
            Mocks: { A: { Never: true } }
            Expect: { Status: TIMED_OUT }
        """
    )
    first, second = (each.rehearsal for each in suite.tests)

    assert suite.findings == ()
    assert (first.input, second.input) == (Payload.of({"a": 1}), Payload.of(None))
    assert first.start_ms == parse_instant("2030-01-01T00:00:00Z")
    assert second.start_ms == parse_instant("2031-01-01T00:00:00Z")
    assert (first.execution_name, second.execution_name) == ("rehearsal", "named")
    assert (first.mocks["A"][0].returned, second.mocks["A"][0].returned) == (Payload.of(1), None)
    assert [each.expectation.status for each in suite.tests] == ["SUCCEEDED", "TIMED_OUT"]
    assert [each.line for each in suite.tests] == [7, 8]


def test_a_test_that_says_little_runs_on_an_empty_object(read: Read) -> None:
    (test,) = read('{"Tests": [{"Name": "a"}]}', "send.test.json").tests

    assert (test.rehearsal.input, test.rehearsal.mocks) == (Payload.of({}), {})
    assert test.rehearsal.start_ms == START_MS


def test_an_input_may_lie_in_a_file(read: Read) -> None:
    (test,) = read("Tests: [{Name: a, InputFile: given.json}]", given='{"b": 2}').tests

    assert test.rehearsal.input == Payload.of({"b": 2})


def test_objects_are_texts_values_and_files(read: Read) -> None:
    suite = read(
        """
        Objects: { in/a: { Text: "é" }, in/b: { Text: first } }
        Tests: [{ Name: a, Objects: { in/b: { Json: [1] }, in/c: { File: given.json } } }]
        """,
        given="{}",
    )

    assert suite.findings == ()
    (test,) = suite.tests
    assert test.rehearsal.objects == {"in/a": "é".encode(), "in/b": b"[1]", "in/c": b"{}"}


def test_another_workflow_may_be_named(read: Read) -> None:
    suite = read("{StateMachine: send.asl.json, Tests: []}", "other.test.yaml")

    assert suite.findings == ()


MOCK_FILE: Final = json.dumps(
    {
        "StateMachines": {"send": {"TestCases": {"Happy": {"A": "Sent"}, "Odd": {"C": "Sent"}}}},
        "MockedResponses": {"Sent": {"0": {"Return": "sent"}}},
    }
)


def test_mocks_may_come_from_a_file_of_step_functions_local(read: Read) -> None:
    suite = read(
        "{MockFile: mocks.json, Tests: [{Name: a, TestCase: Happy}, {Name: b}]}", mocks=MOCK_FILE
    )
    first, second = suite.tests

    assert suite.findings == ()
    assert first.rehearsal.mocks["A"][0].returned == Payload.of("sent")
    assert second.rehearsal.mocks == {}


def test_mocks_of_a_test_win_over_its_test_case_and_that_one_over_the_file(read: Read) -> None:
    suite = read(
        """
        MockFile: mocks.json
        Mocks: { A: { Return: file } }
        Tests:
          - { Name: a, TestCase: Happy }
          - { Name: b, TestCase: Happy, Mocks: { A: { Return: own } } }
        """,
        mocks=MOCK_FILE,
    )

    answers = [each.rehearsal.mocks["A"][0].returned for each in suite.tests]
    assert answers == [Payload.of("sent"), Payload.of("own")]


def test_the_mock_file_may_name_the_state_machine_otherwise(read: Read) -> None:
    mocks = MOCK_FILE.replace('"send"', '"Sender"')
    test_case = "Tests: [{Name: a, TestCase: Happy}]"

    assert read(f"{{MockFile: m.json, MockStateMachine: Sender, {test_case}}}", m=mocks).tests
    assert only_finding(read(f"{{MockFile: m.json, {test_case}}}", m=mocks)) == (
        "send.test.yaml:1",
        "no state machine is named 'send'; did you mean 'Sender'?",
    )


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("[]", "send.test.yaml:1", "must be an object, not an array"),
        ("Input: 1", "send.test.yaml:1", "Tests is missing"),
        ("Tests:\n- Nme: a", "send.test.yaml:2", "Name is missing"),
        ("Tests:\n- Name: a\n- Name: a", "send.test.yaml:3", "there are two tests named 'a'"),
        ("Tests:\n- Name: a\n  Mocks:\n    C: {Return: 1}", "send.test.yaml:4", "no state 'C'"),
        ("Tests:\n- Name: a\n  Mocks:\n    B: {Return: 1}", "send.test.yaml:4", "'B' is a Pass"),
        ("Tests:\n- Name: a\n  Expect:\n    Path: [D]", "send.test.yaml:4", "has no state 'D'"),
        ("Tests:\n- Name: a\n  Expect:\n    Calls: {D: 1}", "send.test.yaml:4", "no state 'D'"),
        ("Tests:\n- Name: a\n  TestCase: Happy", "send.test.yaml:3", "there is no MockFile whose"),
        ("Tests:\n- Name: a\n  InputFile: no.json", "send.test.yaml:3", "no.json: cannot be read"),
        ("Tests:\n- Name: a\n  ExecutionName: 'a b'", "send.test.yaml:3", "cannot name an exec"),
        ("Tests: []\nObjects:\n  a: {Text: b}", "send.test.yaml:3", "must be called bucket/key"),
        ("Tests: []\nObjects:\n  a/b: {}", "send.test.yaml:3", "needs one of Text, Json, File"),
        ("Tests: []\nObjects:\n  a/b: {File: c}", "send.test.yaml:3", "cannot read"),
        ("Tests: []\nStartTime: noon", "send.test.yaml:2", "'noon' is no RFC 3339 timestamp"),
        ("Tests: []\nStateMachine: send.json", "send.test.yaml:2", "must be the path of a work"),
        ("Tests: []\nStateMachine: x.asl.json", "send.test.yaml:2", "cannot read"),
        ("Tests: [}", "send.test.yaml:1:9", "not YAML"),
    ],
)
def test_mistakes_are_found_at_their_line(read: Read, text: str, place: str, message: str) -> None:
    found = [(each.place.rsplit("/", 1)[-1], each.message) for each in read(text).findings]

    assert any(at == place and message in said for at, said in found), found


def test_mistakes_in_json_have_columns(read: Read) -> None:
    suite = read('{"Tests": [{"Name": "a",\n  "Expct": {}}]}', "send.test.json")

    assert only_finding(suite)[0] == "send.test.json:2:12"


def test_mistakes_of_the_definition_are_those_of_its_own_file(read: Read, tmp_path: Path) -> None:
    read("Tests: []")
    path = tmp_path / "workflows" / "send.asl.json"
    path.write_text('{"StartAt": "A",\n "States": {"A": {"Type": "Pass", "Ende": true}}}')

    suite = read_suite(path.with_name("send.test.yaml"), load_settings(tmp_path))

    assert suite.tests == ()
    assert {each.path for each in suite.findings} == {path}


def test_mistakes_of_the_mock_file_are_those_of_its_own_file(read: Read) -> None:
    suite = read("{MockFile: m.json, Tests: []}", m='{"StateMachines": {},\n "Mocks": {}}')

    assert [each.place.rsplit("/", 1)[-1] for each in suite.findings] == [
        "m.json:1:1",
        "m.json:2:11",
    ]


def test_a_test_case_names_states_of_the_definition(read: Read) -> None:
    suite = read("{MockFile: m.json, Tests: [{Name: a, TestCase: Odd}]}", m=MOCK_FILE)

    assert "the definition has no state 'C'" in only_finding(suite)[1]
