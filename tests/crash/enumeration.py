"""Disturbs a run in one place after the other, until a place is not reached any more."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

# So many places are tried at once.
_AHEAD: Final = 8
# No two runs pass a place equally often, so the last ones have to agree that it is over.
_CLEAN_IN_A_ROW: Final = 3


class Attempt(NamedTuple):
    """What came of a disturbance: whether it took place, and what it left wrong."""

    took_place: bool
    failure: str | None


class Line(NamedTuple):
    """A row of the table."""

    name: str
    attempts: list[Attempt]

    @property
    def disturbed(self) -> int:
        return sum(each.took_place for each in self.attempts)

    @property
    def failures(self) -> list[str]:
        return [each.failure for each in self.attempts if each.failure is not None]


def attempt(disturb: Callable[[Path], bool]) -> Attempt:
    """Disturb a project in a folder of its own."""
    with TemporaryDirectory() as folder:
        try:
            return Attempt(disturb(Path(folder)), None)
        except AssertionError as error:
            return Attempt(True, str(error) or "an assertion without words")


def enumerated(pool: ProcessPoolExecutor, disturb: Callable[[int, Path], bool]) -> list[Attempt]:
    """Disturb for the first, the second, the third … time, until the last ones found nothing."""
    attempts: list[Attempt] = []
    while any(each.took_place for each in attempts[-_CLEAN_IN_A_ROW:]) or not attempts:
        numbers = range(len(attempts) + 1, len(attempts) + 1 + _AHEAD)
        attempts += pool.map(attempt, [partial(disturb, number) for number in numbers])
    return attempts


def show(console: Console, title: str, disturbed: str, lines: Iterable[Line]) -> bool:
    """Print a table of the lines as they come; returns whether all is well."""
    began, done = time.monotonic(), []
    table = Table("", disturbed, "runs", "failures", box=SIMPLE_HEAD, title=title)
    for line in lines:
        done.append(line)
        row = (line.disturbed, len(line.attempts), len(line.failures))
        table.add_row(line.name, *map(str, row))
        console.print(f"{line.name}: {line.disturbed} {disturbed}, {len(line.failures)} failures")
        for number, each in enumerate(line.attempts, start=1):
            if each.failure is not None:
                console.print(f"  at {number}: {each.failure[:2_000]}", markup=False)
    failures = sum(len(line.failures) for line in done)
    total = (sum(e.disturbed for e in done), sum(len(e.attempts) for e in done), failures)
    table.add_section()
    table.add_row("all", *map(str, total))
    console.print(table)
    console.print(f"{time.monotonic() - began:.0f} s")
    return failures == 0
