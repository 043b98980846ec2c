"""`eventmill new`."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.cli.conftest import Run

FILES: Final = [
    "README.md",
    "cities.csv",
    "eventmill.toml",
    ".gitignore",
    "handlers/csv_files.py",
    "inbox/.gitkeep",
    "triggers/inbox.yaml",
    "workflows/count-rows.asl.json",
    "workflows/count-rows.test.yaml",
]


def test_makes_a_project_and_says_what_comes_next(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "rivers and lakes"

    result = run("new", folder)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Made {folder}",
        *(f"  {name}" for name in FILES),
        "Next:",
        f"  cd '{folder}'",
        "  eventmill up",
        "  cp cities.csv inbox/      # in a second terminal",
    ]
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert made == set(FILES)
    assert (folder / "README.md").read_text().startswith("# rivers and lakes\n")


def test_the_project_has_no_mistakes(run: Run, tmp_path: Path) -> None:
    run("new", tmp_path / "p")

    result = run("validate", "--project", tmp_path / "p")

    assert result.exit_code == 0
    counted = "1 workflow, 1 trigger, 2 handlers, 1 test file"
    assert result.stdout == f"No mistakes ({counted} in {tmp_path}/p)\n"


def test_the_project_is_called_as_asked(run: Run, tmp_path: Path) -> None:
    run("new", tmp_path / "p", "--name", "rivers")

    assert (tmp_path / "p" / "README.md").read_text().startswith("# rivers\n")
    assert not [
        path for path in (tmp_path / "p").rglob("*") if path.is_file() and "{{" in path.read_text()
    ]


def test_lists_the_files_for_programs(run: Run, tmp_path: Path) -> None:
    result = run("new", tmp_path / "p", "--json")

    assert json.loads(result.stdout) == {"project": str(tmp_path / "p"), "files": FILES}


def test_an_empty_folder_is_taken(run: Run, tmp_path: Path) -> None:
    assert run("new", tmp_path).exit_code == 0
    assert (tmp_path / "eventmill.toml").is_file()


@pytest.mark.parametrize(("names", "found"), [(["a"], "a"), (["a", "b", "c", "d"], "a, b, c, …")])
def test_a_folder_with_something_in_it_is_refused(
    names: list[str], found: str, run: Run, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()

    result = run("new", tmp_path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: {tmp_path} is not empty: it has {found}\n  try: a new folder\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p").touch()

    result = run("new", tmp_path / "p")

    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path}/p is a file\n  try: a new folder\n"


def test_a_folder_that_cannot_be_made_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = run("new", tmp_path / "file" / "p")

    assert result.exit_code == 3
    assert result.stderr == f"Error: {tmp_path}/file/p: Not a directory\n"


def test_a_project_without_a_name_is_a_usage_error(run: Run) -> None:
    assert run("new").exit_code == 2
