"""`eventmill test`: rehearse state machines with mocked tasks, in virtual time."""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, chdir, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final, NoReturn

import click

from eventmill.cli.failures import EXIT_CODES, FAILED, Refused
from eventmill.cli.options import chosen_settings, find_project, json_option, project_option
from eventmill.cli.output import painted, write_document, write_line
from eventmill.cli.texts import count, duration, printable
from eventmill.executors.inline import InlineExecutor
from eventmill.inspection.call import test_state
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.model import Json, decode_json, encode_json
from eventmill.record import record
from eventmill.rehearsal.mocks import Answer, parse_mock
from eventmill.rehearsal.results import Result, run_test, write_junit
from eventmill.rehearsal.suite import TEST_ENDINGS, Suite, machine_of, read_suite, suite_files
from eventmill.runtime.clock import SystemClock
from eventmill.runtime.findings import Finding
from eventmill.runtime.project import WORKFLOW_ENDING, workflow_files, workflow_name
from eventmill.runtime.settings import Settings

_PATH_SHOWN_MAX: Final = 40
_PROJECT: Final = "EVENTMILL_PROJECT"
_COLOURS: Final = {"-": "red", "+": "green"}


@click.command(epilog=EXIT_CODES)
@click.argument("targets", nargs=-1, metavar="[FILE|NAME]...")
@click.option("-k", "part", metavar="TEXT", help="Run only tests whose name contains TEXT.")
@click.option("-v", "--verbose", is_flag=True, help="Show where every execution went.")
@click.option("--state", metavar="STATE", help="Test one state alone, as TestState of AWS does.")
@click.option("--input", "given", metavar="JSON", help="With --state: its input. [default: {}]")
@click.option(
    "--mock", metavar="JSON", help='With --state: {"Return": …} or {"Throw": …} in place of work.'
)
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a report in JUnit's XML, for build servers.",
)
@project_option
@json_option
def test(
    targets: tuple[str, ...],
    part: str | None,
    verbose: bool,
    state: str | None,
    given: str | None,
    mock: str | None,
    junit: Path | None,
    project: Path,
    as_json: bool,
) -> None:
    """Run the tests in workflows/*.test.yaml, or only those of FILE or state machine NAME.

    Each test runs one execution on the real engine. Its tasks are answered by mocks, and its time
    is virtual: a year of waiting takes none. With --state one state is tried alone, without a test
    file; a Task without --mock then runs its handler.
    """
    if state is not None:
        if junit is not None or part is not None:
            raise click.UsageError("-k and --junit are for test files, not for --state.")
        wanted = _StateTest(state=state, input=given, mock=mock, targets=targets, project=project)
        _test_state(wanted, verbose=verbose, as_json=as_json)
    if given is not None or mock is not None:
        raise click.UsageError("--input and --mock belong to --state.")
    begun = time.perf_counter()
    run: list[tuple[Suite, list[Result]]] = []
    for path in _chosen_files(targets, project):
        settings = chosen_settings(find_project(path.parent) or project)
        suite = read_suite(path, settings)
        results = []
        if not suite.findings:
            shown = _Shown(silent=as_json, verbose=verbose)
            results = _run_suite(suite, part, settings.project, shown)
        elif not as_json:
            _show_findings(suite)
        run.append((suite, results))
    if part is not None and not any(results or suite.findings for suite, results in run):
        raise Refused(f"no test has {part!r} in its name")
    if junit is not None:
        write_junit(junit, run)
    if as_json:
        write_document(_document(run))
    else:
        _show_summary(run, time.perf_counter() - begun)
    fine = all(each.passed for _, results in run for each in results)
    raise click.exceptions.Exit(0 if fine and not any(each.findings for each, _ in run) else FAILED)


# Which files


def _chosen_files(targets: Iterable[str], project: Path) -> list[Path]:
    """The test files that are meant, each once."""
    known = suite_files(project)
    if not targets:
        if not known:
            raise Refused(
                f"there are no tests: {project / 'workflows'} has no *.test.yaml",
                "write one beside a workflow; docs/testing.md says how",
            )
        return known
    return list(dict.fromkeys(path for each in targets for path in _meant(each, known)))


def _meant(target: str, known: list[Path]) -> list[Path]:
    """The test files of a target: such a file, a workflow file, a folder or a name."""
    path = Path(target)
    if path.name.endswith(TEST_ENDINGS):
        if not path.is_file():
            raise Refused(f"there is no file {target}")
        return [path.resolve()]
    if path.is_dir():
        return sorted(each for each in path.resolve().rglob("*") if _is_test_file(each))
    if path.name.endswith(WORKFLOW_ENDING):
        known = [each for each in path.resolve().parent.iterdir() if _is_test_file(each)]
    name = workflow_name(path)
    found = [each for each in known if machine_of(each) == name]
    if not found:
        names = ", ".join(sorted({machine_of(each) for each in known})) or "none"
        raise Refused(f"there are no tests of {target!r}; there are tests of: {names}")
    return sorted(found)


def _is_test_file(path: Path) -> bool:
    return path.name.endswith(TEST_ENDINGS)


# Running and showing


@record
class _Shown:
    """How much is said of tests while they run."""

    silent: bool
    verbose: bool


def _run_suite(suite: Suite, part: str | None, project: Path, shown: _Shown) -> list[Result]:
    chosen = [
        each for each in suite.tests if part is None or part.casefold() in each.name.casefold()
    ]
    if chosen and not shown.silent:
        write_line(printable(_from_here(suite.path)))
    results = []
    for each in chosen:
        with _as_in_a_worker(project):
            results.append(run_test(each))
        if not shown.silent:
            _show(results[-1], suite, verbose=shown.verbose)
    return results


def _show(result: Result, suite: Suite, *, verbose: bool) -> None:
    word = painted("passed", "green") if result.passed else painted("FAILED", "red")
    took = f"  ({duration(result.outcome.duration_ms)})" if result.outcome.duration_ms else ""
    place = ""
    if not result.passed:
        place = f"  {_from_here(suite.path)}:{result.test.line or 1}"
    write_line(f"  {word}  {printable(result.test.name)}{took}{printable(place)}")
    for each in result.differences:
        write_line(f"      {printable(each.message)}")
        for line in each.lines:
            shown = f"        {printable(line)}"
            write_line(painted(shown, _COLOURS[line[0]]) if line[:1] in _COLOURS else shown)
    if verbose or not result.passed:
        write_line(f"      path: {printable(_path(result.outcome.path))}")


def _path(states: Sequence[str]) -> str:
    """The way of an execution, with states that were entered in a row counted."""
    steps = []
    for state, entered in groupby(states):
        times = sum(1 for _ in entered)
        steps.append(state if times == 1 else f"{state} x{times}")
    if len(steps) > _PATH_SHOWN_MAX:
        half = _PATH_SHOWN_MAX // 2
        steps[half:-half] = [f"… {len(steps) - 2 * half} more …"]
    return " > ".join(steps) or "no state was entered"


def _show_findings(suite: Suite) -> None:
    write_line(printable(_from_here(suite.path)))
    for finding in suite.findings:
        write_line(f"  {painted('error', 'red')}  {printable(_finding(finding))}")


def _finding(finding: Finding) -> str:
    where = f" at {finding.pointer}" if finding.pointer else ""
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{_from_here(finding.place)}: {finding.message}{where}{hint}"


def _show_summary(run: Iterable[tuple[Suite, Sequence[Result]]], seconds: float) -> None:
    passed = failed = broken = 0
    for suite, results in run:
        passed += sum(each.passed for each in results)
        failed += sum(not each.passed for each in results)
        broken += bool(suite.findings)
    said = [f"{passed} passed"]
    said += [f"{failed} failed"] if failed else []
    said += [f"{count(broken, 'file')} with mistakes"] if broken else []
    colour = "red" if failed or broken else "green"
    text = painted(", ".join(said), colour)
    write_line(f"{count(passed + failed, 'test')}: {text} in {seconds:.2f} s")


def _from_here(path: Path | str) -> str:
    """A path as seen from here, when it lies below."""
    return str(path).removeprefix(f"{Path.cwd()}{os.sep}")


def _document(run: Iterable[tuple[Suite, Sequence[Result]]]) -> dict[str, Json]:
    run = list(run)
    return {
        "passed": all(
            not suite.findings and all(each.passed for each in results) for suite, results in run
        ),
        "files": [
            {
                "path": str(suite.path),
                "findings": [_finding(each) for each in suite.findings],
                "tests": list(_tests(results)),
            }
            for suite, results in run
        ],
    }


def _tests(results: Iterable[Result]) -> Iterator[Json]:
    for each in results:
        outcome = each.outcome
        yield {
            "name": each.test.name,
            "line": each.test.line,
            "passed": each.passed,
            "differences": [
                {"message": difference.message, "lines": list(difference.lines)}
                for difference in each.differences
            ],
            "status": outcome.status,
            "output": outcome.output,
            "error": outcome.error,
            "cause": outcome.cause,
            "path": list(outcome.path),
            "virtualMilliseconds": outcome.duration_ms,
        }


# One state


@record
class _StateTest:
    """A state to try, as the command line describes it."""

    state: str
    input: str | None
    mock: str | None
    targets: tuple[str, ...]
    project: Path


def _test_state(wanted: _StateTest, *, verbose: bool, as_json: bool) -> NoReturn:
    path = _workflow_file(wanted.targets, wanted.project)
    settings = chosen_settings(find_project(path.parent) or wanted.project)
    request: dict[str, Json] = {
        "definition": path.read_text(encoding="utf-8"),
        "stateName": wanted.state,
        "input": wanted.input or "{}",
        "inspectionLevel": "DEBUG" if verbose else "INFO",
        "roleArn": settings.home.role("eventmill"),
    }
    if wanted.mock is not None:
        request["mock"] = _aws_mock(wanted.mock)
    with _as_in_a_worker(settings.project):
        answer = asyncio.run(_answer(request, settings))
    if as_json:
        write_document(answer)
    else:
        _show_answer(answer)
    raise click.exceptions.Exit(FAILED if answer["status"] == "FAILED" else 0)


async def _answer(request: dict[str, Json], settings: Settings) -> dict[str, Json]:
    async with AsyncExitStack() as stack:
        run = None
        if settings.handlers.is_dir():
            executor = InlineExecutor(settings.handlers, home=settings.home)
            run = LambdaFunction(await stack.enter_async_context(executor)).run
        return await test_state(
            request,
            home=settings.home,
            now_ms=SystemClock().now_ms(),
            run=run,
            quotas=settings.quotas,
        )


@contextmanager
def _as_in_a_worker(project: Path) -> Iterator[None]:
    """Give handlers the surroundings that a worker gives them."""
    before = os.environ.get(_PROJECT)
    os.environ[_PROJECT] = str(project)
    try:
        with chdir(project):
            yield
    finally:
        del os.environ[_PROJECT]
        if before is not None:
            os.environ[_PROJECT] = before


def _workflow_file(targets: tuple[str, ...], project: Path) -> Path:
    if len(targets) != 1:
        raise click.UsageError("--state needs one workflow file, or the name of a state machine.")
    path = Path(targets[0])
    if path.name.endswith(WORKFLOW_ENDING) and path.is_file():
        return path.resolve()
    files = {workflow_name(each): each for each in workflow_files(project)}
    if targets[0] not in files:
        known = ", ".join(sorted(files)) or "none"
        raise Refused(f"there is no workflow {targets[0]!r}; workflows/ has: {known}")
    return files[targets[0]]


def _aws_mock(text: str) -> dict[str, Json]:
    """The mock as TestState takes it."""
    mistakes: list[str] = []

    def note(pointer: str, message: str) -> None:
        mistakes.append(f"{pointer}: {message}" if pointer else message)

    try:
        value = decode_json(text)
    except ValueError as error:
        raise click.BadParameter(f"the mock is not JSON: {error}", param_hint="--mock") from None
    mock = parse_mock(value, "", note)
    answer = mock[0] if mock else Answer()
    if mistakes or (answer.returned is None and answer.failure is None):
        reason = "; ".join(mistakes) or "it must have one of Return and Throw"
        raise click.BadParameter(reason, param_hint="--mock")
    if answer.failure is None:
        assert answer.returned is not None
        return {"result": answer.returned.text.decode()}
    failure = {"error": answer.failure.error, "cause": answer.failure.cause}
    return {"errorOutput": {name: each for name, each in failure.items() if each is not None}}


def _show_answer(answer: dict[str, Json]) -> None:
    status = str(answer["status"])
    write_line(painted(status, "red" if status == "FAILED" else "green"))
    for field, word in (
        ("output", "output"),
        ("nextState", "next state"),
        ("error", "error"),
        ("cause", "cause"),
    ):
        if field in answer:
            write_line(f"  {word}: {printable(str(answer[field]))}")
    shown = answer.get("inspectionData")
    if isinstance(shown, dict):
        for name, value in shown.items():
            text = value if isinstance(value, str) else encode_json(value).decode()
            write_line(f"  {name}: {printable(text)}")
