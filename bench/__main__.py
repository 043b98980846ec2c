"""`python -m bench`: measure, print a table, and write the figures to a file."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
from rich.console import Console

from bench.benchmarks import BENCHMARKS, run
from bench.host import describe
from bench.report import table
from bench.rounds import Figures

_BUILD: Final = Path(__file__).resolve().parent.parent / "build"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Tiny sizes: shows that it runs, not how fast.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the figures go; bench.json in the folder unless given.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=_BUILD,
    help="Where to measure: choose it on the disk you mean to use. build/ unless given.",
)
def main(names: tuple[str, ...], quick: bool, path: Path | None, folder: Path) -> None:
    """Measure how fast Eventmill is, beside SQLite alone writing the same rows.

    NAMES are the benchmarks to run, all unless given. Nothing is left behind but the figures.
    """
    path = path or folder / "bench.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise click.ClickException(f"cannot write there: {error}") from error
    console = Console()
    figures: dict[str, Figures] = {}
    with TemporaryDirectory(dir=folder, prefix="bench-") as own_folder:
        machine = describe(Path(own_folder), quick=quick)
        for name in dict.fromkeys(names or BENCHMARKS):
            with console.status(f"{name}: {BENCHMARKS[name].what}"):
                figures[name] = _in_own_process(name, Path(own_folder), quick)
    path.write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n", encoding="utf-8")
    console.print(table(figures, machine))
    console.print(f"Written to {path}", soft_wrap=True)


def _in_own_process(name: str, folder: Path, quick: bool) -> Figures:
    """Run a benchmark where none ran before it: their garbage would count against each other.

    A quick one need not import everything again, which may change how much memory it seems to use.
    """
    context = multiprocessing.get_context("forkserver" if quick else "spawn")
    context.set_forkserver_preload(["bench.benchmarks"])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(run, name, folder, quick).result()


if __name__ == "__main__":
    main()
