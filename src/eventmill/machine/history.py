"""The history of an execution: AWS's events, as they are stored.

One `HistoryEvent` is one `HistoryEvent` of AWS, with its type, id, `previousEventId` and details.
What AWS does not show and the engine needs rides along: the frame the event belongs to, and
`internal` values (a retry's due time, a token's seed). A few events are wholly internal; they have
the id 0, count for no quota, and GetExecutionHistory leaves them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventmill.model import Failure, Json, Payload

Details = dict[str, "Json | Payload"]


@dataclass(slots=True, repr=False)
class HistoryEvent:
    """One fact inside an execution. Never changed once made."""

    id: int
    previous_id: int
    type: str
    at_ms: int
    frame: int
    details: Details | None = None
    internal: dict[str, Json] | None = None

    def payload(self, field: str) -> Payload:
        """The payload in `details[field]`."""
        assert self.details is not None
        value = self.details[field]
        assert isinstance(value, Payload), f"{field} of {self.type} is no payload"
        return value

    def text(self, field: str) -> str:
        """The string in `details[field]`."""
        assert self.details is not None
        value = self.details[field]
        assert isinstance(value, str), f"{field} of {self.type} is no string"
        return value

    def noted(self, field: str) -> int:
        """The number in `internal[field]`."""
        assert self.internal is not None
        value = self.internal[field]
        assert isinstance(value, int), f"{field} of {self.type} is no number"
        return value

    def __hash__(self) -> int:
        return hash((self.id, self.type, self.frame))

    def __repr__(self) -> str:
        parts = f"{self.id} <- {self.previous_id} {self.type} frame={self.frame}"
        return f"<{parts} {self.details or ''} {self.internal or ''}>"


# The fields of an event's details that hold payloads: JSON text on AWS's wire. Variables that a
# state assigns are one payload here, an object of them all.
PAYLOAD_FIELDS: Final = frozenset({"input", "output", "parameters", "assignedVariables"})

WAIT_SCHEDULED: Final = "WaitScheduled"
RETRY_SCHEDULED: Final = "RetryScheduled"
HEARTBEAT_RECEIVED: Final = "HeartbeatReceived"
INTERNAL_TYPES: Final = frozenset({WAIT_SCHEDULED, RETRY_SCHEDULED, HEARTBEAT_RECEIVED})

# What AWS shows without the details that are kept here, for whoever decides the step again.
UNSHOWN_DETAILS: Final = frozenset({"MapRunSucceeded"})

_KINDS: Final = ("Pass", "Task", "Choice", "Wait", "Succeed", "Parallel", "Map")
_DETAILED: Final = (
    "ExecutionStarted ExecutionSucceeded ExecutionFailed ExecutionAborted ExecutionTimedOut"
    " TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskFailed TaskTimedOut"
    " LambdaFunctionScheduled LambdaFunctionSucceeded LambdaFunctionFailed LambdaFunctionTimedOut"
    " EvaluationFailed MapRunStarted MapRunFailed MapStateStarted MapIterationStarted"
    " MapIterationSucceeded MapIterationFailed MapIterationAborted"
)

# Under which key AWS puts the details of a type; a type that is missing here has none.
DETAILS_KEY: Final[Mapping[str, str]] = {
    **{f"{kind}StateEntered": "stateEnteredEventDetails" for kind in (*_KINDS, "Fail")},
    **{f"{kind}StateExited": "stateExitedEventDetails" for kind in _KINDS},
    **{type: f"{type[0].lower()}{type[1:]}EventDetails" for type in _DETAILED.split()},
}


def reason_of(failure: Failure) -> Details:
    """The error and the cause of a failure, as far as they are known, as details of its event."""
    reason = {"error": failure.error, "cause": failure.cause}
    return {name: text for name, text in reason.items() if text is not None}
