"""`eventmill test`: the tests of a project, and one state alone."""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest
from click.testing import Result

from eventmill.model import Json
from tests.cli.conftest import Run
from tests.cli.projects import DOUBLE, HANDLERS, PASS, write, write_project

TESTS: Final = """
Input: { n: 1 }
Mocks: { Again: { Return: { n: 5 } } }
Tests:
  - Name: doubles twice
    Mocks: { Double: { Handler: true } }
    Expect: { Output: { n: 5 }, Calls: { Again: [{ n: 2 }] } }
  - Name: an error is told
    Mocks: { Double: { Throw: { Error: Bad, Cause: "no \\e[31mred" } } }
    Expect: { Output: { n: 6 } }
  - Name: a mock is missing
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one good test and two that fail, and a state machine without tests."""
    workflows: dict[str, dict[str, Json] | str] = {"double": DOUBLE, "only": PASS}
    folder = write_project(
        tmp_path / "project", workflows=workflows, handlers={"numbers_.py": HANDLERS}
    )
    write(folder / "workflows" / "double.test.yaml", TESTS)
    monkeypatch.chdir(folder)
    return folder


def test_every_test_has_a_line(run: Run, project: Path) -> None:
    result = run("test")

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[:3] == [
        "workflows/double.test.yaml",
        "  passed  doubles twice",
        "  FAILED  an error is told  workflows/double.test.yaml:8",
    ]
    assert lines[3] == "      it ended FAILED with Bad, not SUCCEEDED: no \\x1b[31mred"
    assert lines[4] == "      path: Double"
    assert lines[5] == "  FAILED  a mock is missing  workflows/double.test.yaml:11"
    assert "the state 'Double' calls arn:" in lines[6]
    assert lines[-1].startswith("3 tests: 1 passed, 2 failed in ")


@pytest.mark.parametrize(
    "target", ["double", "workflows/double.asl.json", "workflows/double.test.yaml", "workflows"]
)
def test_tests_are_named_in_several_ways(run: Run, project: Path, target: str) -> None:
    result = run("test", target, "-k", "TWICE", "-v")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:3] == [
        "  passed  doubles twice",
        "      path: Double > Again",
    ]


def test_a_target_that_is_named_twice_runs_once(run: Run, project: Path) -> None:
    result = run("test", "double", "workflows", "-k", "twice")

    assert "1 test: 1 passed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["only"], "there are no tests of 'only'; there are tests of: double"),
        (["no.test.yaml"], "there is no file no.test.yaml"),
        (["-k", "nothing"], "no test has 'nothing' in its name"),
        (["double", "--state", "Nope", "--mock", '{"Return": 1}'], "State not found"),
        (
            ["nope", "--state", "Double"],
            "there is no workflow 'nope'; workflows/ has: double",
        ),
    ],
)
def test_what_is_not_there_is_refused(
    run: Run, project: Path, arguments: list[str], message: str
) -> None:
    result = run("test", *arguments)

    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state", "Double"], "--state needs one workflow file"),
        (["double", "--input", "1"], "--input and --mock belong to --state"),
        (["double", "--state", "Double", "--junit", "x.xml"], "are for test files"),
        (["double", "--state", "Double", "--mock", "{"], "the mock is not JSON"),
        (["double", "--state", "Double", "--mock", "{}"], "an answer needs one of Return, Throw"),
        (["double", "--state", "Double", "--mock", '{"Never": true}'], "one of Return and Throw"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    run: Run, project: Path, arguments: list[str], message: str
) -> None:
    result = run("test", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_a_project_without_tests_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_project(tmp_path / "empty", workflows={"only": PASS}))

    result = run("test")

    assert result.exit_code == 1
    assert "there are no tests" in result.stderr


def test_mistakes_of_a_file_are_told_and_the_others_run(run: Run, project: Path) -> None:
    write(project / "workflows" / "only.test.yaml", "Tests:\n- Name: a\n  Expct: {}\n")

    result = run("test", "-k", "twice")

    assert result.exit_code == 1
    assert (
        "  error  workflows/only.test.yaml:3: there is no field 'Expct' here;"
        " did you mean 'Expect'? at /Tests/0/Expct"
    ) in result.stdout.splitlines()
    assert "1 test: 1 passed, 1 file with mistakes in" in result.stdout


def test_programs_get_a_document(
    run: Run, project: Path, document: Callable[[Result], Any]
) -> None:
    result = run("test", "--json")

    told = document(result)
    (file,) = told["files"]
    assert (result.exit_code, told["passed"]) == (1, False)
    assert [each["passed"] for each in file["tests"]] == [True, False, False]
    assert file["tests"][0]["path"] == ["Double", "Again"]
    assert file["tests"][1]["error"] == "Bad"


def test_build_servers_get_a_report(run: Run, project: Path) -> None:
    run("test", "--junit", "report.xml")

    (suite,) = ElementTree.parse(project / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")


SURROUNDINGS: Final = """
import os


def double(event, context):
    return [os.environ["EVENTMILL_PROJECT"], os.getcwd()]
"""


def test_handlers_have_the_surroundings_of_a_worker(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project / "handlers" / "numbers_.py", SURROUNDINGS)
    write(
        project / "workflows" / "double.test.yaml",
        f"""
        Mocks: {{ Again: {{ Return: done }}, Double: {{ Handler: true }} }}
        Tests: [{{ Name: a, Expect: {{ Calls: {{ Again: [["{project}", "{project}"]] }} }} }}]
        """,
    )
    monkeypatch.chdir(project.parent)
    monkeypatch.setenv("EVENTMILL_PROJECT", "before")

    result = run("test", "--project", "project")

    assert result.exit_code == 0, result.stdout
    assert (os.environ["EVENTMILL_PROJECT"], Path.cwd()) == ("before", project.parent)


def test_virtual_time_is_told(run: Run, project: Path) -> None:
    waits: dict[str, Json] = {"Type": "Wait", "Seconds": 31_536_000, "End": True}
    definition = json.dumps({"StartAt": "W", "States": {"W": waits}})
    write(project / "workflows" / "wait.asl.json", definition)
    write(project / "workflows" / "wait.test.json", '{"Tests": [{"Name": "a year"}]}')

    assert "  passed  a year  (365 d)" in run("test", "wait").stdout.splitlines()


def test_a_long_path_is_cut(run: Run, project: Path) -> None:
    names = [f"P{number}" for number in range(60)]
    states = {name: {"Type": "Pass", "Next": after} for name, after in pairwise(names)}
    states["P59"] = {"Type": "Succeed"}
    write(project / "workflows" / "long.asl.json", json.dumps({"StartAt": "P0", "States": states}))
    write(project / "workflows" / "long.test.yaml", "Tests: [{Name: a}]")

    (line,) = [each for each in run("test", "long", "-v").stdout.splitlines() if "path:" in each]
    assert line.endswith("> P19 > … 20 more … > P40 > " + " > ".join(names[41:]))


# One state


def test_a_state_is_tried_with_a_mock(run: Run, project: Path) -> None:
    result = run(
        "test",
        "double",
        "--state",
        "Double",
        "--input",
        '{"n": 3}',
        "--mock",
        '{"Return": {"n": 4}}',
    )

    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["SUCCEEDED", '  output: {"n":4}', "  next state: Again"]


def test_a_state_is_tried_with_its_handler(
    run: Run, project: Path, document: Callable[[Result], Any]
) -> None:
    result = run("test", "double", "--state", "Again", "--input", '{"n": 3}', "--json")

    assert document(result) == {"output": '{"n":6}', "status": "SUCCEEDED"}


def test_a_state_that_fails_is_a_failure(run: Run, project: Path) -> None:
    result = run(
        "test", "workflows/double.asl.json", "--state", "Double",
        "--mock", '{"Throw": {"Error": "Bad", "Cause": "\\u001b[31m"}}', "-v",
    )  # fmt: skip

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:3] == ["FAILED", "  error: Bad", "  cause: \\x1b[31m"]
