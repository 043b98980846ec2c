"""What people see on a terminal, and what programs get in a pipe: colours, tables, live views."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.projects import execution_arn
from tests.cli.servers import server, started
from tests.cli.test_up import slow_project, start_slow

COMMAND = [sys.executable, "-m", "eventmill"]


def on_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code of a command and all it writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "FORCE_COLOR", "COLORTERM"}
    }
    size = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**kept, **size, **environment},
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65_536):
            written += chunk
    except OSError:
        pass  # Linux says so when the other side is closed.
    finally:
        os.close(ours)
    return process.wait(), written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("executions", "list"),
        ("executions", "show", "bad-1"),
        ("history", "bad-1"),
        ("replay", "--verify", "--all"),
        ("audit", "verify"),
    ],
    ids=" ".join,
)
def test_there_is_colour_on_a_terminal_unless_nobody_wants_it(
    arguments: tuple[str, ...], history_project: Path
) -> None:
    command = (*arguments, "--project", str(history_project))

    exit_code, coloured = on_terminal(*command)
    plain = on_terminal(*command, NO_COLOR="1")

    assert exit_code == 0
    assert "\x1b[3" in coloured or "\x1b[1;3" in coloured
    assert plain[0] == 0
    assert "\x1b[3" not in plain[1]
    assert "\x1b[1;3" not in plain[1]


def test_a_table_fits_the_terminal(history_project: Path) -> None:
    _, text = on_terminal("history", "good-1", "--project", str(history_project), NO_COLOR="1")

    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert any("ExecutionSucceeded" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_errors_are_coloured_on_a_terminal(tmp_path: Path) -> None:
    exit_code, text = on_terminal("executions", "list", "--project", str(tmp_path))

    assert exit_code == 3
    assert text.startswith("\x1b[31m\x1b[1mError:\x1b[0m there is no log at ")


def test_json_is_plain_on_a_terminal(history_project: Path) -> None:
    _, text = on_terminal("executions", "list", "--json", "--project", str(history_project))

    assert len(json.loads(text)["executions"]) == 3


def test_a_live_view_ends_with_the_execution(history_project: Path) -> None:
    exit_code, text = on_terminal(
        "executions", "show", "good-1", "--watch", "--project", str(history_project)
    )

    assert exit_code == 0
    assert '{"n":20}' in text


def test_watching_a_running_execution_follows_it_to_its_end(tmp_path: Path) -> None:
    project = slow_project(tmp_path)
    with server(project, "--port", "0", "--workers", "1") as running:
        running.told("ready")
        start_slow(tmp_path, project)
        arn = running.told("started")["executionArn"]
        watch = [*COMMAND, "executions", "show", arn, "--watch", "--json", "--project"]
        with started([*watch, str(project)]) as watching:
            first = json.loads(watching.line(lambda line: '"RUNNING"' in line))
            (tmp_path / "go").touch()
            last = json.loads(watching.line(lambda line: '"SUCCEEDED"' in line))
            exit_code, rest = watching.ended()

    assert [state["name"] for state in first["states"]] == ["Slow"]
    assert (last["output"], last["states"]) == ('{"slow":true}', [])
    assert (exit_code, rest) == (0, "")


def test_watching_the_list_ends_with_ctrl_c(history_project: Path) -> None:
    watch = [*COMMAND, "executions", "list", "--watch", "--json", "--project"]
    with started([*watch, str(history_project)]) as watching:
        names = [json.loads(watching.line(lambda line: True))["name"] for _ in range(3)]
        watching.signal(signal.SIGINT)
        exit_code, rest = watching.ended()

    assert names == ["good-1", "bad-1", "waiting-1"]
    assert (exit_code, rest) == (130, "")


def test_ctrl_c_while_waiting_leaves_the_execution_alone(tmp_path: Path) -> None:
    project = slow_project(tmp_path)
    given = json.dumps({"begun": str(tmp_path / "begun"), "go": str(tmp_path / "go")})
    with server(project, "--port", "0", "--workers", "1") as running:
        running.told("ready")
        start = [*COMMAND, "start", "slow", "--name", "a", "--wait", "--input", given]
        with started([*start, "--project", str(project)]) as waiting:
            arn = execution_arn("slow", "a")
            assert waiting.line(lambda line: True) == f"{arn}\n"
            running.line(lambda line: "the slow one has begun" in line)
            waiting.signal(signal.SIGINT)
            exit_code, rest = waiting.ended()
        (tmp_path / "go").touch()
        assert running.told("ended")["status"] == "SUCCEEDED"

    assert exit_code == 130
    assert rest == f"The execution goes on: eventmill executions show {arn} --watch\n"
