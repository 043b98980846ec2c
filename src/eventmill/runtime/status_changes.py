"""Status changes of executions as events, as Step Functions puts them on EventBridge's bus.

Source: Step Functions developer guide, "Automating Step Functions event delivery with EventBridge".
"""

from typing import Final
from uuid import UUID, uuid5

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.machine.execution import RUNNING, Execution
from eventmill.model import Json, Payload
from eventmill.patterns.matcher import Alternative
from eventmill.rows import ExecutionRow
from eventmill.triggers.listeners import Listeners

SOURCE: Final = "aws.states"
DETAIL_TYPE: Final = "Step Functions Execution Status Change"

# A longer input or output is left out.
INCLUDED_BYTES_MAX: Final = 248 * 1024

_REDRIVABLE: Final = ("FAILED", "TIMED_OUT", "ABORTED")
_NAMESPACE: Final = UUID("2a0f1c3e-6d54-5b8e-9a77-3c1de58a40b6")
_KNOWN_MAX: Final = 10_000


class StatusChanges:
    """The status changes that triggers on the bus listen to, and the events that tell of them."""

    def __init__(self, bus: Listeners, home: Home) -> None:
        """Prepare for these triggers; those without any that may listen cost nothing later."""
        self._bus = bus
        self._home = home
        fixed = {"source": SOURCE, "detail-type": DETAIL_TYPE}
        self._ways = [
            tests
            for trigger in bus.triggers
            if trigger.enabled and trigger.matcher is not None
            for tests in trigger.matcher.alternatives
            if _may_hold(tests, fixed)
        ]
        self._known: dict[tuple[str, str], bool] = {}

    def __bool__(self) -> bool:
        """Whether any trigger may listen to any of them."""
        return bool(self._ways)

    def of(self, row: ExecutionRow, execution: Execution, status: str) -> TriggerEvent | None:
        """The event that an execution has come to `status`, if a trigger starts something for it.

        `status` is RUNNING when it begins, else that of its end.
        """
        if not self._may_be_heard(status, row.state_machine_arn):
            return None
        event = self._event(row, execution, status)
        return event if self._bus.of(event) else None

    def _may_be_heard(self, status: str, state_machine_arn: str) -> bool:
        """The same of what is known without looking at the execution: most are of no interest."""
        key = (status, state_machine_arn)
        known = self._known.get(key)
        if known is None:
            fields = {"detail.status": status, "detail.stateMachineArn": state_machine_arn}
            known = any(_may_hold(tests, fields) for tests in self._ways)
            if len(self._known) < _KNOWN_MAX:
                self._known[key] = known
        return known

    def _event(self, row: ExecutionRow, execution: Execution, status: str) -> TriggerEvent:
        stop_ms = None if status == RUNNING else execution.stop_ms
        return TriggerEvent(
            id=str(uuid5(_NAMESPACE, f"{row.arn} {row.id} {status}")),
            source=SOURCE,
            detail_type=DETAIL_TYPE,
            at_ms=row.start_ms if stop_ms is None else stop_ms,
            account=self._home.account,
            region=self._home.region,
            resources=(row.arn,),
            detail=_detail(row, execution, status, stop_ms),
        )


def _may_hold(tests: Alternative, fields: dict[str, str]) -> bool:
    """Whether an event with these fields, among others, may pass all tests."""
    return all(test.accepts(fields[test.name]) for test in tests if test.name in fields)


def _detail(
    row: ExecutionRow, execution: Execution, status: str, stop_ms: int | None
) -> dict[str, Json]:
    failure = execution.failure if status in ("FAILED", "ABORTED") else None
    input_, input_details = _included(execution.input)
    output, output_details = _included(execution.output if status == "SUCCEEDED" else None)
    is_redrivable = status in _REDRIVABLE
    by = "REDRIVABLE" if row.child is None else "REDRIVABLE_BY_MAP_RUN"
    reason = f"Execution is {status} and cannot be redriven"
    return {
        "executionArn": row.arn,
        "stateMachineArn": row.state_machine_arn,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "name": row.name,
        "status": status,
        "startDate": row.start_ms,
        "stopDate": stop_ms,
        "input": input_,
        "inputDetails": input_details,
        "output": output,
        "outputDetails": output_details,
        "error": None if failure is None else failure.error,
        "cause": None if failure is None else failure.cause,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": by if is_redrivable else "NOT_REDRIVABLE",
        "redriveStatusReason": None if is_redrivable else reason,
    }


def _included(payload: Payload | None) -> tuple[Json, Json]:
    """A payload as JSON text, unless it is too long, and whether it is there."""
    if payload is None:
        return None, None
    if len(payload) > INCLUDED_BYTES_MAX:
        return None, {"included": False}
    return payload.text.decode(), {"included": True}
