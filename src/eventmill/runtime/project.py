"""A project on disk: its workflow files, triggers and handlers, read and checked together."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from eventmill.arn import function_name, is_function_arn, is_name
from eventmill.asl.parser import check
from eventmill.asl.positions import position_of
from eventmill.errors import Diagnostic, ProjectError
from eventmill.executors.scan import Scan, scan
from eventmill.model import Json, Quotas, decode_json
from eventmill.record import record
from eventmill.runtime.documents import YAML_SUFFIXES, Document, read_document
from eventmill.runtime.findings import ERROR, Finding, from_diagnostic, from_line
from eventmill.runtime.settings import SETTINGS_FILE, Settings
from eventmill.triggers.kafka import KafkaSource
from eventmill.triggers.sources import Source
from eventmill.triggers.trigger import InvalidTrigger, Trigger, parse_trigger

WORKFLOW_ENDING: Final = ".asl.json"
TRIGGER_ENDINGS: Final = (".json", *YAML_SUFFIXES)


@record
class Workflow:
    """A workflow file: the definition of one state machine."""

    name: str
    path: Path
    text: str


@record
class Project:
    """Everything a project declares: whole only when nothing was found to be wrong with it."""

    workflows: tuple[Workflow, ...]
    triggers: tuple[Trigger, ...]
    handlers: Scan
    warnings: tuple[str, ...] = ()


def load_project(settings: Settings) -> Project:
    """Read and check the project's files.

    Raises:
        ProjectError: There are mistakes; every one is named, with its file and place.
    """
    project, findings = inspect_project(settings)
    problems = [str(each) for each in findings if each.severity == ERROR]
    if problems:
        raise ProjectError(problems)
    return project


def inspect_project(settings: Settings) -> tuple[Project, tuple[Finding, ...]]:
    """What the project's files declare, and everything that is to be said about them."""
    handlers = scan(settings.handlers)
    findings = [_handler_finding(settings.handlers, line) for line in handlers.problems]
    workflows = []
    paths = workflow_files(settings.project)
    for path in paths:
        text, found = check_workflow(path, settings.quotas, handlers)
        workflows.append(Workflow(name=workflow_name(path), path=path, text=text))
        findings += (from_diagnostic(path, text, each) for each in found)
    findings += _clashes((workflow_name(path), path) for path in paths)
    triggers, found_in_triggers = _load_triggers(settings, {each.name for each in workflows})
    findings += found_in_triggers
    findings += _unknown_limits(settings, {each.name for each in workflows}, handlers)
    project = Project(
        workflows=tuple(workflows),
        triggers=tuple(triggers),
        handlers=handlers,
        warnings=tuple(str(each) for each in findings if each.severity != ERROR),
    )
    return project, tuple(findings)


def workflow_files(project: Path) -> list[Path]:
    """The workflow files of a project, in a fixed order."""
    return sorted((project / "workflows").rglob(f"*{WORKFLOW_ENDING}"))


def workflow_name(path: Path) -> str:
    """The state machine's name: the file's, without its ending."""
    return path.name.removesuffix(WORKFLOW_ENDING)


def trigger_files(project: Path) -> list[Path]:
    """The trigger files of a project, in a fixed order."""
    found = (project / "triggers").rglob("*")
    return sorted(path for path in found if path.suffix.lower() in TRIGGER_ENDINGS)


# Workflows


def check_workflow(
    path: Path, quotas: Quotas, handlers: Scan | None
) -> tuple[str, tuple[Diagnostic, ...]]:
    """The text of a workflow file and everything that is to be said about it.

    Without `handlers`, which functions there are is not known and not checked.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        return "", (_mistake("UNREADABLE_FILE", f"cannot be read: {error.strerror}"),)
    except UnicodeDecodeError as error:
        return "", (_mistake("INVALID_ENCODING", f"is not UTF-8: byte {error.start}"),)
    found: list[Diagnostic] = []
    if not is_name(workflow_name(path)):
        found.append(
            _mistake("INVALID_NAME", f"{workflow_name(path)!r} cannot name a state machine")
        )
    found += check_definition(text, quotas, handlers)
    return text, tuple(found)


def check_definition(
    text: str, quotas: Quotas, handlers: Scan | None = None
) -> tuple[Diagnostic, ...]:
    """Everything that is to be said about a definition, and about the handlers it names."""
    found = check(text, quotas)
    if handlers is None or any(each.severity == ERROR for each in found):
        return found
    return (*found, *_missing_handlers(decode_json(text), handlers))


def describe(path: Path, text: str, diagnostic: Diagnostic) -> str:
    """One line about a mistake, the way compilers write it."""
    return str(from_diagnostic(path, text, diagnostic))


def _mistake(code: str, message: str) -> Diagnostic:
    return Diagnostic(code=code, message=message, pointer="")


def _missing_handlers(document: Json, handlers: Scan) -> Iterator[Diagnostic]:
    for pointer, name in _functions(document, ""):
        if handlers.has(name):
            continue
        listed = ", ".join(sorted(handlers.handlers)) or "none"
        yield Diagnostic(
            code="HANDLER_DOES_NOT_EXIST",
            message=f"No handler is named {name!r}; handlers/ has: {listed}",
            pointer=pointer,
            location=pointer,
        )


def _functions(node: Json, pointer: str) -> Iterator[tuple[str, str]]:
    """Where a definition names a function outright, and its name."""
    if isinstance(node, list):
        for index, each in enumerate(node):
            yield from _functions(each, f"{pointer}/{index}")
    elif isinstance(node, dict):
        yield from _task_function(node, pointer)
        for key, each in node.items():
            escaped = key.replace("~", "~0").replace("/", "~1")
            yield from _functions(each, f"{pointer}/{escaped}")


def _task_function(node: dict[str, Json], pointer: str) -> Iterator[tuple[str, str]]:
    resource, parameters = node.get("Resource"), node.get("Parameters")
    if node.get("Type") != "Task" or not isinstance(resource, str):
        return
    if is_function_arn(resource):
        yield f"{pointer}/Resource", function_name(resource)
    elif isinstance(parameters, dict) and isinstance(parameters.get("FunctionName"), str):
        yield f"{pointer}/Parameters/FunctionName", function_name(str(parameters["FunctionName"]))


# Handlers


def _handler_finding(folder: Path, line: str) -> Finding:
    # The scan writes finished lines, `path:line: …`.
    path = re.match(r"(.+?\.py):\d", line)
    return from_line(folder if path is None else Path(path[1]), "INVALID_HANDLER", line)


# Triggers


def _load_triggers(settings: Settings, machines: set[str]) -> tuple[list[Trigger], list[Finding]]:
    paths = trigger_files(settings.project)
    triggers, findings = [], list(_clashes((path.stem, path) for path in paths))
    sources: dict[str, tuple[Source, Path]] = {}
    for path in paths:
        trigger, found = check_trigger(path, machines)
        findings += found
        if trigger is None:
            continue
        trigger = _located(trigger)
        triggers.append(trigger)
        if trigger.source is not None:
            source, first = sources.setdefault(trigger.source.name, (trigger.source, path))
            if source != trigger.source:
                findings.append(_at_odds(path, first, trigger.source))
    return triggers, findings


def _located(trigger: Trigger) -> Trigger:
    """The trigger, with the brokers that the environment names where it is to name them."""
    if isinstance(trigger.source, KafkaSource):
        return replace(trigger, source=trigger.source.located(os.environ))
    return trigger


def _at_odds(path: Path, first: Path, source: Source) -> Finding:
    """Two triggers watch the same, which one sensor does, but not in the same way."""
    what, fields = source.at_odds
    message = f"{what} {first} with another {fields}"
    return Finding(path=path, code="SOURCES_AT_ODDS", message=message, pointer="/Source")


def check_trigger(
    path: Path, machines: set[str] | None
) -> tuple[Trigger | None, tuple[Finding, ...]]:
    """The trigger in a file, if it is one, and everything that is to be said about it.

    Without `machines`, which state machines there are is not known and not checked.
    """
    try:
        document = read_document(path)
    except ProjectError as error:
        return None, tuple(from_line(path, "INVALID_DOCUMENT", line) for line in error.problems)
    try:
        trigger = parse_trigger(path.stem, document.value)
    except InvalidTrigger as error:
        return None, tuple(_at(document, "INVALID_TRIGGER", *each) for each in error.mistakes)
    name = trigger.state_machine.rsplit(":", 1)[-1]
    if machines is None or name in machines:
        return trigger, ()
    known = ", ".join(sorted(machines)) or "none"
    message = f"No state machine is named {name!r}; workflows/ has: {known}"
    return trigger, (
        _at(document, "STATE_MACHINE_DOES_NOT_EXIST", "/Target/StateMachine", message),
    )


# Limits


def _unknown_limits(settings: Settings, machines: set[str], handlers: Scan) -> Iterator[Finding]:
    """What the settings limit and the project does not have."""
    path, limits = settings.project / SETTINGS_FILE, settings.concurrency
    for name in limits.executions:
        if name not in machines:
            known = ", ".join(sorted(machines)) or "none"
            message = (
                f"concurrency.executions limits {name!r}, and no state machine has this name; "
                f"workflows/ has: {known}"
            )
            yield Finding(path=path, code="STATE_MACHINE_DOES_NOT_EXIST", message=message)
    for name in limits.handlers:
        if not handlers.has(name):
            known = ", ".join(sorted(handlers.handlers)) or "none"
            message = (
                f"concurrency.handlers limits {name!r}, and no handler has this name; "
                f"handlers/ has: {known}"
            )
            yield Finding(path=path, code="HANDLER_DOES_NOT_EXIST", message=message)


def _at(document: Document, code: str, pointer: str, message: str) -> Finding:
    line, column = _line_of(document, pointer), None
    if line is None:
        text = document.path.read_text(encoding="utf-8-sig")
        line, column = position_of(text, pointer)
    return Finding(
        path=document.path,
        code=code,
        message=message,
        line=line,
        column=column,
        pointer=pointer,
    )


def _line_of(document: Document, pointer: str) -> int | None:
    """The line of a value in a YAML file, or of the nearest one around it when it is missing."""
    while pointer and pointer not in document.lines:
        pointer = pointer.rpartition("/")[0]
    return document.lines.get(pointer)


def _clashes(named: Iterable[tuple[str, Path]]) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for name, path in named:
        if name in seen:
            message = f"the name {name!r} is taken by {seen[name]}; rename one of the two"
            yield Finding(path=path, code="NAME_TAKEN", message=message)
        seen.setdefault(name, path)
