"""What `eventmill up` tells while it runs: what is there, what starts and ends, what goes wrong."""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

import click

from eventmill.cli import failures
from eventmill.cli.execution_view import list_item, took_ms
from eventmill.cli.output import painted
from eventmill.cli.recorded import machine_name
from eventmill.cli.tables import STATUS_COLOURS
from eventmill.cli.texts import duration, local_time, printable, short
from eventmill.errors import LogUnavailable
from eventmill.machine.history import HistoryEvent
from eventmill.model import Json, encode_json
from eventmill.ports import EventLog
from eventmill.rows import ExecutionRow

_PAUSE_SECONDS: Final = 0.4  # for what happens meanwhile to come together
# A person reads no more than this; whoever needs all of them asks the log.
_NEW_SHOWN_MAX: Final = 50
_FOLLOWED_MAX: Final = 500
_REASON_SHOWN_MAX: Final = 200
_HANDLERS_LOGGER: Final = "eventmill.handlers."


class Narrator:
    """Tells it to a person, in lines, or to a program, in lines of JSON with a `type` each.

    When nobody can read it any more, as after `| head`, it is told to nobody: the server goes on.
    """

    def __init__(self, *, as_json: bool, quiet: bool, debug: bool = False) -> None:
        self._as_json = as_json
        self._debug = debug
        self.quiet = quiet

    def tell(self, type: str, text: str, **fields: Json) -> None:
        """Say something on stdout: `text` to a person, the fields to a program."""
        if self._as_json:
            _say(encode_json({"type": type, **fields}).decode(), sys.stdout)
        elif text:
            _say(text, sys.stdout)

    def warn(self, text: str) -> None:
        """Say on stderr that something is wrong; to a program on stdout, as all else."""
        if self._as_json:
            self.tell("warning", "", message=text)
        else:
            _say(f"{painted('Warning:', 'yellow', sys.stderr)} {text}", sys.stderr)

    def started(self, row: ExecutionRow, cause: str) -> None:
        """Say that an execution has begun."""
        by = f"  by {cause}" if cause else ""
        text = f"{_clock(row.start_ms)}  {'started':<9}  {_label(row)}{by}"
        self.tell("started", text, **list_item(row))

    def ended(self, row: ExecutionRow, fields: dict[str, Json]) -> None:
        """Say that an execution has ended, and how."""
        reasons = (str(fields[part]) for part in ("error", "cause") if fields.get(part))
        reason = short(": ".join(reasons), _REASON_SHOWN_MAX)
        colour = STATUS_COLOURS.get(row.status, "white")
        status = painted(f"{row.status.lower().replace('_', ' '):<9}", colour)
        at = _clock(row.stop_ms if row.stop_ms is not None else row.start_ms)
        text = f"{at}  {status}  {_label(row)}  {duration(took_ms(row))}"
        self.tell("ended", f"{text}  {reason}" if reason else text, **list_item(row), **fields)

    def log(self, entry: logging.LogRecord) -> None:
        """Pass on what a part of the server, or a handler, has to say."""
        message = entry.getMessage()
        error = entry.exc_info[1] if entry.exc_info else None
        at = _clock(int(entry.created * 1_000))
        if self._as_json:
            level = entry.levelname.lower()
            trace = {} if error is None else {"traceback": _trace(error)}
            self.tell("log", "", level=level, logger=entry.name, message=message, **trace)
        elif entry.name.startswith(_HANDLERS_LOGGER):
            if not self.quiet or entry.levelno >= logging.WARNING:
                name = entry.name.removeprefix(_HANDLERS_LOGGER)
                self.tell("log", f"{at}  {'says':<9}  {name}: {printable(message)}")
        elif entry.levelno >= logging.WARNING:
            self.warn(printable(message) if error is None else self._mistake(message, error))
        elif not self.quiet:
            self.tell("log", f"{at}  {printable(message)}")

    def _mistake(self, message: str, error: BaseException) -> str:
        """An error of ours in a part that goes on: in short, or with all of it to debug."""
        more = _trace(error) if self._debug else failures.internal(error).message
        return f"{printable(message)}: {more}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _say(text: str, file: TextIO) -> None:
    try:
        click.echo(text, file=file)
    except OSError:
        # What could not be written is still buffered, and must go somewhere when Python ends.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), file.fileno())


class _Handler(logging.Handler):
    def __init__(self, narrator: Narrator) -> None:
        super().__init__()
        self._narrator = narrator

    def emit(self, record: logging.LogRecord) -> None:
        self._narrator.log(record)


@contextmanager
def told_by(narrator: Narrator) -> Iterator[None]:
    """Have everything that Eventmill's loggers say told by `narrator`, inside the block."""
    logger = logging.getLogger("eventmill")
    handler = _Handler(narrator)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


class Follower:
    """Hears from the engine what has started and ended, and tells it, a few times a second.

    It costs the same however much runs: when more starts than a person reads, it says so, and
    tells no more of those. While nothing happens it does nothing.
    """

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._started: list[ExecutionRow] = []
        self._ended: list[tuple[ExecutionRow, HistoryEvent]] = []
        self._followed: dict[int, None] = {}  # of those that were told, the newest that run
        self._first_id: int | None = None  # that started since this server did
        self._skipped = False
        self._news = asyncio.Event()

    def started(self, row: ExecutionRow) -> None:
        """See `Listener.started`."""
        if row.child is not None:
            return
        if self._first_id is None:
            self._first_id = row.id
        if len(self._started) < _NEW_SHOWN_MAX:
            self._started.append(row)
            self._followed[row.id] = None
            if len(self._followed) > _FOLLOWED_MAX:
                del self._followed[next(iter(self._followed))]
        else:
            self._skipped = True
        self._news.set()

    def ended(self, row: ExecutionRow, last: HistoryEvent) -> None:
        """See `Listener.ended`. What began with another server was told of there."""
        is_old = self._first_id is None or row.id < self._first_id
        if row.child is not None or not (is_old or row.id in self._followed):
            return
        self._followed.pop(row.id, None)
        if len(self._ended) < _FOLLOWED_MAX:
            self._ended.append((row, last))
        else:
            self._skipped = True
        self._news.set()

    async def run(self, log: EventLog) -> None:
        """Tell what is new, until cancelled; `log` has the events that executions follow from."""
        while True:
            await self._news.wait()
            await self.tell(log)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def tell(self, log: EventLog) -> None:
        """Tell what has happened since the last time."""
        self._news.clear()
        started, self._started = self._started, []
        ended, self._ended = self._ended, []
        if self._skipped:
            self._skipped = False
            text = "           … more executions start than are shown; executions list has them"
            self._narrator.tell("skipped", text)
        status = {row.id: row for row, _ in ended}
        for row in started:
            self._narrator.started(status.get(row.id, row), await self._cause(log, row))
        for row, last in ended:
            self._narrator.ended(row, _reasons(last))

    async def _cause(self, log: EventLog, row: ExecutionRow) -> str:
        """Which event started an execution, in words."""
        try:
            received = None if row.event is None else await log.event(*row.event)
        except LogUnavailable as error:
            self._narrator.warn(printable(str(error)))
            return ""
        if received is None:
            return ""
        event = received.event
        about = event.detail.get("relative-path") or event.detail.get("name") or event.id
        return printable(f"{event.detail_type} {about}")


def _reasons(last: HistoryEvent) -> dict[str, Json]:
    """What the last event says about the end."""
    details = last.details or {}
    return {name: text for name in ("error", "cause") if isinstance(text := details.get(name), str)}


def _label(row: ExecutionRow) -> str:
    return f"{printable(machine_name(row))}  {printable(row.name)}"


def _clock(at_ms: int) -> str:
    return local_time(at_ms)[11:]
