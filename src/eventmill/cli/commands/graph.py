"""`eventmill graph`: a state machine as a picture, with what an execution ran of it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

import click

from eventmill.asl.parser import check
from eventmill.asl.report import UNSUPPORTED_FEATURE
from eventmill.cli.failures import EXIT_CODES, EnvironmentRefused, Refused
from eventmill.cli.options import chosen_settings, find_project, settings_options
from eventmill.cli.output import painted
from eventmill.cli.recorded import find_execution, machine_name, reading
from eventmill.cli.texts import printable
from eventmill.codec import decode_step
from eventmill.errors import Diagnostic, LogDamaged
from eventmill.graph.coverage import Coverage, coverage, joined
from eventmill.graph.layout import layout
from eventmill.graph.mermaid import render_mermaid
from eventmill.graph.outline import outline
from eventmill.graph.png import NoFont, TooLarge, render_png
from eventmill.graph.svg import render_svg
from eventmill.model import AWS_QUOTAS, Json, Quotas, decode_json
from eventmill.ports import EventLog
from eventmill.record import record
from eventmill.rows import ExecutionRow, MapRunRow
from eventmill.runtime.findings import ERROR, from_diagnostic
from eventmill.runtime.project import check_workflow, workflow_files, workflow_name
from eventmill.runtime.settings import Settings

SVG: Final = "svg"
PNG: Final = "png"
MERMAID: Final = "mermaid"
_ENDINGS: Final = {".svg": SVG, ".png": PNG, ".mmd": MERMAID, ".mermaid": MERMAID}
_STDIN: Final = Path("-")
_SCALE_MAX: Final = 8.0
_CHILDREN_MAX: Final = 10_000
_PAGE: Final = 500


@record
class _Picture:
    """What is to be drawn, and under which title."""

    title: str
    document: Json
    coverage: Coverage | None = None


@click.command(epilog=EXIT_CODES)
@click.argument("file", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice([SVG, PNG, MERMAID]),
    help="What to write. [default: by the ending of OUT, else svg]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="OUT",
    help="Where to write it: .svg, .png, .mmd or .mermaid. [default: stdout]",
)
@click.option("--execution", metavar="EXECUTION", help="Colour what this execution ran.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0.1, max=_SCALE_MAX),
    default=2.0,
    show_default=True,
    help="Of a PNG: how many pixels each of the drawing gets across.",
)
@settings_options
def graph(
    file: str | None,
    form: str | None,
    output: Path | None,
    execution: str | None,
    scale: float,
    project: Path,
    data: Path | None,
) -> None:
    """Draw the state machine in FILE as SVG, PNG or Mermaid.

    FILE is a definition, - for stdin, or the name of a workflow of the project. With --execution it
    may be left out. What is drawn then is the definition that the execution runs on, whatever has
    become of the file since.
    """
    chosen = _form(form, output)
    target = None if output is None or output == _STDIN else output
    if chosen == PNG and target is None and sys.stdout.isatty():
        raise click.UsageError("A PNG is not for a terminal: name a file with -o, or use a pipe.")
    picture = _picture(file, execution, project, data)
    drawn = _drawn(picture, chosen, scale)
    if target is not None:
        target.write_bytes(drawn)
    else:
        click.echo(drawn, nl=False)


def _form(form: str | None, output: Path | None) -> str:
    if form is not None:
        return form
    if output is None or output == _STDIN:
        return SVG
    guessed = _ENDINGS.get(output.suffix.lower())
    if guessed is None:
        endings = ", ".join(_ENDINGS)
        raise click.UsageError(
            f"{output} ends in none of {endings}: say with --format what to write."
        )
    return guessed


# What is drawn


def _picture(file: str | None, execution: str | None, project: Path, data: Path | None) -> _Picture:
    if execution is None:
        if file is None:
            raise click.UsageError("Give FILE, or --execution.")
        return _defined(file, project)
    picture = asyncio.run(_recorded(chosen_settings(project, data), execution))
    if file is not None and _defined(file, project).document != picture.document:
        note = painted("Note:", "yellow", sys.stderr)
        other = f"the execution did not run on {printable(file)} as it stands"
        click.echo(f"{note} {other}; drawn is what it ran on.", err=True)
    return picture


async def _recorded(settings: Settings, reference: str) -> _Picture:
    async with reading(settings) as log:
        row = await find_execution(log, settings, reference)
        text = await log.definition(row.definition)
        covered = joined([each async for each in _coverages(log, row)])
    if text is None:
        raise LogDamaged(f"the definition {row.definition} of {row.arn} is missing from the log")
    try:
        document = decode_json(text)
    except ValueError as error:
        raise LogDamaged(f"the definition of {row.arn} in the log: {error}") from error
    title = f"{machine_name(row)}: execution {row.name}, {row.status}"
    return _Picture(title=title, document=document, coverage=covered)


async def _coverages(log: EventLog, row: ExecutionRow) -> AsyncIterator[Coverage]:
    """What the execution ran, and the children of its Map Runs, which run states of it too."""
    pending, seen = [row], 0
    while pending:
        each = pending.pop()
        yield await _covered(log, each)
        for run in await log.map_runs(each.id):
            async for child in _children(log, run):
                seen += 1
                if seen > _CHILDREN_MAX:
                    note = painted("Note:", "yellow", sys.stderr)
                    click.echo(f"{note} only {_CHILDREN_MAX:,} children are counted.", err=True)
                    return
                pending.append(child)


async def _children(log: EventLog, run: MapRunRow) -> AsyncIterator[ExecutionRow]:
    before_id = None
    while page := await log.executions(
        map_run=(run.execution, run.map_run), before_id=before_id, limit=_PAGE
    ):
        for row in page:
            yield row
        before_id = page[-1].id


async def _covered(log: EventLog, row: ExecutionRow) -> Coverage:
    steps = await log.read(row.id)
    try:
        return coverage(
            event for step in steps for event in decode_step(step.body, step.payloads).events
        )
    except (ValueError, AssertionError, LookupError) as error:
        # Bytes that somebody has changed may say anything.
        raise LogDamaged(f"{row.arn}: {error}") from error


def _defined(file: str, project: Path) -> _Picture:
    if file == str(_STDIN):
        raw = sys.stdin.buffer.read()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(f"<stdin> is not UTF-8: byte {error.start}") from error
        return _sound(Path("<stdin>"), "stdin", text, check(text, AWS_QUOTAS))
    path = _path(file, project)
    text, found = check_workflow(path, _quotas(path), None)
    # A drawing needs no name that a state machine could have.
    return _sound(path, workflow_name(path), text, [e for e in found if e.code != "INVALID_NAME"])


def _path(file: str, project: Path) -> Path:
    path = Path(file)
    if path.is_file():
        return path
    workflows = {workflow_name(each): each for each in workflow_files(project)}
    if file in workflows:
        return workflows[file]
    known = ", ".join(sorted(workflows)) or "none"
    raise Refused(f"there is no file {file}, and no workflow of that name; workflows/ has: {known}")


def _quotas(path: Path) -> Quotas:
    project = find_project(path.resolve().parent)
    return AWS_QUOTAS if project is None else chosen_settings(project).quotas


def _sound(path: Path, title: str, text: str, found: Iterable[Diagnostic]) -> _Picture:
    """The definition in `text`, if nothing is wrong with it but what does not run here yet."""
    mistakes = [
        each for each in found if each.severity == ERROR and each.code != UNSUPPORTED_FEATURE
    ]
    if mistakes:
        lines = "\n".join(f"  {printable(str(from_diagnostic(path, text, e)))}" for e in mistakes)
        raise Refused(f"{path} has mistakes:\n{lines}", f"eventmill validate {path}")
    return _Picture(title=title, document=decode_json(text))


# Drawing


def _drawn(picture: _Picture, form: str, scale: float) -> bytes:
    machine = outline(picture.document)
    if form == MERMAID:
        return render_mermaid(machine, coverage=picture.coverage).encode()
    drawing = layout(machine)
    if form == SVG:
        return render_svg(drawing, picture.title, coverage=picture.coverage).encode()
    svg = render_svg(drawing, picture.title, coverage=picture.coverage, theme="light")
    try:
        return render_png(svg, scale=scale)
    except NoFont as error:
        advice = "install a font, such as the package fonts-dejavu-core; or --format svg"
        raise EnvironmentRefused(str(error), advice) from error
    except TooLarge as error:
        raise Refused(str(error), "a smaller --scale, or --format svg") from error
