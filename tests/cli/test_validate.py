"""`eventmill validate`: what compilers do for programs."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.projects import DOUBLE, PASS, write, write_project

TRIGGER = "Source: {Type: filesystem, Path: inbox}\nTarget: {StateMachine: only}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a mistake; the current folder."""
    write_project(
        tmp_path,
        workflows={"only": PASS},
        triggers={"inbox.yaml": TRIGGER},
        handlers={"work.py": "def work(event, context):\n    return event\n"},
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_without_mistakes(run: Run, project: Path) -> None:
    result = run("validate")

    assert result.exit_code == 0
    assert result.stdout == f"No mistakes (1 workflow, 1 trigger, 1 handler in {project})\n"


def test_test_files_are_checked_too(run: Run, project: Path) -> None:
    tests = project / "workflows/only.test.yaml"
    write(tests, "Tests:\n  - Nam: one\n")

    result = run("validate")

    assert result.exit_code == 1
    assert result.stdout.startswith("workflows/only.test.yaml:2")
    assert "did you mean 'Name'?" in result.stdout
    assert "1 handler, 1 test file in" in result.stdout
    assert run("validate", str(tests)).exit_code == 1


def test_broken_json_is_shown_where_it_breaks(run: Run, project: Path) -> None:
    write(project / "workflows/broken.asl.json", '{\n  "StartAt": "A"\n  "States": {}\n}')

    result = run("validate")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "workflows/broken.asl.json:3:3: error INVALID_JSON_DESCRIPTION: "
        "Unexpected character ('\"' (code 34)): was expecting comma to separate entries",
        '    3 |   "States": {}',
        "      |   ^",
        "  hint: Expecting ',' delimiter",
        f"1 error (2 workflows, 1 trigger, 1 handler in {project})",
    ]


def test_unknown_fields_are_shown_with_the_one_that_was_meant(run: Run, project: Path) -> None:
    text = '{"StartAt": "A", "States": {\n  "A": {"Type": "Pass", "Ende": 1, "End": true}\n}}'
    write(project / "workflows/a.asl.json", text)

    assert run("validate").stdout.splitlines()[:4] == [
        "workflows/a.asl.json:2:33: error SCHEMA_VALIDATION_FAILED: "
        "Field 'Ende' is not supported at /States/A",
        '    2 |   "A": {"Type": "Pass", "Ende": 1, "End": true}',
        "      |                                 ^",
        "  hint: did you mean 'End'?",
    ]


def test_two_files_with_one_name(run: Run, project: Path) -> None:
    write(project / "workflows/more/only.asl.json", json.dumps(PASS))
    write(project / "triggers/more/inbox.json", json.dumps({}))

    lines = run("validate").stdout.splitlines()

    assert (
        f"workflows/only.asl.json: error NAME_TAKEN: the name 'only' is taken by "
        f"{project}/workflows/more/only.asl.json; rename one of the two" in lines
    )
    assert (
        f"triggers/more/inbox.json: error NAME_TAKEN: the name 'inbox' is taken by "
        f"{project}/triggers/inbox.yaml; rename one of the two" in lines
    )


def test_a_definition_over_1_mib(run: Run, project: Path) -> None:
    write(project / "workflows/large.asl.json", json.dumps({**PASS, "Comment": "x" * 1_048_576}))

    result = run("validate")

    assert result.exit_code == 1
    assert (
        "workflows/large.asl.json:1:1: error DEFINITION_TOO_LARGE: The definition has "
        in result.stdout
    )
    assert "at most 1048576 are allowed" in result.stdout
    # The excerpt of a long line is cut.
    assert max(map(len, result.stdout.splitlines())) < 300


def test_a_handler_that_does_not_exist(run: Run, project: Path) -> None:
    write(project / "workflows/double.asl.json", json.dumps(DOUBLE, indent=1))

    lines = run("validate").stdout.splitlines()

    assert lines[0].startswith("workflows/double.asl.json:6:16: error HANDLER_DOES_NOT_EXIST: ")
    assert lines[0].endswith(
        "No handler is named 'double'; handlers/ has: work at /States/Double/Resource"
    )
    assert lines[2] == "      |" + " " * 16 + "^"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "import nothing_of_this_name\ndef late(event, context): ...\n",
            "handlers/late.py",
            "No module named 'nothing_of_this_name'",
        ),
        (
            "def late(event, context): ...\n\nraise ValueError('not today')\n",
            "handlers/late.py:3",
            "Unable to import module 'late': ValueError: not today",
        ),
    ],
)
def test_a_handler_that_fails_at_import(
    text: str, place: str, message: str, run: Run, project: Path
) -> None:
    write(project / "handlers/late.py", text)

    result = run("validate")

    assert result.exit_code == 1
    assert result.stdout.startswith(f"{place}: error HANDLER_NOT_IMPORTABLE: ")
    assert message in result.stdout


def test_a_handler_that_ends_the_process_at_import(run: Run, project: Path) -> None:
    write(project / "handlers/late.py", "import os\nos._exit(7)\ndef late(event, context): ...\n")

    result = run("validate")

    assert result.exit_code == 1
    assert "importing the handlers ended the process, with status 7" in result.stdout


def test_handlers_that_print_at_import_disturb_nothing(run: Run, project: Path) -> None:
    write(project / "handlers/loud.py", "print('{}')\ndef loud(event, context): ...\n")

    assert run("validate").exit_code == 0


def test_handlers_are_not_imported_when_nobody_wants_it(run: Run, project: Path) -> None:
    write(project / "handlers/late.py", "raise ValueError\ndef late(event, context): ...\n")

    assert run("validate", "--no-import").exit_code == 0


def test_a_handler_that_is_no_python(run: Run, project: Path) -> None:
    write(project / "handlers/odd.py", "x = 1\ndef odd(event context): ...\n")

    lines = run("validate").stdout.splitlines()

    assert lines[0].startswith("handlers/odd.py:2: error INVALID_HANDLER: ")
    assert lines[1] == "    2 | def odd(event context): ..."


def test_mistakes_in_triggers(run: Run, project: Path) -> None:
    write(
        project / "triggers/a.yaml", "Source:\n  Type: filesystem\nTarget: {StateMachine: only}\n"
    )
    write(
        project / "triggers/b.json",
        '{\n"Source": {"Type": "filesystem", "Path": "x"},\n"Target": {"StateMachine": "other"}\n}',
    )
    write(project / "triggers/c.yml", "a: [\n")

    assert run("validate").stdout.splitlines()[:-1] == [
        "triggers/a.yaml:2: error INVALID_TRIGGER: is missing at /Source/Path",
        "    2 |   Type: filesystem",
        "triggers/b.json:3:28: error STATE_MACHINE_DOES_NOT_EXIST: "
        "No state machine is named 'other'; workflows/ has: only at /Target/StateMachine",
        '    3 | "Target": {"StateMachine": "other"}',
        "      |" + " " * 28 + "^",
        "triggers/c.yml:2:1: error INVALID_DOCUMENT: not YAML: while parsing a flow node "
        "expected the node content, but found '<stream end>'",
    ]


def test_two_triggers_that_watch_the_same_files_at_another_pace(run: Run, project: Path) -> None:
    source = (
        "Source: {Type: filesystem, Path: drop, StableSeconds: %s}\nTarget: {StateMachine: only}\n"
    )
    write(project / "triggers/fast.yaml", source % 0)
    write(project / "triggers/slow.yaml", source % 9)

    result = run("validate")

    assert result.exit_code == 1
    assert (
        f"triggers/slow.yaml: error SOURCES_AT_ODDS: watches the same files as "
        f"{project}/triggers/fast.yaml with another StableSeconds, ScanSeconds, DeletionEvents, "
        "AfterSuccess or AfterFailure; give both the same at /Source"
    ) in result.stdout


def test_findings_for_programs(run: Run, project: Path) -> None:
    write(project / "workflows/a.asl.json", '{"StartAt": "B", "States": {"A": {"Type": "Fail"}}}')

    result = run("validate", "--json")

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["valid"] is False
    assert document["findings"][0] == {
        "path": str(project / "workflows/a.asl.json"),
        "line": 1,
        "column": 13,
        "severity": "ERROR",
        "code": "MISSING_TRANSITION_TARGET",
        "message": "Missing 'Next' target: B",
        "pointer": "/StartAt",
        "hint": document["findings"][0]["hint"],
    }


def test_no_findings_for_programs(run: Run, project: Path) -> None:
    result = run("validate", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"valid": True, "findings": []})


def test_a_single_definition_outside_of_a_project(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.json", json.dumps(DOUBLE))

    result = run("validate", "good.json")

    assert (result.exit_code, result.stdout) == (0, "No mistakes (1 file)\n")


def test_a_single_definition_knows_the_handlers_of_its_project(run: Run, project: Path) -> None:
    path = write(project / "workflows/double.asl.json", json.dumps(DOUBLE))

    result = run("validate", path)

    assert result.exit_code == 1
    assert "2 errors (1 file)" in result.stdout
    assert "HANDLER_DOES_NOT_EXIST" in result.stdout


def test_a_single_trigger(run: Run, project: Path) -> None:
    path = write(project / "triggers/other.yaml", TRIGGER.replace("only", "other"))

    assert "STATE_MACHINE_DOES_NOT_EXIST" in run("validate", path).stdout


@pytest.mark.parametrize(
    ("text", "exit_code", "first"),
    [
        (json.dumps(PASS), 0, "No mistakes (1 file)"),
        ('{"StartAt": 1}', 1, "<stdin>:1:1: error SCHEMA_VALIDATION_FAILED: These fields are "),
        (b"\xff", 1, "<stdin>: error INVALID_ENCODING: is not UTF-8: byte 0"),
    ],
)
def test_a_definition_on_stdin(
    text: str | bytes, exit_code: int, first: str, run: Run, project: Path
) -> None:
    result = run("validate", "-", stdin=text)

    assert result.exit_code == exit_code
    assert result.stdout.startswith(first)


def test_a_file_that_is_not_there(run: Run, project: Path) -> None:
    result = run("validate", "nothing.json")

    assert (result.exit_code, result.stderr) == (1, "Error: there is no file nothing.json\n")


def test_what_a_file_says_cannot_reach_the_terminal_as_it_is(run: Run, project: Path) -> None:
    text = '{"StartAt": "A\\u001b[31m", "States": {"A": {"Type": "Succeed"}}, "\x1b[2J": 1}'
    write(project / "workflows/a.asl.json", text)

    result = run("validate")

    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
