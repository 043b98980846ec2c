"""`eventmill validate`: the mistakes in workflows, triggers and handlers, said as compilers do."""

import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from eventmill.cli.failures import EXIT_CODES, FAILED, Refused
from eventmill.cli.import_check import check_imports
from eventmill.cli.options import chosen_settings, find_project, json_option, project_option
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.texts import count, printable
from eventmill.executors.scan import scan
from eventmill.model import AWS_QUOTAS, Json
from eventmill.record import record
from eventmill.rehearsal.suite import TEST_ENDINGS, read_suite, suite_files
from eventmill.runtime.documents import YAML_SUFFIXES
from eventmill.runtime.findings import ERROR, Finding, from_diagnostic
from eventmill.runtime.project import (
    check_definition,
    check_trigger,
    check_workflow,
    inspect_project,
    workflow_files,
    workflow_name,
)

_STDIN: Final = Path("-")
_STDIN_SHOWN: Final = Path("<stdin>")
_LINE_SHOWN_MAX: Final = 200


@record
class _Report:
    """What was found, in how many files, and the texts that cannot be read a second time."""

    findings: tuple[Finding, ...]
    checked: str
    texts: dict[Path, str]


@click.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@project_option
@click.option(
    "--import/--no-import",
    "imports",
    default=True,
    help="Whether to import the handlers, in a process of its own. [default: yes]",
)
@json_option
def validate(files: tuple[Path, ...], project: Path, imports: bool, as_json: bool) -> None:
    """Check a whole project, or only FILES: workflows and triggers.

    A definition need not lie in a project; - reads one from stdin. Handlers are checked with the
    whole project; the handlers that a workflow names, whenever it lies in a project.
    """
    report = _check_files(files) if files else _check_project(project, imports)
    numbers = Counter(finding.severity for finding in report.findings)
    if as_json:
        write_document(
            {
                "valid": not numbers[ERROR],
                "findings": [_document(finding) for finding in report.findings],
            }
        )
    else:
        _show(report, numbers)
    raise click.exceptions.Exit(FAILED if numbers[ERROR] else 0)


def _check_project(project: Path, imports: bool) -> _Report:
    settings = chosen_settings(project)
    loaded, findings = inspect_project(settings)
    if imports and loaded.handlers.handlers:
        findings += check_imports(settings, loaded.handlers)
    suites = [read_suite(path, settings) for path in suite_files(settings.project)]
    findings += tuple(finding for suite in suites for finding in suite.findings)
    counted = [
        count(len(loaded.workflows), "workflow"),
        count(len(loaded.triggers), "trigger"),
        count(len(loaded.handlers.handlers), "handler"),
    ]
    if suites:
        counted.append(count(len(suites), "test file"))
    checked = ", ".join(counted)
    return _Report(findings=findings, checked=f"{checked} in {project}", texts={})


def _check_files(files: Iterable[Path]) -> _Report:
    findings: list[Finding] = []
    texts: dict[Path, str] = {}
    number = 0
    for path in files:
        number += 1
        if path == _STDIN:
            findings += _check_stdin(texts)
        elif not path.is_file():
            raise Refused(f"there is no file {path}")
        elif path.name.endswith(TEST_ENDINGS):
            findings += _check_tests(path)
        elif path.suffix.lower() in YAML_SUFFIXES or path.resolve().parent.name == "triggers":
            findings += _check_trigger(path)
        else:
            findings += _check_workflow(path)
    return _Report(findings=tuple(findings), checked=count(number, "file"), texts=texts)


def _check_stdin(texts: dict[Path, str]) -> Iterable[Finding]:
    raw = sys.stdin.buffer.read()
    try:
        text = texts[_STDIN_SHOWN] = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: byte {error.start}"
        return (Finding(path=_STDIN_SHOWN, code="INVALID_ENCODING", message=message),)
    found = check_definition(text, AWS_QUOTAS)
    return [from_diagnostic(_STDIN_SHOWN, text, each) for each in found]


def _check_workflow(path: Path) -> Iterable[Finding]:
    project = find_project(path.resolve().parent)
    handlers, quotas = None, AWS_QUOTAS
    if project is not None:
        settings = chosen_settings(project)
        handlers, quotas = scan(settings.handlers), settings.quotas
    text, found = check_workflow(path, quotas, handlers)
    return [from_diagnostic(path, text, each) for each in found]


def _check_tests(path: Path) -> Iterable[Finding]:
    folder = path.resolve().parent
    return read_suite(path, chosen_settings(find_project(folder) or folder)).findings


def _check_trigger(path: Path) -> Iterable[Finding]:
    project = find_project(path.resolve().parent)
    machines = None
    if project is not None:
        machines = {workflow_name(each) for each in workflow_files(project)}
    _, found = check_trigger(path, machines)
    return found


# Showing


def _show(report: _Report, numbers: Counter[str]) -> None:
    lines: dict[Path, list[str]] = {path: text.split("\n") for path, text in report.texts.items()}
    for finding in report.findings:
        write_line(_headline(finding))
        for line in _excerpt(finding, lines):
            write_line(line)
        if finding.hint:
            write_line(f"  {painted('hint:', 'cyan')} {printable(finding.hint)}")
    said = ", ".join(count(number, severity.lower()) for severity, number in numbers.items())
    colour = "red" if numbers[ERROR] else "green"
    write_line(f"{painted(said or 'No mistakes', colour)} ({report.checked})")


def _headline(finding: Finding) -> str:
    is_error = finding.severity == ERROR
    severity = painted(finding.severity.lower(), "red" if is_error else "yellow")
    where = f" at {finding.pointer}" if finding.pointer else ""
    message = printable(f"{finding.message}{where}")
    return f"{printable(_place(finding))}: {severity} {finding.code}: {message}"


def _place(finding: Finding) -> str:
    """`file:line:column`, the file as seen from here when it lies below."""
    here = f"{Path.cwd()}{os.sep}"
    return finding.place.removeprefix(here)


def _excerpt(finding: Finding, lines: dict[Path, list[str]]) -> Iterable[str]:
    """The line that the finding is about, and a caret under its place."""
    if finding.line is None:
        return
    if finding.path not in lines:
        try:
            lines[finding.path] = finding.path.read_text("utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError):
            lines[finding.path] = []
    text = lines[finding.path][finding.line - 1 : finding.line]
    if not text or not text[0].strip():
        return
    # A caret needs characters of one column each: what is not printable becomes a space.
    line = "".join(each if each.isprintable() else " " for each in text[0].rstrip())
    column = finding.column or 1
    cut = max(0, column - _LINE_SHOWN_MAX // 2) if len(line) > _LINE_SHOWN_MAX else 0
    number = f"{finding.line:>5} | "
    yield number + line[cut : cut + _LINE_SHOWN_MAX]
    if finding.column is not None:
        yield " " * (len(number) - 2) + "| " + " " * (column - 1 - cut) + painted("^", "red")


def _document(finding: Finding) -> dict[str, Json]:
    return {
        "path": str(finding.path),
        "line": finding.line,
        "column": finding.column,
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "pointer": finding.pointer,
        "hint": finding.hint,
    }
