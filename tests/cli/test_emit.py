"""`eventmill emit`: against a real server, and against none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.projects import PASS, write_project
from tests.cli.servers import server

TRIGGER = {
    "EventPattern": {"source": ["my.shop"]},
    "Target": {"StateMachine": "pass", "InputPath": "$.detail", "ExecutionName": "$.id"},
}
SIGNED = '[events.signatures."signed.shop"]\nscheme = "standard-webhooks"\nsecret_from = "SECRET"\n'
FROM = ("--source", "my.shop", "--type", "Order Placed")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a server at work on it, which wants one source to be signed."""
    project = write_project(tmp_path_factory.mktemp("served"), workflows={"pass": PASS})
    (project / "triggers").mkdir(exist_ok=True)
    (project / "triggers/orders.json").write_text(json.dumps(TRIGGER))
    (project / "eventmill.toml").write_text(SIGNED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET", "of the shop")
        with server(project, "--port", "0") as running:
            ready = running.told("ready")
            assert ready["bus"] == [{"name": "orders", "stateMachine": "pass", "enabled": True}]
            yield project


def names(run: Run, project: Path) -> set[str]:
    """The executions there are."""
    listed = run("executions", "list", "--json", "--limit", "1000", "--project", project)
    return {str(row["name"]) for row in json.loads(listed.stdout)["executions"]}


def test_an_event_starts_what_listens(run: Run, served: Path) -> None:
    result = run("emit", '{"total": 12}', *FROM, "--id", "one", "--project", served)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "one\n", "")
    assert "one" in names(run, served)


def test_the_same_id_is_taken_again_and_starts_nothing(run: Run, served: Path) -> None:
    for _ in range(2):
        result = run("emit", *FROM, "--id", "twice", "--json", "--project", served)
        assert json.loads(result.stdout) == {"source": "my.shop", "id": "twice"}
    assert "twice" in names(run, served)


def test_the_detail_comes_from_a_file_or_stdin(run: Run, served: Path, tmp_path: Path) -> None:
    file = tmp_path / "detail.json"
    file.write_text('\ufeff{"from": "file"}')
    for where, stdin, name in ((str(file), None, "by-file"), ("-", '{"from": 1}', "by-stdin")):
        arguments = (*FROM, "--detail-file", where, "--id", name, "--project", served)
        result = run("emit", *arguments, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        assert name in names(run, served)


def test_lines_are_events_and_options_fill_them_up(run: Run, served: Path) -> None:
    lines = [{"id": f"line-{number}", "detail": {"n": number}} for number in range(250)]
    lines[7] |= {"source": "elsewhere", "time": "2026-01-31T08:00:00Z", "version": "0"}
    text = "\n\n".join(map(json.dumps, lines)) + "\n"
    result = run("emit", *FROM, "--lines", "-", "--project", served, stdin=text)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [line["id"] for line in lines]
    expected = {f"line-{number}" for number in range(250)} - {"line-7"}
    assert expected == {name for name in names(run, served) if name.startswith("line-")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 102 is not JSON: "),
        ("[]", "line 102 is no JSON object"),
        ('{"details": {}}', "line 102: an event has no 'details'; it has id, source"),
    ],
)
def test_a_bad_line_says_where_and_how_far_it_came(
    run: Run, served: Path, line: str, message: str
) -> None:
    text = "{}\n" * 101 + line + "\n{}\n"
    result = run("emit", *FROM, "--lines", "-", "--project", served, stdin=text)
    assert result.exit_code == 1
    assert result.stderr.startswith("All events up to line 101 were taken.\nError: " + message)
    assert len(result.stdout.split()) == 101


def test_a_line_needs_a_source(run: Run, served: Path) -> None:
    result = run("emit", "--lines", "-", "--project", served, stdin="{}\n")
    assert result.exit_code == 1
    assert "line 1 has no source, and --source is not given" in result.stderr


def test_what_the_server_refuses_is_told(run: Run, served: Path) -> None:
    result = run("emit", *FROM, "--time", "today", "--project", served)
    assert result.exit_code == 1
    assert "InvalidEvent: /0/time: 'today' is not a date-time with an offset" in result.stderr


def test_events_are_signed_where_the_settings_say_so(
    run: Run, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("emit", "--source", "signed.shop", "--type", "T", "--project", served)
    monkeypatch.delenv("SECRET", raising=False)
    result = run(*arguments)
    assert result.exit_code == 1
    assert "the environment variable SECRET must have the secret" in result.stderr
    monkeypatch.setenv("SECRET", "guessed")
    assert "Unauthorized: webhook-signature has no signature" in run(*arguments).stderr
    monkeypatch.setenv("SECRET", "of the shop")
    assert run(*arguments).exit_code == 0


def test_without_a_server_it_says_so(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path, workflows={"pass": PASS})
    result = run("emit", *FROM, "--endpoint", "http://127.0.0.1:9", "--project", project)
    assert result.exit_code == 3
    assert "no server answers at http://127.0.0.1:9: " in result.stderr
    assert "start one with eventmill up" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--type", "T"), "Missing option '--source'."),
        (("--source", "s"), "Missing option '--type'."),
        ((*FROM, "{"), "the detail is not JSON: "),
        ((*FROM, "[]"), "the detail is no JSON object"),
        ((*FROM, "{}", "--detail-file", "-"), "DETAIL and --detail-file exclude each other."),
        (("{}", "--lines", "-"), "--lines brings whole events"),
        ((*FROM, "--endpoint", "nowhere"), "is no address like"),
    ],
)
def test_mistakes_on_the_command_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    project = write_project(tmp_path, workflows={"pass": PASS})
    result = run("emit", *arguments, "--project", project)
    assert result.exit_code == 2
    assert message in result.stderr
