"""What a ResultWriter makes of the result of a child execution.

Source: recorded runs, and "ResultWriter (Map)" in the developer guide: a child that did not
succeed is told in full, whatever the transformation.
"""

from typing import Final

from eventmill.instant import format_instant
from eventmill.machine.map_run import Writing
from eventmill.model import Json, Payload
from eventmill.rows import ChildResult

PAYLOAD_BYTES_MAX: Final = 262_144  # a record leaves out an input or output that is larger


def transformed_result(result: ChildResult, writing: Writing) -> list[Json]:
    """What stands for a result: its record, its output, or the elements of its output."""
    if writing.transformation == "NONE" or result.output is None:
        return [result_record(result)]
    output = result.output.value
    if writing.transformation == "FLATTEN" and isinstance(output, list):
        return output
    return [output]


def result_record(result: ChildResult) -> Json:
    """A result with all that is known of its execution, as AWS writes it: keys in order."""
    text, included = _payload(result.input)
    told: dict[str, Json] = {
        "Input": text,
        "InputDetails": {"Included": included},
        "Status": result.status,
    }
    if result.status != "PENDING":
        told |= _execution(result) | _outcome(result)
    return dict(sorted(told.items()))


def _execution(result: ChildResult) -> dict[str, Json]:
    told: dict[str, Json] = {
        "ExecutionArn": result.arn,
        "Name": result.name,
        "RedriveCount": 0,
        "StartDate": format_instant(result.start_ms),
        "StateMachineArn": result.state_machine_arn,
    }
    if result.stop_ms is not None:
        told["StopDate"] = format_instant(result.stop_ms)
    return told


def _outcome(result: ChildResult) -> dict[str, Json]:
    if result.output is not None:
        text, included = _payload(result.output)
        return {
            "Output": text,
            "OutputDetails": {"Included": included},
            "RedriveStatus": "NOT_REDRIVABLE",
            "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        }
    told: dict[str, Json] = {
        # AWS says so although there is no output.
        "OutputDetails": {"Included": True},
        "RedriveStatus": "REDRIVABLE_BY_MAP_RUN",
    }
    if result.error is not None:
        told["Error"] = result.error
    if result.cause is not None:
        told["Cause"] = result.cause
    return told


def _payload(payload: Payload) -> tuple[str, bool]:
    """The text of a payload and whether it is there: one that is too large is not."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        return "", False
    return payload.text.decode(), True
