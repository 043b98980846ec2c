"""What is to be said about the files of a project: each thing at its file, line and column."""

import re
from pathlib import Path
from typing import Final

from eventmill.asl.positions import position_of
from eventmill.errors import Diagnostic
from eventmill.record import record

ERROR: Final = "ERROR"

_PLACE: Final = re.compile(r"(?::(?P<line>\d+))?(?::(?P<column>\d+))?: (?P<message>.*)", re.DOTALL)
# The language's reader says so where a text stops to be JSON.
_SYNTAX_HINT: Final = re.compile(
    r"line (?P<line>\d+), column (?P<column>\d+): (?P<what>.*)", re.DOTALL
)
_UNKNOWN_FIELD: Final = re.compile(r"Field '(?P<name>.+)' is not supported")


@record
class Finding:
    """A mistake (or, by `severity`, a warning). Lines and columns count from 1."""

    path: Path
    code: str
    message: str
    line: int | None = None
    column: int | None = None
    pointer: str = ""
    severity: str = ERROR
    hint: str | None = None

    @property
    def place(self) -> str:
        """`file:line:column`, as far as known."""
        known = (each for each in (self.line, self.column) if each is not None)
        return ":".join((str(self.path), *map(str, known)))

    def __str__(self) -> str:
        where = f" at {self.pointer}" if self.pointer else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.severity.lower()} {self.code}: {self.message}{where}{hint}"


def from_diagnostic(path: Path, text: str, diagnostic: Diagnostic) -> Finding:
    """What a diagnostic says about the definition `text`, which is the file `path`."""
    message, hint = diagnostic.message, diagnostic.hint
    syntax = _SYNTAX_HINT.fullmatch(hint or "")
    if syntax is not None:
        line, column = int(syntax["line"]), int(syntax["column"])
        # AWS's message repeats the whole text after its first line.
        message, hint = message.split("\n", 1)[0], syntax["what"]
    elif diagnostic.location is None and not diagnostic.pointer:
        line, column = 1, 1
    else:
        line, column = position_of(text, _pointer_of_field(diagnostic))
    return Finding(
        path=path,
        code=diagnostic.code,
        message=message,
        line=line,
        column=column,
        pointer=diagnostic.pointer,
        severity=diagnostic.severity,
        hint=hint,
    )


def _pointer_of_field(diagnostic: Diagnostic) -> str:
    """Where to look: AWS reports an unknown field at the object that has it."""
    unknown = _UNKNOWN_FIELD.fullmatch(diagnostic.message)
    if unknown is None:
        return diagnostic.pointer
    name = unknown["name"].replace("~", "~0").replace("/", "~1")
    return f"{diagnostic.pointer}/{name}"


def from_line(path: Path, code: str, line: str) -> Finding:
    """What a finished line says, which begins with the name of the file `path`."""
    place = _PLACE.fullmatch(line.removeprefix(str(path)))
    if place is None:
        return Finding(path=path, code=code, message=line)
    number, column = place["line"], place["column"]
    return Finding(
        path=path,
        code=code,
        message=place["message"],
        line=None if number is None else int(number),
        column=None if column is None else int(column),
    )
