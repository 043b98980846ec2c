"""The command line as a whole: help, exit codes, and that no traceback reaches a user."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from eventmill import __version__
from eventmill.cli import failures
from eventmill.cli.main import COMMANDS, eventmill
from eventmill.machine import decision
from tests.cli.conftest import Run

# Whatever a call of `fail` raises, what the user must see of it, and the exit code.
ERRORS = [
    (KeyError("x"), 70, "Error: internal error: KeyError: 'x'"),
    (AssertionError(), 70, "Error: internal error: AssertionError"),
    (FileNotFoundError(2, "No such file or directory", "a.txt"), 3, "a.txt: No such file"),
    (KeyboardInterrupt(), 130, ""),
]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command `fail`, which raises what is put into the list."""
    errors: list[BaseException] = []

    @click.command()
    def fail() -> None:
        raise errors[0]

    monkeypatch.setattr(sys.modules[__name__], "fail", fail, raising=False)
    monkeypatch.setitem(COMMANDS, "fail", (f"{__name__}:fail", "Fail."))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    return errors


def leaves() -> list[tuple[str, ...]]:
    """The words of every command that is no group."""
    found: list[tuple[str, ...]] = []
    with click.Context(eventmill) as context:
        for name in COMMANDS:
            command = eventmill.get_command(context, name)
            groups = command.commands if isinstance(command, click.Group) else {}
            found += [(name, each) for each in groups] or [(name,)]
    return found


def test_help_lists_every_command_with_its_purpose(run: Run) -> None:
    result = run("--help")

    assert result.exit_code == 0
    for name, (_, purpose) in COMMANDS.items():
        assert f"  {name}" in result.stdout
        assert purpose in result.stdout


@pytest.mark.parametrize("words", leaves(), ids=" ".join)
def test_every_command_has_a_help_of_its_own(words: tuple[str, ...], run: Run) -> None:
    result = run(*words, "--help")

    assert result.exit_code == 0
    assert f"Usage: eventmill {' '.join(words)} [OPTIONS]" in result.stdout
    assert "--debug" in result.stdout
    assert ("--json" in result.stdout) == (words != ("graph",))  # a picture is no data
    if words not in {("new",), ("version",), ("audit", "key")}:
        assert "--project DIR" in result.stdout
    if words != ("version",):
        assert "Exit codes:" in result.stdout


def test_help_imports_nothing_that_only_commands_need() -> None:
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from eventmill.cli.main import eventmill\n"
        "assert CliRunner().invoke(eventmill, ['--help']).exit_code == 0\n"
        "print([name for name in ('rich', 'uvicorn', 'asyncio', 'sqlite3', 'yaml',\n"
        "    'eventmill.runtime', 'eventmill.asl', 'eventmill.up') if name in sys.modules])\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert shown.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_the_version_is_shown(arguments: list[str], run: Run) -> None:
    assert run(*arguments).stdout.startswith(f"eventmill {__version__}\n")


def test_versions_in_json(run: Run) -> None:
    result = run("version", "--json")

    assert f'"eventmill": "{__version__}"' in result.stdout
    assert '"sqlite": "3.' in result.stdout
    kind = "interpreted" if decision.__file__.endswith(".py") else "compiled"
    assert f'"modules": "{kind}"' in result.stdout


def test_a_command_that_does_not_exist_is_a_usage_error_with_the_nearest_one(run: Run) -> None:
    result = run("exections")

    assert result.exit_code == 2
    assert "No such command 'exections'. Did you mean 'executions'?" in result.stderr


@pytest.mark.parametrize(("error", "exit_code", "message"), ERRORS)
def test_every_error_becomes_one_message(
    error: BaseException,
    exit_code: int,
    message: str,
    run: Run,
    failing: list[BaseException],
) -> None:
    failing.append(error)

    result = run("fail")

    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_internal_error_says_where_it_happened_and_what_to_do(
    run: Run, failing: list[BaseException]
) -> None:
    failing.append(KeyError("x"))

    lines = run("fail").stderr.splitlines()

    assert lines[0] == "Error: internal error: KeyError: 'x'"
    assert lines[1].startswith(f"  at {__file__}:")
    assert lines[1].endswith(", in fail")
    assert lines[2:] == ["  try: the same command with --debug shows all of it; please report it"]


def test_debug_shows_the_traceback_and_the_message(
    run: Run, failing: list[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    failing.append(KeyError("x"))

    result = run("--debug", "fail")

    assert result.exit_code == 70
    assert "Traceback (most recent call last):" in result.stderr
    assert "Error: internal error: KeyError: 'x'" in result.stderr


def test_a_project_that_is_no_folder_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("executions", "list", "--project", tmp_path / "nowhere")

    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {tmp_path}/nowhere is no folder; give the folder of a project\n"
    )


def test_mistakes_in_the_settings_are_all_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "eventmill.toml").write_text('dat = "x"\n[server]\nport = "high"\n')

    result = run("executions", "list", "--project", tmp_path)

    assert result.exit_code == 1
    assert f"{tmp_path}/eventmill.toml: dat is no setting; did you mean data?" in result.stderr
    assert f"{tmp_path}/eventmill.toml: server.port must be a port" in result.stderr


def test_the_nearest_project_upwards_is_meant(
    run: Run, history_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(history_project / "workflows")

    assert "good-1" in run("executions", "list").stdout


def test_the_documentation_names_every_command_and_exit_code(project_root: Path) -> None:
    text = (project_root / "docs" / "command-line.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if f"| `{name}` | " not in text] == []
    codes = [failures.FAILED, failures.USAGE, failures.ENVIRONMENT, failures.INTERNAL]
    assert [code for code in (0, *codes, failures.INTERRUPTED) if f"| {code} | " not in text] == []
