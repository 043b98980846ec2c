"""`eventmill start`: an execution of a state machine, on the running server."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Final

import click
from rich.console import Console

from eventmill.cli.client import Client, OperationFailed
from eventmill.cli.failures import EXIT_CODES, FAILED, INTERRUPTED
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import is_terminal, painted, write_document, write_line
from eventmill.cli.project_server import client_of
from eventmill.cli.texts import printable
from eventmill.model import Json, decode_json

_FIRST_PAUSE_SECONDS: Final = 0.02
_PAUSE_SECONDS_MAX: Final = 0.5


@click.command(epilog=EXIT_CODES)
@click.argument("machine", metavar="MACHINE")
@settings_options
@click.option("--input", "given", metavar="JSON", help="The input. [default: {}]")
@click.option(
    "--input-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the input from a file; - is stdin.",
)
@click.option("--name", help="The execution's name. [default: a new one]")
@click.option("--wait", is_flag=True, help="Wait until it ends, and show its output.")
@click.option("--endpoint", metavar="URL", help="The server. [default: the project's]")
@json_option
def start(
    machine: str,
    project: Path,
    data: Path | None,
    given: str | None,
    input_file: IO[bytes] | None,
    name: str | None,
    wait: bool,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Start an execution of the state machine MACHINE, a name or an ARN.

    The execution is durable when its ARN appears. With --wait the exit code is 0 when it succeeds
    and 1 when it does not.
    """
    settings = chosen_settings(project, data)
    client = client_of(settings, endpoint)
    is_arn = machine.startswith("arn:")
    request: dict[str, Json] = {
        "stateMachineArn": machine if is_arn else settings.home.state_machine(machine),
        "input": _input(given, input_file),
    }
    if name is not None:
        request["name"] = name
    started = _start(client, request)
    arn = str(started["executionArn"])
    if not wait:
        if as_json:
            write_document(started)
        else:
            write_line(arn)
        return
    ended = _ended(client, arn, as_json)
    if as_json:
        write_document(ended)
    else:
        _show(ended)
    raise click.exceptions.Exit(0 if ended.get("status") == "SUCCEEDED" else FAILED)


def _start(client: Client, request: dict[str, Json]) -> dict[str, Json]:
    try:
        return client.call("StartExecution", request)
    except OperationFailed as error:
        if error.name == "StateMachineDoesNotExist":
            listed = client.call("ListStateMachines", {})["stateMachines"]
            assert isinstance(listed, list)
            names = (str(each["name"]) for each in listed if isinstance(each, dict))
            error.advice = f"one of the server's: {', '.join(names) or 'it has none'}"
        raise


def _input(given: str | None, file: IO[bytes] | None) -> str:
    if given is not None and file is not None:
        raise click.UsageError("--input and --input-file exclude each other.")
    option = "--input" if file is None else "--input-file"
    text = "{}" if given is None else given
    try:
        if file is not None:
            text = file.read().decode("utf-8-sig")
        decode_json(text)
    except ValueError as error:
        raise click.BadParameter(f"the input is not JSON: {error}", param_hint=option) from None
    return text


def _ended(client: Client, arn: str, as_json: bool) -> dict[str, Json]:
    """What DescribeExecution says once the execution has ended."""
    pause_seconds = _FIRST_PAUSE_SECONDS
    try:
        with _waiting(arn, as_json):
            while True:
                described = client.call("DescribeExecution", {"executionArn": arn})
                if described.get("status") != "RUNNING":
                    return described
                time.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 1.5, _PAUSE_SECONDS_MAX)
    except KeyboardInterrupt:
        click.echo(f"The execution goes on: eventmill executions show {arn} --watch", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _waiting(arn: str, as_json: bool) -> AbstractContextManager[object]:
    """Show that something runs, where somebody looks."""
    if as_json:
        return nullcontext()
    if not is_terminal(sys.stdout):
        write_line(arn)
        return nullcontext()
    return Console().status(f"{arn} runs", spinner="dots")


def _show(ended: dict[str, Json]) -> None:
    status = str(ended.get("status"))
    if status == "SUCCEEDED":
        write_line(printable(str(ended.get("output", ""))))
        return
    reasons = (str(ended[part]) for part in ("error", "cause") if ended.get(part))
    line = ": ".join((painted(status, "red", sys.stderr), *map(printable, reasons)))
    click.echo(line, err=True)
