"""A project on disk: its workflow files, triggers and handlers, read and checked together."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from eventmill.arn import function_name, is_function_arn, is_name
from eventmill.asl.parser import check
from eventmill.asl.positions import position_of
from eventmill.errors import Diagnostic, ProjectError
from eventmill.executors.scan import Scan, scan
from eventmill.model import Json, Quotas, decode_json, record
from eventmill.runtime.documents import read_document
from eventmill.runtime.settings import Settings
from eventmill.trigger import InvalidTrigger, Trigger, parse_trigger

WORKFLOW_ENDING: Final = ".asl.json"
_TRIGGER_ENDINGS: Final = (".json", ".yaml", ".yml")


@record
class Workflow:
    """A workflow file: the definition of one state machine."""

    name: str
    path: Path
    text: str


@record
class Project:
    """Everything a project declares, without a mistake that can be seen from outside."""

    workflows: tuple[Workflow, ...]
    triggers: tuple[Trigger, ...]
    handlers: Scan
    warnings: tuple[str, ...] = ()


def load_project(settings: Settings) -> Project:
    """Read and check the project's files.

    Raises:
        ProjectError: There are mistakes; every one is named, with its file and place.
    """
    handlers = scan(settings.handlers)
    problems = list(handlers.problems)
    warnings: list[str] = []
    workflows = []
    for path in workflow_files(settings.project):
        text, found = check_workflow(path, settings.quotas, handlers)
        workflows.append(Workflow(name=workflow_name(path), path=path, text=text))
        for each in found:
            line = describe(path, text, each)
            (problems if each.severity == "ERROR" else warnings).append(line)
    problems += _clashes((workflow_name(path), path) for path in workflow_files(settings.project))
    triggers, mistakes = _load_triggers(settings, {each.name for each in workflows})
    problems += mistakes
    if problems:
        raise ProjectError(problems)
    return Project(
        workflows=tuple(workflows),
        triggers=tuple(triggers),
        handlers=handlers,
        warnings=tuple(warnings),
    )


def workflow_files(project: Path) -> list[Path]:
    """The workflow files of a project, in a fixed order."""
    return sorted((project / "workflows").rglob(f"*{WORKFLOW_ENDING}"))


def workflow_name(path: Path) -> str:
    """The state machine's name: the file's, without its ending."""
    return path.name.removesuffix(WORKFLOW_ENDING)


def check_workflow(
    path: Path, quotas: Quotas, handlers: Scan
) -> tuple[str, tuple[Diagnostic, ...]]:
    """The text of a workflow file and everything that is to be said about it."""
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
    found += check(text, quotas)
    if not any(each.severity == "ERROR" for each in found):
        found += _missing_handlers(decode_json(text), handlers)
    return text, tuple(found)


def describe(path: Path, text: str, diagnostic: Diagnostic) -> str:
    """One line about a mistake, the way compilers write it."""
    line, column = position_of(text, diagnostic.pointer)
    place = f" at {diagnostic.pointer}" if diagnostic.pointer else ""
    hint = f" ({diagnostic.hint})" if diagnostic.hint else ""
    return f"{path}:{line}:{column}: {diagnostic.code}: {diagnostic.message}{place}{hint}"


def _mistake(code: str, message: str) -> Diagnostic:
    return Diagnostic(code=code, message=message, pointer="")


def _missing_handlers(document: Json, handlers: Scan) -> Iterator[Diagnostic]:
    for pointer, name in _functions(document, ""):
        known = name in handlers.handlers or name in handlers.modules or "." in name
        if not known:
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


def _load_triggers(settings: Settings, machines: set[str]) -> tuple[list[Trigger], list[str]]:
    folder = settings.project / "triggers"
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _TRIGGER_ENDINGS)
    triggers, problems = [], list(_clashes((path.stem, path) for path in paths))
    for path in paths:
        try:
            document = read_document(path)
        except ProjectError as error:
            problems += error.problems
            continue
        try:
            trigger = parse_trigger(path.stem, document.value)
        except InvalidTrigger as error:
            problems += [document.problem(*mistake) for mistake in error.mistakes]
            continue
        name = trigger.state_machine.rsplit(":", 1)[-1]
        if name not in machines:
            known = ", ".join(sorted(machines)) or "none"
            message = f"No state machine is named {name!r}; workflows/ has: {known}"
            problems.append(document.problem("/Target/StateMachine", message))
        triggers.append(trigger)
    return triggers, problems


def _clashes(named: Iterable[tuple[str, Path]]) -> Iterator[str]:
    seen: dict[str, Path] = {}
    for name, path in named:
        if name in seen:
            yield f"{path}: the name {name!r} is taken by {seen[name]}; rename one of the two"
        seen.setdefault(name, path)
