"""From the text of a definition to a state machine, with every mistake on the way.

Source: the Amazon States Language specification; messages, order and locations are those of
AWS's ValidateStateMachineDefinition where they are known.
"""

from typing import Final

from eventmill.asl.document import read_document
from eventmill.asl.fields import Fields
from eventmill.asl.grammar import JSONPATH, MACHINE_FIELDS
from eventmill.asl.report import Place, Report
from eventmill.asl.resource import MachineType
from eventmill.asl.states import Setting, compile_branch
from eventmill.asl.syntax import StateMachine
from eventmill.asl.validator import validate
from eventmill.asl.variables import check_variables
from eventmill.errors import Diagnostic, InvalidDefinition
from eventmill.model import AWS_QUOTAS, Json, Quotas
from eventmill.record import record

STANDARD: Final[MachineType] = "STANDARD"
_NO_LIMIT: Final = Quotas(definition_bytes_max=2**63)


@record
class Definition:
    """A parsed definition: it runs, and `warnings` say what its author may have got wrong."""

    machine: StateMachine
    warnings: tuple[Diagnostic, ...] = ()


def parse(
    text: str | bytes, quotas: Quotas = AWS_QUOTAS, *, machine_type: MachineType = STANDARD
) -> Definition:
    """Parse and check a definition; bytes are UTF-8.

    Raises:
        InvalidDefinition: It has mistakes, or asks for what Eventmill does not run yet (code
            UNSUPPORTED_FEATURE); all of them are listed.
    """
    report = Report()
    machine = _compile(text, quotas, machine_type, report)
    if report.errors or machine is None:
        raise InvalidDefinition(report.errors)
    return Definition(machine=machine, warnings=report.warnings)


def reopen(text: str) -> StateMachine:
    """Compile a definition that was accepted once and that executions run on.

    It is not judged again: neither smaller quotas nor a stricter version may disturb them.

    Raises:
        ValueError: The text is no definition at all.
    """
    document = read_document(text, _NO_LIMIT, Report())
    if document is None:
        raise ValueError("not a definition")
    return _compile_machine(document, STANDARD, Report())


def check(
    text: str | bytes, quotas: Quotas = AWS_QUOTAS, *, machine_type: MachineType = STANDARD
) -> tuple[Diagnostic, ...]:
    """All that is wrong or odd about a definition: errors first, then warnings."""
    report = Report()
    _compile(text, quotas, machine_type, report)
    return (*report.errors, *report.warnings)


def _compile(
    text: str | bytes, quotas: Quotas, machine_type: MachineType, report: Report
) -> StateMachine | None:
    document = read_document(text, quotas, report)
    if document is None:
        return None
    machine = _compile_machine(document, machine_type, report)
    validate(document, report)
    check_variables(document, report)
    return machine


def _compile_machine(
    document: dict[str, Json], machine_type: MachineType, report: Report
) -> StateMachine:
    fields = Fields(document, Place(), report)
    fields.allow(MACHINE_FIELDS)
    fields.one_of("Version", "1.0")
    language = fields.language_of(JSONPATH)
    timeout_seconds = fields.integer("TimeoutSeconds", 0)
    branch = compile_branch(fields, Setting(language=language, machine_type=machine_type))
    return StateMachine(
        start_at=branch.start_at,
        states=branch.states,
        timeout_seconds=timeout_seconds,
        comment=fields.text("Comment"),
    )
