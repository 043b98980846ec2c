"""docs/testing.md is true: it names every field, and its examples run."""

import ast
import json
import re
import textwrap
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest

from eventmill.cli.commands.new import scaffold
from eventmill.model import Json
from eventmill.rehearsal.outcome import Outcome
from eventmill.rehearsal.results import run_test
from eventmill.rehearsal.suite import Suite, read_suite
from eventmill.runtime.settings import load_settings

ROOT: Final = Path(__file__).resolve().parents[3]
TEXT: Final = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
FIELD: Final = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")
READERS: Final = {"has", "text", "flag", "json", "seconds", "instant", "items", "members"}
# They belong to mock files of Step Functions Local, or stand for any field of theirs.
OF_OTHERS: Final = {"StateMachines", "MockedResponses", "TestCases"}

Write = Callable[[Json], Suite]


def yaml_blocks() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.M | re.S)


def documented(name: str) -> bool:
    return re.search(rf"`{name}(?!\w)", TEXT) is not None


def test_every_field_is_named() -> None:
    asked = {
        str(argument.value)
        for path in (ROOT / "src" / "eventmill" / "rehearsal").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr
        in {"has", "text", "flag", "json", "seconds", "instant", "items", "members"}
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant) and FIELD.fullmatch(str(argument.value))
    }

    assert len(asked) > 25
    assert sorted(name for name in asked - OF_OTHERS if not documented(name)) == []
    assert [each.name for each in fields(Outcome) if not documented(each.name)] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project."""
    for path, source in scaffold():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def passes(path: Path, project: Path) -> bool:
    suite = read_suite(path, load_settings(project))
    assert suite.findings == ()
    results = [run_test(each) for each in suite.tests]
    assert [each.differences for each in results] == [()] * len(results)
    return bool(results)


def test_the_tests_of_a_new_project_pass(project: Path) -> None:
    assert passes(project / "workflows" / "count-rows.test.yaml", project)


def test_the_tests_of_this_repository_pass() -> None:
    assert passes(ROOT / "workflows" / "weather-intake.test.yaml", ROOT)


def test_the_first_example_tests_a_new_project(project: Path) -> None:
    path = project / "workflows" / "count-rows.test.yaml"
    path.write_text(yaml_blocks()[0], encoding="utf-8")

    assert passes(path, project)


def test_the_mocks_fit_the_example_of_this_repository(tmp_path: Path) -> None:
    example = ROOT / "workflows" / "weather-intake.asl.json"
    path = tmp_path / "a.test.yaml"
    path.write_text(f"StateMachine: {example}\nTests: []\n{yaml_blocks()[1]}", encoding="utf-8")

    assert read_suite(path, load_settings(ROOT)).findings == ()


def test_mock_files_are_read_as_documented(tmp_path: Path) -> None:
    """The mock file is like the example in the developer guide: three failures, then a result."""
    task: Json = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f"},
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "End": True,
    }
    throw: Json = {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "Lambda timed out."}}
    result: Json = {"Return": {"StatusCode": 200, "Payload": {}}}
    mocks: Json = {
        "StateMachines": {
            "LambdaSQSIntegration": {
                "TestCases": {
                    "HappyPath": {"LambdaState": "Good"},
                    "RetryPath": {"LambdaState": "Retried"},
                }
            }
        },
        "MockedResponses": {
            "Good": {"0": result},
            "Retried": {"0": throw, "1-2": throw, "3": result},
        },
    }
    definition: Json = {"StartAt": "LambdaState", "States": {"LambdaState": task}}
    for name, value in (("a.asl.json", definition), ("MockConfigFile.json", mocks)):
        (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    (tmp_path / "a.test.yaml").write_text(yaml_blocks()[2], encoding="utf-8")

    assert passes(tmp_path / "a.test.yaml", tmp_path)


def test_the_python_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"^    from pathlib.*?(?=^\S)", TEXT, re.M | re.S)
    assert found is not None
    namespace: dict[str, Any] = {}
    monkeypatch.chdir(project)
    exec(textwrap.dedent(found[0]), namespace)

    namespace["test_a_file_gets_a_summary"]()
