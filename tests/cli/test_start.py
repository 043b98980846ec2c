"""`eventmill start`: against a real server, against none, and against strangers."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.projects import DOUBLE, HANDLERS, REFUSED, WAIT, execution_arn, write, write_project
from tests.cli.servers import server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a server at work on it."""
    project = write_project(
        tmp_path_factory.mktemp("served"),
        workflows={"double": DOUBLE, "refused": REFUSED, "wait": WAIT},
        handlers={"sums.py": HANDLERS},
    )
    with server(project, "--port", "0") as running:
        running.told("ready")
        yield project


@contextmanager
def stranger(status: int, body: bytes) -> Iterator[str]:
    """A server that gives everybody the same answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


def test_prints_the_arn_of_what_it_started(run: Run, served: Path) -> None:
    result = run("start", "double", "--input", '{"n": 1}', "--name", "a", "--project", served)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == execution_arn("double", "a") + "\n"
    assert run("executions", "show", "a", "--project", served).exit_code == 0


def test_waits_and_prints_the_output(run: Run, served: Path) -> None:
    arguments = ("start", "double", "--input", '{"n": 3}', "--name", "b", "--wait")

    result = run(*arguments, "--project", served)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f'{execution_arn("double", "b")}\n{{"n":12}}\n'


def test_waits_and_says_why_it_failed(run: Run, served: Path) -> None:
    result = run("start", "refused", "--name", "c", "--wait", "--project", served)

    assert result.exit_code == 1
    assert result.stdout == execution_arn("refused", "c") + "\n"
    assert result.stderr.startswith("FAILED: ValueError: ")
    assert "\x1b" not in result.stderr


def test_answers_of_the_server_for_programs(run: Run, served: Path) -> None:
    arn = "arn:aws:states:local:000000000000:stateMachine:double"

    started = run("start", arn, "--input", '{"n": 1}', "--name", "d", "--json", "--project", served)
    ended = run("start", "refused", "--wait", "--name", "e", "--json", "--project", served)

    assert json.loads(started.stdout)["executionArn"] == execution_arn("double", "d")
    assert ended.exit_code == 1
    shown = json.loads(ended.stdout)
    assert (shown["status"], shown["error"]) == ("FAILED", "ValueError")


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_reads_the_input_from_a_file(source: str, run: Run, served: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "input.json", '\ufeff{"n": 2}')
    given = str(path) if source == "file" else "-"
    stdin = path.read_bytes() if source == "stdin" else None

    result = run(
        *("start", "double", "--wait", "--input-file", given, "--project", served), stdin=stdin
    )

    assert result.stdout.endswith('{"n":8}\n')


def test_a_machine_that_does_not_exist(run: Run, served: Path) -> None:
    result = run("start", "treble", "--project", served)

    assert result.exit_code == 1
    assert "Error: StateMachineDoesNotExist: " in result.stderr
    assert "  try: one of the server's: double, refused, wait\n" in result.stderr


def test_a_name_that_is_taken(run: Run, served: Path) -> None:
    first = run("start", "wait", "--name", "taken", "--project", served)
    again = run("start", "wait", "--name", "taken", "--input", "[1]", "--project", served)

    assert (first.exit_code, again.exit_code) == (0, 1)
    assert "Error: ExecutionAlreadyExists: " in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "{"], "Invalid value for --input: the input is not JSON"),
        (["--input-file", "-"], "Invalid value for --input-file: the input is not JSON"),
        (["--input", "1", "--input-file", "-"], "--input and --input-file exclude each other"),
        (["--endpoint", "127.0.0.1:80"], "is no address like http://127.0.0.1:8083"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    arguments: list[str], message: str, run: Run, tmp_path: Path
) -> None:
    result = run("start", "double", *arguments, "--project", tmp_path, stdin="no json")

    assert result.exit_code == 2
    assert message in result.stderr


def test_without_a_server_it_says_how_to_get_one(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    write_project(tmp_path, settings=f"[server]\nport = {port}\n")

    result = run("start", "double", "--project", tmp_path)

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"Error: no server answers at http://127.0.0.1:{port}: Connection refused\n"
        "  try: start one with eventmill up, or name another: --endpoint URL\n"
    )


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (200, b"<html>", "it answered StartExecution with status 200 and no JSON object"),
        (404, b'{"detail": "?"}', "it answered StartExecution with status 404"),
    ],
)
def test_a_server_that_is_no_eventmill(
    status: int, body: bytes, what: str, run: Run, tmp_path: Path
) -> None:
    with stranger(status, body) as address:
        result = run("start", "double", "--endpoint", address, "--project", tmp_path)

    assert result.exit_code == 3
    assert f"Error: the server at {address} is no Eventmill: {what}\n" in result.stderr


def test_a_server_that_does_not_speak_http(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        result = run("start", "double", "--endpoint", address, "--project", tmp_path)
        thread.join()

    assert result.exit_code == 3
    assert "is no Eventmill: it answered with something else than HTTP" in result.stderr
