"""Text delimited files (CSV), read as AWS reads them.

Every value is a text. A cell in quotes may hold delimiters and line breaks, which become `\\n`; a
doubled quote stands for one, also in a cell without quotes; a backslash lets a backslash, a quote
or a delimiter stand for itself, and vanishes before anything else. Missing cells are empty, extra
ones are dropped, empty lines are passed over. The keys of an item are in the order of a Java
`HashMap`, as AWS has them.

Source: "How Step Functions parses input CSV files" in the developer guide, and recorded runs.
"""

import csv
import re
from collections.abc import AsyncIterator, Callable, Sequence
from operator import itemgetter
from typing import Final

from eventmill.datasets.content import ITEM_BYTES_MAX
from eventmill.datasets.lines import text_lines
from eventmill.model import Json
from eventmill.query.java import hash_map_order

HEADER_BYTES_MAX: Final = 10 * 1024

_FAST_LINE_LENGTH_MAX: Final = 100_000  # the csv module refuses longer cells

Row = list[str]


async def csv_rows(content: AsyncIterator[bytes], delimiter: str) -> AsyncIterator[list[Row]]:
    """The rows of a text, in batches.

    Raises:
        ValueError: The text is not UTF-8, a row is too long, or a quote is never closed.
    """
    records = _Records(delimiter)
    async for lines in text_lines(content):
        yield records.rows(lines)
    records.end()


async def csv_items(
    content: AsyncIterator[bytes], delimiter: str, headers: Sequence[str] | None
) -> AsyncIterator[list[Json]]:
    """An object for each row, in batches; without `headers` the first row has them.

    Raises:
        ValueError: As `csv_rows`; or the header is longer than 10 KiB.
    """
    build = None if headers is None else _builder(headers, delimiter)
    async for rows in csv_rows(content, delimiter):
        if build is None and rows:
            build, rows = _builder(rows[0], delimiter), rows[1:]
        if build is not None:
            yield [build(row) for row in rows]


def _builder(headers: Sequence[str], delimiter: str) -> Callable[[Row], Json]:
    """What makes an item of a row. Of columns with the same name the last one counts."""
    if len(delimiter.join(headers).encode()) > HEADER_BYTES_MAX:
        raise ValueError(f"the header is longer than {HEADER_BYTES_MAX} bytes")
    width = len(headers)
    column = {name: index for index, name in enumerate(headers)}
    names = hash_map_order(list(column))
    pick: Callable[[Row], Sequence[str]]
    if len(names) > 1:
        pick = itemgetter(*(column[name] for name in names))
    else:
        pick = itemgetter(slice(width - 1, width))

    def build(row: Row) -> Json:
        if len(row) < width:
            row = row + [""] * (width - len(row))
        return dict(zip(names, pick(row), strict=True))

    return build


class _Records:
    """Splits lines into rows; a row may go on over several lines."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._escapable = {"\\", '"', delimiter}
        self._ends = {"", delimiter}
        self._special = re.compile(rf'["\\{re.escape(delimiter)}]')
        # Groups are not repeated possessively, which Python before 3.11.5 gets wrong.
        cell = rf'(?:"[^"\\]*+(?:""[^"\\]*+)*"|[^"\\{re.escape(delimiter)}]*+)'
        self._regular = re.compile(f"{cell}(?:{re.escape(delimiter)}{cell})*")
        # Of a row that goes on: its finished cells, and the lines of the cell that goes on.
        self._cells: Row = []
        self._lines: list[str] = []
        self._size = 0

    def rows(self, lines: list[str]) -> list[Row]:
        """The rows that end in these lines."""
        rows: list[Row] = []
        for line in lines:
            if not self._lines and '"' not in line and "\\" not in line:
                if line:
                    rows.append(line.split(self._delimiter))
            elif (row := self._row(line)) is not None:
                rows.append(row)
        return rows

    def end(self) -> None:
        """There are no more lines."""
        if self._lines:
            raise ValueError("a cell that begins with a quote is never closed")

    def _row(self, line: str) -> Row | None:
        """The row that ends in this line; None when a cell in quotes goes on in the next."""
        if (
            not self._lines
            and len(line) < _FAST_LINE_LENGTH_MAX
            and self._regular.fullmatch(line) is not None
        ):
            return next(csv.reader((line,), delimiter=self._delimiter))
        return self._irregular_row(line)

    def _irregular_row(self, line: str) -> Row | None:
        cells, cell, quoted = self._cells, "", bool(self._lines)
        position = 0
        for match in self._special.finditer(line):
            at = match.start()
            if at < position:
                continue  # It was escaped or the second of two quotes.
            cell += line[position:at]
            position = at + 1
            character, following = line[at], line[at + 1 : at + 2]
            if character == self._delimiter and not quoted:
                cells.append(self._whole(cell))
                cell = ""
            elif character == self._delimiter:
                cell += character
            elif character == "\\" or (following == '"' and (quoted or cell)):
                if following in self._escapable:
                    cell += following
                    position += 1
            else:
                quoted = not quoted
                # A quote within a cell is text; one at either end of it is not.
                if at and line[at - 1] != self._delimiter and following not in self._ends:
                    cell = "" if cell.isspace() else cell + character
        cell += line[position:]
        if quoted:
            self._go_on(cell)
            return None
        cells.append(self._whole(cell))
        self._cells, self._size = [], 0
        return cells

    def _whole(self, cell: str) -> str:
        if not self._lines:
            return cell
        cell = "\n".join([*self._lines, cell])
        self._lines = []
        return cell

    def _go_on(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line) + 1
        if self._size > ITEM_BYTES_MAX:
            raise ValueError(
                f"a row is longer than {ITEM_BYTES_MAX} bytes; is a quote never closed?"
            )
