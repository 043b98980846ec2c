"""`eventmill graph`: pictures of definitions, and of what executions ran."""

import asyncio
import json
import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import click
import pytest

from eventmill.model import Json
from tests.cli.conftest import Run
from tests.cli.projects import DOUBLE, record_execution, write, write_project

GROUP: Final = "{http://www.w3.org/2000/svg}g"
ELSEWHERE: Final[dict[str, Json]] = {
    "StartAt": "Cluster",
    "States": {
        "Cluster": {
            "Type": "Task",
            "Resource": "arn:aws:states:::elasticmapreduce:createCluster.sync",
            "End": True,
        }
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one workflow; the current folder."""
    write_project(tmp_path, workflows={"double": DOUBLE})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(svg: str | bytes) -> dict[str, str]:
    """The class that tells a state's status, the last one, by its name."""
    return {
        each.attrib["data-state"]: each.attrib["class"].split()[-1]
        for each in ElementTree.fromstring(svg).iter(GROUP)
        if "data-state" in each.attrib
    }


def test_a_file_is_drawn_to_stdout(run: Run, project: Path) -> None:
    result = run("graph", "workflows/double.asl.json")

    assert (result.exit_code, result.stderr) == (0, "")
    assert states(result.stdout) == {"Double": "em-task", "Again": "em-task"}
    assert "<title>double</title>" in result.stdout


def test_a_workflow_of_the_project_is_found_by_its_name(run: Run, project: Path) -> None:
    named = run("graph", "double")

    assert named.exit_code == 0
    assert named.stdout == run("graph", "workflows/double.asl.json").stdout


def test_a_definition_may_come_from_stdin(run: Run, project: Path) -> None:
    result = run("graph", "-", stdin=json.dumps(DOUBLE))

    assert result.exit_code == 0
    assert states(result.stdout) == {"Double": "em-task", "Again": "em-task"}


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("out.svg", b"<svg "),
        ("out.PNG", b"\x89PNG\r\n"),
        ("out.mmd", b"flowchart TD\n"),
        ("out.mermaid", b"flowchart TD\n"),
    ],
)
def test_the_ending_says_what_to_write(run: Run, project: Path, name: str, begin: bytes) -> None:
    result = run("graph", "double", "-o", name)

    assert (result.exit_code, result.output) == (0, "")
    assert (project / name).read_bytes().startswith(begin)


def test_the_format_wins_over_the_ending(run: Run, project: Path) -> None:
    assert run("graph", "double", "--format", "mermaid", "-o", "out.svg").exit_code == 0
    assert (project / "out.svg").read_text().startswith("flowchart TD\n")


def test_an_ending_that_says_nothing_is_a_usage_error(run: Run, project: Path) -> None:
    result = run("graph", "double", "-o", "out.gif")

    assert result.exit_code == 2
    assert "out.gif ends in none of .svg, .png, .mmd, .mermaid" in result.stderr
    assert not (project / "out.gif").exists()


def test_a_png_goes_into_a_pipe(run: Run, project: Path) -> None:
    small = run("graph", "double", "--format", "png", "--scale", "1").stdout_bytes
    large = run("graph", "double", "--format", "png", "--scale", "3").stdout_bytes

    widths = [int.from_bytes(picture[16:20], "big") for picture in (small, large)]
    assert widths[1] == pytest.approx(3 * widths[0], abs=3)


def test_a_png_never_goes_to_a_terminal(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False
    )

    result = run("graph", "double", "--format", "png")

    assert result.exit_code == 2
    assert "A PNG is not for a terminal" in result.stderr
    assert run("graph", "double").exit_code == 0, "an SVG is text"


def test_a_file_with_mistakes_is_not_drawn_but_diagnosed(run: Run, project: Path) -> None:
    text = '{"StartAt": "A", "States": {\n  "A": {"Type": "Pass", "Next": "B"}\n}}'
    write(project / "bad.asl.json", text)

    result = run("graph", "bad.asl.json")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "bad.asl.json:2:33: error MISSING_TRANSITION_TARGET: " in result.stderr
    assert "try: eventmill validate bad.asl.json" in result.stderr


def test_what_does_not_run_here_is_drawn_all_the_same(run: Run, project: Path) -> None:
    write(project / "emr.json", json.dumps(ELSEWHERE))

    assert "UNSUPPORTED_FEATURE" in run("validate", "emr.json").stdout
    assert states(run("graph", "emr.json").stdout) == {"Cluster": "em-task"}


def test_a_file_that_is_not_there(run: Run, project: Path) -> None:
    result = run("graph", "nothing")

    assert result.exit_code == 1
    assert "there is no file nothing, and no workflow of that name; workflows/ has: double" in (
        result.stderr
    )


def test_without_a_file_and_an_execution_it_is_a_usage_error(run: Run, project: Path) -> None:
    assert run("graph").exit_code == 2


# Executions


@pytest.mark.parametrize(
    ("execution", "expected"),
    [
        ("good-1", {"Double": "is-succeeded", "Again": "is-succeeded"}),
        ("bad-1", {"Ask": "is-failed"}),
        ("waiting-1", {"Both": "is-running", "Rest": "is-running", "Done": "is-succeeded"}),
    ],
)
def test_an_execution_colours_what_it_ran(
    run: Run, history_project: Path, execution: str, expected: dict[str, str]
) -> None:
    result = run("graph", "--execution", execution, "--project", history_project)

    assert (result.exit_code, result.stderr) == (0, "")
    assert states(result.stdout) == expected
    assert re.search(rf"<title>\w+: execution {execution}, [A-Z]+</title>", result.stdout)


def test_the_children_of_a_distributed_map_count_too(run: Run, tmp_path: Path) -> None:
    processor: Json = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Each",
        "States": {"Each": {"Type": "Pass", "End": True}},
    }
    spread: dict[str, Json] = {
        "StartAt": "All",
        "States": {"All": {"Type": "Map", "ItemProcessor": processor, "End": True}},
    }
    write_project(tmp_path, workflows={"spread": spread})
    asyncio.run(record_execution(tmp_path, "spread", "one", [1, 2, 3]))

    result = run("graph", "--execution", "one", "--project", tmp_path)

    assert (result.exit_code, result.stderr) == (0, "")
    assert states(result.stdout) == {"All": "is-succeeded", "Each": "is-succeeded"}
    assert "3×" in result.stdout


def test_a_file_that_has_changed_since_is_noted(run: Run, own_history_project: Path) -> None:
    folder = own_history_project
    arguments = ("graph", "double", "--execution", "good-1", "--project", folder)
    before = run(*arguments)
    write(folder / "workflows/double.asl.json", json.dumps(DOUBLE).replace("Again", "Later"))

    after = run(*arguments)

    assert before.stderr == ""
    assert after.stderr == (
        "Note: the execution did not run on double as it stands; drawn is what it ran on.\n"
    )
    assert after.stdout == before.stdout


def test_mermaid_and_png_are_coloured_too(run: Run, history_project: Path) -> None:
    arguments = ("graph", "--execution", "bad-1", "--project", history_project)

    assert "class s1 failed" in run(*arguments, "--format", "mermaid").stdout
    assert run(*arguments, "--format", "png").stdout_bytes.startswith(b"\x89PNG")


def test_an_execution_that_does_not_exist(run: Run, history_project: Path) -> None:
    result = run("graph", "--execution", "nobody", "--project", history_project)

    assert result.exit_code == 1
    assert "'nobody'" in click.unstyle(result.stderr)
