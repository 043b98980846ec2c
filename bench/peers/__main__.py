"""`python -m bench.peers`: measure other systems beside ours, and write the figures to a file."""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
from rich.console import Console

from bench.host import describe
from bench.peers import environments
from bench.peers.contest import KEYS, Contest, Failed, Results
from bench.peers.contestants import CONTESTANTS
from bench.peers.environments import PEERS, CannotInstall
from bench.peers.report import table

_BUILD: Final = environments.FOLDER.parent


@click.command()
@click.argument("peers", nargs=-1, type=click.Choice(list(PEERS)))
@click.option("--install", is_flag=True, help="Install those named first, where they are missing.")
@click.option("--ours", is_flag=True, help="Measure only ours.")
@click.option(
    "--work", "works", multiple=True, type=click.Choice(list(KEYS)), help="Only this; repeatable."
)
@click.option("--quick", is_flag=True, help="Tiny sizes: shows that it runs, not how fast.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the figures go; bench-peers.json in the folder unless given.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=_BUILD,
    help="Where to measure: choose it on the disk you mean to use. build/ unless given.",
)
def main(
    peers: tuple[str, ...],
    install: bool,
    ours: bool,
    works: tuple[str, ...],
    quick: bool,
    path: Path | None,
    folder: Path,
) -> None:
    """Measure Eventmill beside other systems that do durable work on one machine.

    PEERS are the systems to measure, all that are installed unless given. Each lives in a virtual
    environment of its own below build/peers, and only --install puts it there.
    """
    console = Console()
    wanted = () if ours else peers or tuple(PEERS)
    if install:
        _install(console, wanted)
    there = [peer for peer in wanted if environments.is_installed(peer)]
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="bench-peers-") as own_folder:
        machine = describe(Path(own_folder), quick=quick)
        contest = Contest(Path(own_folder), _contestants(there), quick=quick)
        results = _measured(console, works or tuple(KEYS), contest)
    versions = {peer: PEERS[peer].pins() for peer in there}
    path = path or folder / "bench-peers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = {"machine": machine, "versions": versions, **results}
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console.print(table(results, machine))
    for pins in versions.values():
        console.print(f"Measured: {pins}", markup=False, highlight=False)
    for peer in wanted:
        if peer not in there:
            console.print(
                f"Not installed: {peer}. To install it: make bench-peers ARGS='--install {peer}'",
                soft_wrap=True,
                markup=False,
            )
    console.print(f"Written to {path}", soft_wrap=True)


def _install(console: Console, peers: tuple[str, ...]) -> None:
    for peer in peers:
        if environments.is_installed(peer):
            continue
        with console.status(f"installing {PEERS[peer].pins()}"):
            try:
                environments.install(peer)
            except CannotInstall as error:
                raise click.ClickException(f"{peer}: {error}") from error


def _contestants(there: list[str]) -> list[str]:
    return [
        name
        for name, contestant in CONTESTANTS.items()
        if contestant.peer is None or contestant.peer in there
    ]


def _measured(console: Console, works: tuple[str, ...], contest: Contest) -> dict[str, Results]:
    results = {}
    for work in works:
        with console.status(work):
            try:
                results[work] = asyncio.run(contest.measure(work))
            except Failed as error:
                raise click.ClickException(str(error)) from error
    return results


if __name__ == "__main__":
    main()
