"""`python -m tests.crash.sources`: events from every source while servers are killed."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.crash.arrivals import prove
from tests.crash.feeders import FEEDERS


@click.command()
@click.option("--events", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--kills", type=click.IntRange(min=0), default=60, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.argument("sources", nargs=-1, type=click.Choice(list(FEEDERS)))
def main(events: int, kills: int, seed: int, sources: tuple[str, ...]) -> None:
    """Kill servers while events arrive from SOURCES, or from all; count what they start.

    Ends with an error when an event has started no execution, or more than one.
    """
    console = Console()
    title = "Each event started one execution"
    columns = ("source", "events", "kills", "at a point", "at a moment", "seconds")
    table = Table(*columns, box=SIMPLE_HEAD, title=title)
    for name in sources or FEEDERS:
        with TemporaryDirectory() as folder:
            proof = prove(FEEDERS[name], Path(folder), events=events, kills=kills, seed=seed)
        points = proof.kills - proof.moments
        counts = (proof.events, proof.kills, points, proof.moments, round(proof.seconds))
        table.add_row(name, *(f"{each:,}" for each in counts))
        console.print(f"{name}: {proof.kills} kills, {proof.seconds:.0f} s")
    console.print(table)


if __name__ == "__main__":
    main()
