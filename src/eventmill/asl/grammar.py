"""Which fields stand where, and what of the language does not run here yet: tables only.

Measured with AWS's ValidateStateMachineDefinition; the developer guide agrees.
"""

from collections.abc import Mapping
from typing import Final

from eventmill.asl.syntax import Language

JSONPATH: Final[Language] = "JSONPath"
JSONATA: Final[Language] = "JSONata"

STATE_TYPES: Final = ("Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map")
TERMINAL_TYPES: Final = ("Succeed", "Fail")

_EVERY_STATE = "Type Comment QueryLanguage"
_FLOW = f"{_EVERY_STATE} InputPath OutputPath Output"
_STEP = f"{_FLOW} Assign Next End"
_RESULT = f"{_STEP} Parameters ResultPath"
_CALL = f"{_RESULT} ResultSelector Retry Catch"

STATE_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(fields.split())
    for name, fields in {
        "Pass": f"{_RESULT} Result",
        "Task": f"{_CALL} Arguments Resource Credentials TimeoutSeconds TimeoutSecondsPath"
        " HeartbeatSeconds HeartbeatSecondsPath",
        "Choice": f"{_FLOW} Assign Choices Default",
        "Wait": f"{_STEP} Seconds SecondsPath Timestamp TimestampPath",
        "Succeed": _FLOW,
        "Fail": f"{_EVERY_STATE} Error ErrorPath Cause CausePath",
        "Parallel": f"{_CALL} Arguments Branches",
        "Map": f"{_CALL} ItemProcessor Iterator Items ItemsPath ItemSelector ItemReader"
        " ItemBatcher ResultWriter Label MaxConcurrency MaxConcurrencyPath"
        " ToleratedFailureCount ToleratedFailureCountPath"
        " ToleratedFailurePercentage ToleratedFailurePercentagePath",
    }.items()
}

STATE_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "Task": ("Resource",),
    "Choice": ("Choices",),
    "Parallel": ("Branches",),
}

# Of each group a state has one field at most.
STATE_ALTERNATIVES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "Task": (
        ("TimeoutSeconds", "TimeoutSecondsPath"),
        ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ),
    "Fail": (("Error", "ErrorPath"), ("Cause", "CausePath")),
    "Map": (("Parameters", "ItemSelector"), ("MaxConcurrency", "MaxConcurrencyPath")),
}

# Of each group a state has exactly one field.
STATE_CHOICES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "Wait": (("SecondsPath", "Seconds", "TimestampPath", "Timestamp"),),
    "Map": (("ItemProcessor", "Iterator"),),
}

# Which members of `$states` an expression may read, by what is known when it is evaluated.
OF_INPUT: Final = frozenset({"context", "input"})
OF_RESULT: Final = OF_INPUT | {"result"}
OF_ERROR: Final = OF_INPUT | {"errorOutput"}

JSONATA_ONLY: Final = frozenset({"Arguments", "Condition", "Items", "Output"})
JSONPATH_ONLY: Final = frozenset(
    {
        "And", "CausePath", "ErrorPath", "HeartbeatSecondsPath", "InputPath", "ItemsPath",
        "MaxConcurrencyPath", "MaxInputBytesPerBatchPath", "MaxItemsPath", "MaxItemsPerBatchPath",
        "Not", "Or", "OutputPath", "Parameters", "Result", "ResultPath",
        "ResultSelector", "SecondsPath", "TimeoutSecondsPath", "TimestampPath",
        "ToleratedFailureCountPath", "ToleratedFailurePercentagePath", "Variable",
    }
)  # fmt: skip

MACHINE_FIELDS: Final = frozenset(
    {"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"}
)
BRANCH_FIELDS: Final = frozenset({"Comment", "StartAt", "States"})
PROCESSOR_FIELDS: Final = BRANCH_FIELDS | {"ProcessorConfig"}
RETRIER_FIELDS: Final = frozenset(
    {
        "BackoffRate", "Comment", "ErrorEquals", "IntervalSeconds", "JitterStrategy",
        "MaxAttempts", "MaxDelaySeconds",
    }
)  # fmt: skip
CATCHER_FIELDS: Final = frozenset(
    {"Assign", "Comment", "ErrorEquals", "Next", "Output", "ResultPath"}
)
