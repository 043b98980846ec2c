"""Payloads in requests: JSON as text, kept byte for byte."""

from typing import Final

from eventmill.api.constraints import cut, too_long
from eventmill.asl.document import read_document
from eventmill.asl.report import Report
from eventmill.errors import InvalidExecutionInput, InvalidOutput
from eventmill.model import AWS_QUOTAS, Payload, Quotas

_JACKSON_PLACE: Final = "\n at "


def execution_input(text: str, quotas: Quotas) -> Payload:
    """The input of an execution.

    Raises:
        ConstraintViolation: It is over the quota for payloads, which counts bytes.
        InvalidExecutionInput: It is not JSON.
    """
    encoded = _within_quota("input", text, quotas)
    try:
        return Payload.parse(encoded)
    except ValueError as error:
        reason = _syntax_error(text) or str(error)
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{reason}'") from None


def task_output(text: str, quotas: Quotas) -> Payload:
    """The output that somebody gives to a task.

    Raises:
        ConstraintViolation: It is over the quota for payloads, which counts bytes.
        InvalidOutput: It is not JSON.
    """
    encoded = _within_quota("output", text, quotas)
    try:
        return Payload.parse(encoded)
    except ValueError:
        raise InvalidOutput(f"Invalid Output: '{cut(text)}' is not valid JSON.") from None


def _within_quota(name: str, text: str, quotas: Quotas) -> bytes:
    encoded = text.encode()
    if len(encoded) > quotas.payload_bytes_max:
        raise too_long(name, quotas.payload_bytes_max)
    return encoded


def _syntax_error(text: str) -> str | None:
    """What Jackson says about a text that is no JSON, without the place, as the service does."""
    if not text.strip():
        return "Invalid execution input."
    report = Report()
    read_document(text, AWS_QUOTAS, report)
    return report.errors[0].message.split(_JACKSON_PLACE)[0] if report.errors else None
