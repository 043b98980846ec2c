"""`python -m tests.crash`: kill at every passing of every point."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from eventmill.faults import POINTS
from tests.crash.enumeration import Line, enumerated, show
from tests.crash.kills import kill_and_restart


def _kill(point: str, again: bool, times: int, folder: Path) -> bool:
    return kill_and_restart(folder, point, times, again)


@click.command()
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1)
@click.option("--again", is_flag=True, help="Kill the server that is started next there, too.")
@click.argument("points", nargs=-1, type=click.Choice(POINTS))
def main(processes: int, again: bool, points: tuple[str, ...]) -> None:
    """Kill a server at every passing of POINTS, or of all points.

    Ends with 1 when a crash has left a trace.
    """
    with ProcessPoolExecutor(processes) as pool:
        lines = (
            Line(each, enumerated(pool, partial(_kill, each, again))) for each in points or POINTS
        )
        if not show(Console(), "SIGKILL at every passing of every point", "kills", lines):
            sys.exit(1)


if __name__ == "__main__":
    main()
