"""`python -m tests.conformance.report`: run every recorded case and say how many are equal."""

import json
import os
from pathlib import Path
from typing import Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from tests.conformance.recorded import ABSENT_REASON, FOLDER, ROOT
from tests.conformance.report.attempts import SECONDS_MAX, lines, verdicts
from tests.conformance.report.document import document
from tests.conformance.report.figures import TOTAL, Outcome, figures, outcome, unexplained
from tests.conformance.report.verdict import Different, Verdict

_DOCUMENT: Final = ROOT / "docs" / "conformance.md"
_JSON: Final = ROOT / "build" / "conformance.json"
_SHOWN_MAX, _DIFFERENCES_MAX = 20, 4


@click.command()
@click.option(
    "--document",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    default=_DOCUMENT,
    help="Where the page goes; docs/conformance.md unless given.",
)
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=_JSON,
    help="Where the figures go; build/conformance.json unless given.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    help="How many cases run at once; one for each processor unless given.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=SECONDS_MAX,
    help="How long a case may take before it is given up.",
)
def main(page: Path, path: Path, processes: int, seconds: float) -> None:
    """Run the recorded cases in the folder that EVENTMILL_CONFORMANCE names.

    Ends with 1 when a case differs and no reason is known for it.
    """
    if not FOLDER.is_dir():
        raise click.ClickException(ABSENT_REASON)
    console = Console()
    outcomes = run_all(console, processes, seconds)
    counted = figures(outcomes)
    try:
        for target, text in (
            (path, json.dumps(counted, indent=2) + "\n"),
            (page, document(outcomes)),
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write there: {error}") from error
    console.print(_table(counted))
    console.print(f"Written to {page} and {path}", soft_wrap=True)
    if not _explain(console, unexplained(outcomes)):
        raise SystemExit(1)


def run_all(console: Console, processes: int, seconds: float = SECONDS_MAX) -> list[Outcome]:
    """Run every case of the folder and show how far it is; the outcomes in the files' order."""
    cases = lines()
    found: dict[int, Verdict] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    texts, is_seen = [each.text for each in cases], console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not is_seen) as bar:
        task = bar.add_task("", total=len(cases))
        for position, verdict in verdicts(texts, processes=processes, seconds_max=seconds):
            found[position] = verdict
            bar.update(task, completed=len(found), description=cases[position].file)
    return [outcome(line, found[position]) for position, line in enumerate(cases)]


def _table(counted: dict[str, dict[str, int]]) -> Table:
    made = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    made.add_column("file", no_wrap=True)
    for heading in ("cases", "run", "equal", "different", "not run"):
        made.add_column(heading, justify="right", no_wrap=True)
    for file, counts in counted.items():
        if file == TOTAL:
            made.add_section()
        cells = [counts["run"] + counts["not_run"], *counts.values()]
        made.add_row(file, *(f"{cell:,}" for cell in cells))
    return made


def _explain(console: Console, different: list[Outcome]) -> bool:
    """Tell what differs without a reason; whether there is nothing to tell."""
    for each in different[:_SHOWN_MAX]:
        assert isinstance(each.verdict, Different)
        console.print(each.name(2), style="bold red", markup=False, highlight=False, soft_wrap=True)
        for line in each.verdict.differences[:_DIFFERENCES_MAX]:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if different:
        console.print(f"{len(different)} cases differ and no reason is known", style="red")
    return not different


if __name__ == "__main__":
    main()
