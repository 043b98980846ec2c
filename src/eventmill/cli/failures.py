"""How a command ends when it cannot do what was asked: one message, one exit code."""

import sys
from collections.abc import Iterable
from typing import IO, Any, Final

import click

from eventmill.cli.output import painted
from eventmill.errors import (
    EventmillError,
    LogDamaged,
    LogError,
    LogFromTheFuture,
    LogInUse,
    LogUnavailable,
    ProjectError,
)

FAILED: Final = 1  # what was asked about failed, or is wrong
USAGE: Final = 2
ENVIRONMENT: Final = 3  # no server, port or data folder in use, disk
INTERNAL: Final = 70  # EX_SOFTWARE of sysexits.h: our mistake
INTERRUPTED: Final = 130  # as shells report a program that SIGINT ended

EXIT_CODES: Final = """\b
Exit codes:
  0   fine
  1   what was asked about failed: the execution did not succeed, a file has
      mistakes, a replay or the chain of hashes does not hold
  2   the command line is wrong
  3   the surroundings refuse: no server, a port or data folder in use, the disk
  70  a mistake in Eventmill itself
  130 interrupted by Ctrl-C"""


class Refused(click.ClickException):
    """What was asked about failed: one message on stderr; `advice` says what to do."""

    exit_code = FAILED

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message."""
        lines = [f"{painted('Error:', 'red', sys.stderr)} {self.message}"]
        if self.advice:
            lines.append(f"{painted('  try:', 'cyan', sys.stderr)} {self.advice}")
        click.echo("\n".join(lines), file=file or sys.stderr)


class EnvironmentRefused(Refused):
    """The surroundings refuse: no server, a port or data folder in use, the disk."""

    exit_code = ENVIRONMENT


class InternalError(Refused):
    """A mistake of ours."""

    exit_code = INTERNAL


def refused(error: EventmillError) -> Refused:
    """What to tell the user about `error`, and what to do."""
    message = str(error)
    if isinstance(error, ProjectError):
        lines = "\n".join(f"  {each}" for each in error.problems)
        count = len(error.problems)
        message = f"{count} {'mistake' if count == 1 else 'mistakes'} in the project:\n{lines}"
        return Refused(message, "eventmill validate, which shows the places")
    is_log = isinstance(error, LogError) and not isinstance(error, LogDamaged)
    kind = EnvironmentRefused if is_log else Refused
    return kind(message, _advice(error))


def _advice(error: EventmillError) -> str | None:
    match error:
        case LogInUse():
            return "stop that server, or use another data folder: --data DIR"
        case LogDamaged():
            return "eventmill audit verify, or another data folder: --data DIR"
        case LogFromTheFuture():
            return (
                "another data folder (--data DIR), or a newer Eventmill: pip install -U eventmill"
            )
        case LogUnavailable() if str(error).startswith("there is no log"):
            return "eventmill up, which makes it; or name the project: --project DIR"
        case LogUnavailable():
            return "see that the disk has room and the folder can be written, or --data DIR"
    return None


def unreadable(error: OSError) -> Refused:
    """What to tell the user about a file, a disk or a network that refuses."""
    names: Iterable[str] = (str(each) for each in (error.filename, error.filename2) if each)
    reason = error.strerror or str(error)
    return EnvironmentRefused(": ".join((*names, reason)))


def internal(error: BaseException) -> Refused:
    """What to tell the user about a mistake of ours."""
    trace = error.__traceback__
    place = "an unknown place"
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename}:{trace.tb_lineno}, in {code.co_name}"
        trace = trace.tb_next
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    advice = "the same command with --debug shows all of it; please report it"
    return InternalError(f"internal error: {what}\n  at {place}", advice)
