"""transitions: a loop of Pass and Choice, a thousand transitions with a payload of 1 KiB.

A transition is a state entered and left. The loop waits for nothing, so one decision makes all of
them and one commit keeps them: the figures are the processor time of deciding, folding and writing
a transition, once with paths and intrinsics and once with JSONata. Some 2,000 events are one row,
and what SQLite takes for a row says nothing here; so there is no reference.
"""

import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.rounds import Figures
from bench.server import serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import Payload
from eventmill.runtime.starting import Start

ROUNDS: Final = 500
TRANSITIONS: Final = 2 * ROUNDS + 1  # two in a round, and one into the end
_MICROSECONDS: Final = 1_000_000

INPUT: Final = Payload.of({"count": {"n": 0}, "text": "x" * 1_000})

JSONPATH: Final[dict[str, Any]] = {
    "StartAt": "Count",
    "States": {
        "Count": {
            "Type": "Pass",
            "Parameters": {"n.$": "States.MathAdd($.count.n, 1)"},
            "ResultPath": "$.count",
            "Next": "Enough?",
        },
        "Enough?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.count.n", "NumericLessThan": ROUNDS, "Next": "Count"}],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}

_COUNTED: Final = {
    "count": {"n": "{% $states.input.count.n + 1 %}"},
    "text": "{% $states.input.text %}",
}
JSONATA: Final[dict[str, Any]] = {
    "QueryLanguage": "JSONata",
    "StartAt": "Count",
    "States": {
        "Count": {"Type": "Pass", "Output": _COUNTED, "Next": "Enough?"},
        "Enough?": {
            "Type": "Choice",
            "Choices": [
                {"Condition": f"{{% $states.input.count.n < {ROUNDS} %}}", "Next": "Count"}
            ],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}


async def measure(folder: Path, *, quick: bool) -> Figures:
    executions = 2 if quick else 20
    return {
        "jsonpath_us": await per_transition(folder, JSONPATH, executions),
        "jsonata_us": await per_transition(folder, JSONATA, executions),
    }


async def per_transition(folder: Path, definition: dict[str, Any], executions: int) -> float:
    """The median processor time of a transition, in microseconds."""
    took: list[float] = []
    async with InlineExecutor({}) as executor, serving(folder, executor, definition) as server:
        for number in range(executions + 1):
            start = Start(machine=server.machine, name=f"loop-{number}", input=INPUT)
            began = time.process_time()
            (row,) = await server.engine.start([start])
            ended = await server.engine.ended(row.id)
            took.append(time.process_time() - began)
            if ended.status != "SUCCEEDED":
                raise RuntimeError(f"{ended.arn} has {ended.status}: nothing of this counts")
    # The first one warms everything up.
    return median(took[1:]) / TRANSITIONS * _MICROSECONDS
