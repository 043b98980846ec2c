"""history_growth: what a transition costs at event 20 of a history, and at event 20,000.

One execution goes round a loop of a Task and a Choice, seven events in a round, each round a step
of its own in the log. The handler looks at the clock of the processor whenever it is called. What
one round takes must not depend on how many there were; `growth` is late by early.
"""

import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import chain3
from bench.rounds import Figures
from bench.server import serving
from eventmill.executors.inline import InlineExecutor
from eventmill.model import Payload
from eventmill.runtime.starting import Start

EVENTS_A_ROUND: Final = 7
_TRANSITIONS_A_ROUND: Final = 2
_MICROSECONDS: Final = 1_000_000


def definition(rounds: int) -> dict[str, Any]:
    """A loop that is gone round so often."""
    return {
        "StartAt": "Count",
        "States": {
            "Count": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": chain3.HANDLER, "Payload.$": "$"},
                "OutputPath": "$.Payload",
                "Next": "Enough?",
            },
            "Enough?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": rounds, "Next": "Count"}],
                "Default": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


class Rounds:
    """The handler: it counts, and notes when it was called on the clock of the processor."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def count(self, event: Any, context: Any) -> Any:
        self.at.append(time.process_time())
        return {**event, "n": event["n"] + 1}

    def cost_us(self, first_event: int, rounds: int) -> float:
        """The median cost of a transition over some rounds, from the round of an event on."""
        first = first_event // EVENTS_A_ROUND
        at = self.at[first : first + rounds + 1]
        took = [after - before for before, after in pairwise(at)]
        return median(took) / _TRANSITIONS_A_ROUND * _MICROSECONDS


async def measure(folder: Path, *, quick: bool) -> Figures:
    late, looked_at, runs = (70, 5, 1) if quick else (20_000, 300, 3)
    noted = [await _run(folder, late // EVENTS_A_ROUND + looked_at + 2) for _ in range(runs)]
    early_us = median(each.cost_us(20, looked_at) for each in noted)
    late_us = median(each.cost_us(late, looked_at) for each in noted)
    return {"early_us": early_us, "late_us": late_us, "growth": late_us / early_us}


async def _run(folder: Path, rounds: int) -> Rounds:
    noted = Rounds()
    data = Payload.of({"n": 0, "key": "incoming/seattle-weather.csv"})
    async with (
        InlineExecutor({chain3.HANDLER: noted.count}) as executor,
        serving(folder, executor, definition(rounds)) as server,
    ):
        start = Start(machine=server.machine, name="loop", input=data)
        (row,) = await server.engine.start([start])
        ended = await server.engine.ended(row.id)
        if ended.status != "SUCCEEDED" or len(noted.at) != rounds:
            raise RuntimeError(f"{ended.arn} has {ended.status}: nothing of this counts")
    return noted
