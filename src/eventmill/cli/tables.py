"""Tables: drawn on a terminal, in plain columns anywhere else."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from eventmill.cli.output import is_terminal, write_line
from eventmill.record import record

STATUS_COLOURS: Final = {
    "RUNNING": "cyan",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "ABORTED": "yellow",
}


def status_colour(status: str) -> str:
    """The colour of an execution's status."""
    return STATUS_COLOURS.get(status, "")


def _no_colour(text: str) -> str:
    return ""


@record
class Column:
    """A column: its title, whether numbers stand to the right, and the colour of each cell."""

    title: str
    right: bool = False
    colour: Callable[[str], str] = _no_colour


@record
class Table:
    """Rows of text under columns; the text must be printable."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def plain(self) -> Iterable[str]:
        """Lines with the columns two spaces apart, whatever that makes their length."""
        titles = [column.title.upper() for column in self.columns]
        widths = [max(map(len, cells)) for cells in zip(titles, *self.rows, strict=True)]
        for cells in (titles, *self.rows):
            yield "  ".join(
                cell.rjust(width) if column.right else cell.ljust(width)
                for cell, width, column in zip(cells, widths, self.columns, strict=True)
            ).rstrip()

    def drawn(self) -> RenderableType:
        """The table for a terminal, fitted to its width."""
        drawing = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in self.columns:
            drawing.add_column(column.title, justify="right" if column.right else "left")
        for row in self.rows:
            drawing.add_row(
                *(
                    Text(cell, style=column.colour(cell))
                    for cell, column in zip(row, self.columns, strict=True)
                )
            )
        return drawing


@record
class Fields:
    """Names and values, one below the other."""

    fields: Sequence[tuple[str, str]]

    def plain(self) -> Iterable[str]:
        """A line for each."""
        width = max((len(name) for name, _ in self.fields), default=0)
        return (f"{name.ljust(width)}  {value}".rstrip() for name, value in self.fields)

    def drawn(self) -> RenderableType:
        """The fields for a terminal."""
        drawing = RichTable(box=None, pad_edge=False, show_header=False)
        drawing.add_column(style="bold", no_wrap=True)
        drawing.add_column(overflow="fold")
        for name, value in self.fields:
            drawing.add_row(name, Text(value, style=STATUS_COLOURS.get(value, "")))
        return drawing


@record
class Line:
    """A line of text."""

    text: str
    colour: str = ""

    def plain(self) -> Iterable[str]:
        """The line."""
        return (self.text,)

    def drawn(self) -> RenderableType:
        """The line for a terminal."""
        return Text(self.text, style=self.colour)


Part = Table | Fields | Line


def show(parts: Iterable[Part]) -> None:
    """Write parts of a page to stdout."""
    if is_terminal(sys.stdout):
        Console().print(drawn(parts))
        return
    for part in parts:
        for line in part.plain():
            write_line(line)


def drawn(parts: Iterable[Part]) -> RenderableType:
    """The parts of a page for a terminal, one below the other."""
    return Group(*(part.drawn() for part in parts))


def live() -> AbstractContextManager[Live]:
    """A place on the terminal whose content can change until the block ends."""
    return Live(auto_refresh=False, transient=False, vertical_overflow="ellipsis")
