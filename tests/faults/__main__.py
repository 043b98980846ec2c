"""`python -m tests.faults`: let the disk fail at every call, in every way."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from tests.crash.enumeration import Line, enumerated, show
from tests.faults.disk import FAULTS, disturb, why_not


def _disturb(name: str, number: int, folder: Path) -> bool:
    return disturb(name, number, folder)


@click.command()
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1)
@click.argument("faults", nargs=-1, type=click.Choice(list(FAULTS)))
def main(processes: int, faults: tuple[str, ...]) -> None:
    """Let the disk fail at every call on the data folder in each of FAULTS, or in all ways.

    Ends with 1 when something was lost or doubled.
    """
    reason = why_not()
    if reason is not None:
        raise click.ClickException(reason)
    with ProcessPoolExecutor(processes) as pool:
        lines = (Line(each, enumerated(pool, partial(_disturb, each))) for each in faults or FAULTS)
        if not show(Console(), "A fault at every call to the disk", "faults", lines):
            sys.exit(1)


if __name__ == "__main__":
    main()
