"""Test files: `NAME.test.yaml` (or .yml, .json) beside the workflow file `NAME.asl.json`.

The file is read whole and checked whole: every mistake is a finding with its place.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from eventmill.arn import is_name
from eventmill.asl.positions import position_of
from eventmill.errors import InvalidDefinition, ProjectError
from eventmill.model import EMPTY_OBJECT, Json, Payload
from eventmill.record import record
from eventmill.rehearsal.definitions import rehearsable, states_of
from eventmill.rehearsal.expectation import Expectation, parse_expectation
from eventmill.rehearsal.fields import Fields, pointer_to
from eventmill.rehearsal.local_mocks import TestCases, parse_mock_file
from eventmill.rehearsal.mocks import Mock, Mocks, parse_mock
from eventmill.rehearsal.objects import parse_objects
from eventmill.rehearsal.rehearse import START_MS, Rehearsal, check_states
from eventmill.runtime.catalog import Machine
from eventmill.runtime.documents import YAML_SUFFIXES, Document, read_document
from eventmill.runtime.findings import Finding, from_diagnostic, from_line
from eventmill.runtime.project import WORKFLOW_ENDING, workflow_name
from eventmill.runtime.settings import Settings

TEST_ENDINGS: Final = tuple(f".test{suffix}" for suffix in (*YAML_SUFFIXES, ".json"))
_CODE: Final = "INVALID_TEST"


@record
class Test:
    """One test of a file: an execution to rehearse, and what is expected of it."""

    __test__ = False  # for pytest, which collects by name

    name: str
    line: int | None
    rehearsal: Rehearsal
    expectation: Expectation


@record
class Suite:
    """The tests of one file, in its order; `findings` say what is wrong with the file."""

    path: Path
    tests: tuple[Test, ...] = ()
    findings: tuple[Finding, ...] = ()


def suite_files(project: Path) -> list[Path]:
    """The test files of a project, in a fixed order."""
    return sorted(
        path for path in (project / "workflows").rglob("*") if path.name.endswith(TEST_ENDINGS)
    )


def machine_of(path: Path) -> str:
    """What the file's name says it tests."""
    return path.name.rsplit(".test.", 1)[0]


def read_suite(path: Path, settings: Settings) -> Suite:
    """Read a test file, and the definition and the mock file that it is about."""
    try:
        document = read_document(path)
    except ProjectError as error:
        found = tuple(from_line(path, "INVALID_DOCUMENT", line) for line in error.problems)
        return Suite(path=path, findings=found)
    return _Reading(document, settings).suite()


@record
class _Setting:
    """What a test takes over from its file where it says nothing itself."""

    tested: Machine
    input: Payload
    mocks: Mocks
    objects: Mapping[str, bytes]
    cases: TestCases | None
    mock_machine: str
    start_ms: int


class _Reading:
    """The reading of one test file, which collects what is wrong on the way."""

    def __init__(self, document: Document, settings: Settings) -> None:
        self._document = document
        self._settings = settings
        self._folder = document.path.parent
        self._findings: list[Finding] = []

    def suite(self) -> Suite:
        fields = Fields(self._document.value, "", self._note)
        fields.text("Comment")
        tested = self._tested(fields)
        tests: tuple[Test, ...] = ()
        if tested is not None:
            tests = tuple(self._tests(fields, tested))
            fields.refuse_others()
        path = self._document.path
        return Suite(path=path, tests=tests, findings=tuple(self._findings))

    def _note(self, pointer: str, message: str) -> None:
        self._findings.append(_finding(self._document, pointer, message))

    def _tested(self, fields: Fields) -> Machine | None:
        """The state machine under test: the one beside the file, or the one it names."""
        given = fields.text("StateMachine") if fields.has("StateMachine") else None
        name = given or f"{machine_of(self._document.path)}{WORKFLOW_ENDING}"
        path = self._folder / name
        if not path.name.endswith(WORKFLOW_ENDING):
            fields.note(f"must be the path of a workflow file, *{WORKFLOW_ENDING}", "StateMachine")
            return None
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self._note("/StateMachine" if given else "", f"cannot read {path}: {reason}")
            return None
        if not is_name(workflow_name(path)):
            self._note("", f"{workflow_name(path)!r} cannot name a state machine")
            return None
        try:
            settings = self._settings
            return rehearsable(workflow_name(path), text, settings.home, settings.quotas)
        except InvalidDefinition as error:
            self._findings += (from_diagnostic(path, text, each) for each in error.diagnostics)
            return None

    def _tests(self, fields: Fields, tested: Machine) -> Iterator[Test]:
        start_ms = fields.instant("StartTime") if fields.has("StartTime") else None
        mocked = fields.text("MockStateMachine") if fields.has("MockStateMachine") else None
        setting = _Setting(
            tested=tested,
            input=self._input(fields, EMPTY_OBJECT),
            mocks=self._mocks(fields, tested),
            objects=dict(parse_objects(fields, self._folder)),
            cases=self._cases(fields),
            mock_machine=mocked or tested.name,
            start_ms=START_MS if start_ms is None else start_ms,
        )
        names: set[str] = set()
        if not fields.has("Tests"):
            fields.note("Tests is missing")
        for index, value in fields.items("Tests"):
            test = self._test(Fields(value, f"/Tests/{index}", self._note), setting)
            if test.name in names:
                self._note(f"/Tests/{index}/Name", f"there are two tests named {test.name!r}")
            names.add(test.name)
            yield test

    def _test(self, fields: Fields, setting: _Setting) -> Test:
        name = fields.text("Name", required=True) or fields.pointer
        fields.text("Comment")
        start_ms = fields.instant("StartTime") if fields.has("StartTime") else None
        execution = fields.text("ExecutionName") if fields.has("ExecutionName") else None
        if execution is not None and not is_name(execution):
            fields.note(f"{execution!r} cannot name an execution", "ExecutionName")
        own = self._mocks(fields, setting.tested)
        rehearsal = Rehearsal(
            tested=setting.tested,
            input=self._input(fields, setting.input),
            mocks={**setting.mocks, **self._case(fields, setting), **own},
            handlers=self._settings.handlers if self._settings.handlers.is_dir() else None,
            objects={**setting.objects, **dict(parse_objects(fields, self._folder))},
            execution_name=execution or "rehearsal",
            start_ms=setting.start_ms if start_ms is None else start_ms,
            home=self._settings.home,
            quotas=self._settings.quotas,
        )
        expectation = self._expectation(fields, setting.tested)
        fields.refuse_others()
        line = _place(self._document, fields.pointer)[0]
        return Test(name=name, line=line, rehearsal=rehearsal, expectation=expectation)

    def _input(self, fields: Fields, default: Payload) -> Payload:
        if fields.has("Input") and fields.has("InputFile"):
            fields.note("only one of Input and InputFile can be given", "InputFile")
        if fields.has("Input"):
            return Payload.of(fields.json("Input"))
        name = fields.text("InputFile") if fields.has("InputFile") else None
        document = None if name is None else self._read(name, fields, "InputFile")
        return default if document is None else Payload.of(document.value)

    def _mocks(self, fields: Fields, machine: Machine) -> Mocks:
        place = pointer_to(fields.pointer, "Mocks")
        mocks: dict[str, Mock] = {
            state: parse_mock(value, pointer_to(place, state), self._note)
            for state, value in fields.members("Mocks")
        }
        check_states(mocks, machine, lambda state, message: self._note(place + state, message))
        return mocks

    def _cases(self, fields: Fields) -> TestCases | None:
        name = fields.text("MockFile") if fields.has("MockFile") else None
        document = None if name is None else self._read(name, fields, "MockFile")
        if document is None:
            return None

        def note(pointer: str, message: str) -> None:
            self._findings.append(_finding(document, pointer, message))

        return parse_mock_file(document.value, note)

    def _case(self, fields: Fields, setting: _Setting) -> Mocks:
        case = fields.text("TestCase") if fields.has("TestCase") else None
        if case is None:
            return {}
        if setting.cases is None:
            fields.note("there is no MockFile whose test case this could be", "TestCase")
            return {}
        try:
            mocks = setting.cases.find(setting.mock_machine, case)
        except LookupError as error:
            fields.note(str(error.args[0]), "TestCase")
            return {}
        check_states(mocks, setting.tested, lambda state, message: fields.note(message, "TestCase"))
        return mocks

    def _expectation(self, fields: Fields, machine: Machine) -> Expectation:
        place = pointer_to(fields.pointer, "Expect")
        value: Json = fields.json("Expect") if fields.has("Expect") else {}
        expectation = parse_expectation(Fields(value, place, self._note))
        states = {each.name for each in states_of(machine.definition.states)}
        for index, state in enumerate(expectation.path or ()):
            if state not in states:
                self._note(f"{place}/Path/{index}", f"the definition has no state {state!r}")
        for state in expectation.calls:
            if state not in states:
                pointer = pointer_to(place, "Calls", state)
                self._note(pointer, f"the definition has no state {state!r}")
        return expectation

    def _read(self, name: str, fields: Fields, field: str) -> Document | None:
        """A file that the test file names, from the folder it lies in."""
        try:
            return read_document(self._folder / name)
        except ProjectError as error:
            for line in error.problems:
                fields.note(line, field)
            return None


def _finding(document: Document, pointer: str, message: str) -> Finding:
    line, column = _place(document, pointer)
    return Finding(
        path=document.path,
        code=_CODE,
        message=message,
        line=line,
        column=column,
        pointer=pointer,
    )


def _place(document: Document, pointer: str) -> tuple[int | None, int | None]:
    """The line (and in JSON the column) of a value, or of the nearest one around it."""
    if not document.lines:
        text = document.path.read_text(encoding="utf-8-sig")
        return position_of(text, pointer)
    while pointer and pointer not in document.lines:
        pointer = pointer.rpartition("/")[0]
    return document.lines.get(pointer), None
