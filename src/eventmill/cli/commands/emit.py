"""`eventmill emit`: events on the bus of the running server."""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

import click

from eventmill.cli.client import Client
from eventmill.cli.failures import EXIT_CODES, Refused
from eventmill.cli.options import chosen_settings, json_option, settings_options
from eventmill.cli.output import write_document, write_line
from eventmill.cli.server_file import endpoint as endpoint_of
from eventmill.cli.server_file import read_server_file
from eventmill.errors import EventmillError
from eventmill.model import Json, decode_json, encode_json
from eventmill.runtime.settings import Settings
from eventmill.runtime.signatures import Signatures, name_for

_BATCH_EVENTS: Final = 100
_FIELDS: Final = ("id", "source", "detail-type", "time", "resources", "detail")
# What an event has that was written by EventBridge or by us; the server gives it its own.
_OTHERS: Final = ("version", "account", "region")

_Event = dict[str, Json]


@click.command(epilog=EXIT_CODES)
@click.argument("detail", metavar="[DETAIL]", required=False)
@settings_options
@click.option("--source", metavar="TEXT", help="Where it comes from, such as my.shop.")
@click.option("--type", "--detail-type", "detail_type", metavar="TEXT", help="Its detail-type.")
@click.option(
    "--detail-file",
    type=click.File("rb"),
    metavar="FILE",
    help="Read the detail from a file; - is stdin.",
)
@click.option("--id", "event_id", metavar="TEXT", help="Its id. [default: a new one]")
@click.option("--time", "at", metavar="TIME", help="When it was, like 2026-01-31T08:00:00Z.")
@click.option("--resource", "resources", multiple=True, metavar="ARN", help="May be repeated.")
@click.option(
    "--lines",
    type=click.File("rb"),
    metavar="FILE",
    help="Send many: an event in JSON on each line of a file; - is stdin.",
)
@click.option("--endpoint", metavar="URL", help="The server. [default: the project's]")
@json_option
def emit(
    detail: str | None,
    project: Path,
    data: Path | None,
    source: str | None,
    detail_type: str | None,
    detail_file: IO[bytes] | None,
    event_id: str | None,
    at: str | None,
    resources: tuple[str, ...],
    lines: IO[bytes] | None,
    endpoint: str | None,
    as_json: bool,
) -> None:
    """Put events on the bus of the running server, where triggers without a Source listen.

    DETAIL is a JSON object; {} without one. The events are durable, with all they start, when their
    ids appear. An id that was there before is taken and starts nothing again, so a command that
    failed may be repeated. With --lines each line is an event in EventBridge's envelope; --source
    and --type stand in where a line does not have its own.
    """
    settings = chosen_settings(project, data)
    sending = _Sending(settings, _client(settings, endpoint), as_json=as_json)
    defaults: _Event = {"source": source, "detail-type": detail_type}
    defaults = {name: value for name, value in defaults.items() if value is not None}
    if lines is not None:
        if detail is not None or detail_file is not None or event_id or at or resources:
            raise click.UsageError("--lines brings whole events: give only --source and --type.")
        sending.send_lines(lines, defaults)
        return
    for name, option in (("source", "--source"), ("detail-type", "--type")):
        if name not in defaults:
            raise click.UsageError(f"Missing option {option!r}.")
    event = defaults | {"id": event_id or str(uuid4()), "detail": _detail(detail, detail_file)}
    event |= {"time": at} if at else {}
    event |= {"resources": [*resources]} if resources else {}
    sending.send([event])


def _client(settings: Settings, endpoint: str | None) -> Client:
    said = endpoint or read_server_file(settings.data)
    try:
        return Client(said or endpoint_of(settings.host, settings.port))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from None


def _detail(given: str | None, file: IO[bytes] | None) -> Json:
    if given is not None and file is not None:
        raise click.UsageError("DETAIL and --detail-file exclude each other.")
    hint = "DETAIL" if file is None else "--detail-file"
    try:
        detail = decode_json(given or "{}" if file is None else file.read().decode("utf-8-sig"))
    except ValueError as error:
        raise click.BadParameter(f"the detail is not JSON: {error}", param_hint=hint) from None
    if not isinstance(detail, dict):
        raise click.BadParameter("the detail is no JSON object", param_hint=hint)
    return detail


class _Sending:
    """Sends events, signed where the settings say so, and says which were taken."""

    def __init__(self, settings: Settings, client: Client, *, as_json: bool) -> None:
        self._settings = settings
        self._client = client
        self._as_json = as_json

    def send(self, events: list[_Event]) -> None:
        wanted = self._settings.events.signatures
        by_signature: dict[str | None, list[Json]] = {}
        for event in events:
            by_signature.setdefault(name_for(wanted, str(event["source"])), []).append(event)
        for name, group in by_signature.items():
            body = encode_json(group)
            headers = {}
            if name is not None:
                signatures = Signatures({name: wanted[name]}, os.environ)
                headers = signatures.sign(name, str(uuid4()), body, time.time_ns() // 1_000_000)
            self._client.send(body, headers)
        for event in events:
            if self._as_json:
                write_document({"source": event["source"], "id": event["id"]})
            else:
                write_line(str(event["id"]))

    def send_lines(self, lines: Iterable[bytes], defaults: _Event) -> None:
        taken = 0
        try:
            for batch in _batches(_events(lines, defaults)):
                self.send([event for _, event in batch])
                taken = batch[-1][0]
        except (EventmillError, click.ClickException):
            if taken:
                click.echo(f"All events up to line {taken:,} were taken.", err=True)
            raise


def _batches(events: Iterable[tuple[int, _Event]]) -> Iterator[list[tuple[int, _Event]]]:
    """Events in groups; all before a mistake are given before it is raised."""
    batch: list[tuple[int, _Event]] = []
    try:
        for each in events:
            batch.append(each)
            if len(batch) == _BATCH_EVENTS:
                yield batch
                batch = []
    except Refused as mistake:
        if batch:
            yield batch
        raise mistake
    if batch:
        yield batch


def _events(lines: Iterable[bytes], defaults: _Event) -> Iterator[tuple[int, _Event]]:
    """The event on each line, with its number.

    Raises:
        Refused: A line is none.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = decode_json(line)
        except ValueError as error:
            raise Refused(f"line {number:,} is not JSON: {error}") from None
        if not isinstance(event, dict):
            raise Refused(f"line {number:,} is no JSON object")
        unknown = [name for name in event if name not in (*_FIELDS, *_OTHERS)]
        if unknown:
            fields = ", ".join(_FIELDS)
            raise Refused(f"line {number:,}: an event has no {unknown[0]!r}; it has {fields}")
        event = {"id": str(uuid4()), "detail": {}, **defaults, **event}
        for name, option in (("source", "--source"), ("detail-type", "--type")):
            if name not in event:
                raise Refused(f"line {number:,} has no {name}, and {option} is not given")
        yield number, {name: event[name] for name in _FIELDS if name in event}
