"""Weather files: how a dropped CSV becomes typed rows, and everything that is wrong with it.

Not a handler: the handlers read their file through this module. The schemas in `schemas/` say
which columns a kind of file has and which values they may take; nothing here repeats them.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import jsonschema_rs

from eventmill import HandlerError
from handlers.project_files import project

Cell: TypeAlias = float | str
Row: TypeAlias = dict[str, Cell]

KINDS: Final = ("daily", "hourly")
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
SHOWN_CHARACTERS_MAX: Final = 80

_DELIMITERS: Final = ",;\t|"
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: what, and where. `row` is the line in the file, from 1."""

    message: str
    row: int | None = None
    column: str | None = None


class WeatherFileInvalid(Exception):
    """Nothing below the header can be checked, because of these problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherTable:
    """What a file holds: its rows with their lines, and the lines that are no rows."""

    kind: str
    rows: Sequence[Row]
    lines: Sequence[int]
    problems: Sequence[Problem]


def read_content(path: Path) -> bytes:
    """The bytes of a file.

    No more than `FILE_BYTES_MAX` and one are read; `parse` refuses such a file.

    Raises:
        HandlerError: WeatherFileUnreadable, when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        cause = f"{path} cannot be read: {error.strerror}"
        raise HandlerError("WeatherFileUnreadable", cause) from error


def digest(content: bytes) -> str:
    """What identifies this content: its SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_unchanged(path: Path, sha256: str) -> bytes:
    """The content that was checked earlier.

    Raises:
        HandlerError: WeatherFileChanged, when the file holds something else by now, or
            WeatherFileUnreadable.
    """
    content = read_content(path)
    if digest(content) != sha256:
        cause = f"{path} changed after it was checked; its new version is taken in separately"
        raise HandlerError("WeatherFileChanged", cause)
    return content


def parse(content: bytes) -> WeatherTable:
    """Read a CSV file in UTF-8 with a header; commas, semicolons, tabs or bars separate.

    Columns that the schema calls numbers become numbers where they can; what cannot is left for
    `check` to report.

    Raises:
        WeatherFileInvalid: It is too large, not UTF-8, not CSV, empty, or has other columns.
    """
    if len(content) > FILE_BYTES_MAX:
        raise WeatherFileInvalid(Problem(message=f"the file has over {FILE_BYTES_MAX} bytes"))
    text = _decode(content)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise WeatherFileInvalid(Problem(message=f"no CSV: {error}", row=reader.line_num)) from None
    if not records:
        raise WeatherFileInvalid(Problem(message="the file is empty"))
    header_line, header = records[0][0], [name.strip() for name in records[0][1]]
    kind = _kind(header, header_line)
    if len(records) == 1:
        raise WeatherFileInvalid(Problem(message="there is nothing below the header"))
    return _table(kind, header, records[1:])


def check(table: WeatherTable) -> list[Problem]:
    """Everything that is wrong in a table, in order of its rows; each cell is named once."""
    wrong: dict[tuple[int, str], Problem] = {}
    for error in _validator(project(), table.kind).iter_errors(list(table.rows)):
        index, column = int(error.instance_path[0]), str(error.instance_path[1])
        value = json.dumps(table.rows[index][column], ensure_ascii=False)
        shown = value if len(value) <= SHOWN_CHARACTERS_MAX else value[:SHOWN_CHARACTERS_MAX] + "…"
        message = f"{shown} is not {_columns(table.kind)[column]['description']}"
        line = table.lines[index]
        wrong[line, column] = Problem(message=message, row=line, column=column)
    return sorted([*table.problems, *wrong.values()], key=lambda problem: problem.row or 0)


def month_of(row: Row) -> str:
    """The month of a row, such as 2012-01."""
    return str(row["date"])[:7].replace("/", "-")


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        message = f"the file is not UTF-8: byte 0x{content[error.start]:02x} at {error.start}"
        raise WeatherFileInvalid(Problem(message=message, row=row)) from None


def _kind(header: Sequence[str], line: int) -> str:
    """The kind whose columns these are; if none, the nearest one says what is wrong."""
    kind = max(KINDS, key=lambda each: len(set(header) & set(_columns(each))))
    wanted = list(_columns(kind))
    told = f"; a file of {kind} weather has {', '.join(wanted)}"
    problems = [
        *(("the column is missing", name) for name in wanted if name not in header),
        *(("the column is unknown", name) for name in header if name not in wanted),
        *(("the column is there twice", name) for name in set(header) if header.count(name) > 1),
    ]
    if problems:
        raise WeatherFileInvalid(
            *(Problem(message=message + told, row=line, column=name) for message, name in problems)
        )
    return kind


def _table(
    kind: str, header: Sequence[str], records: Sequence[tuple[int, list[str]]]
) -> WeatherTable:
    numbers = [_columns(kind)[name].get("type") == "number" for name in header]
    rows, lines, problems = [], [], []
    for line, fields in records:
        if len(fields) != len(header):
            message = f"the row has {len(fields)} fields, the header {len(header)}"
            problems.append(Problem(message=message, row=line))
            continue
        cells = (_cell(text, number) for text, number in zip(fields, numbers, strict=True))
        rows.append(dict(zip(header, cells, strict=True)))
        lines.append(line)
    return WeatherTable(kind=kind, rows=rows, lines=lines, problems=problems)


def _cell(text: str, number: bool) -> Cell:
    text = text.strip()
    return float(text) if number and _NUMBER.fullmatch(text) else text


def _columns(kind: str) -> dict[str, Any]:
    properties: dict[str, Any] = _schema(project(), kind)["items"]["properties"]
    return properties


@lru_cache(maxsize=8)
def _schema(root: Path, kind: str) -> dict[str, Any]:
    path = root / "schemas" / f"weather-{kind}.schema.json"
    try:
        schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HandlerError("SchemaUnreadable", f"{path} cannot be read: {error}") from error
    return schema


@lru_cache(maxsize=8)
def _validator(root: Path, kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        _schema(root, kind), validate_formats=True, formats={"calendar-day": _is_calendar_day}
    )


def _is_calendar_day(text: str) -> bool:
    """Whether `text` begins with a day that exists; its form is up to the schema's pattern."""
    try:
        date.fromisoformat(text[:10].replace("/", "-"))
    except ValueError:
        return False
    return True
