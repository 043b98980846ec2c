"""reload25k: an execution of 24,000 events that sleeps, and what it costs to wake it.

`wake_ms` is the time from the fact that its time has come until the step that follows is durable,
`wake_folded_ms` the same without a snapshot. `recover_s` is the time in which a server takes up 100
executions of 20,000 events each, at work when the last one died, until all their handlers run
again; `recover_folded_s` the same without snapshots.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.history_growth import EVENTS_A_ROUND
from bench.rounds import Figures
from bench.server import HOME, Server, serving
from bench.sleepers import SkippingClock
from eventmill.executors.inline import InlineExecutor
from eventmill.machine.facts import TimeReached
from eventmill.model import Payload
from eventmill.ports import Transaction
from eventmill.record import record
from eventmill.rows import ExecutionRow, Snapshot, StepRow
from eventmill.runtime.starting import Start

_HOUR_SECONDS: Final = 3_600
_YEAR_MS: Final = 365 * 24 * _HOUR_SECONDS * 1_000
_HANDLER: Final = "count"
_CALL: Final = "arn:aws:lambda:local:000000000000:function:count"
_LOOK_SECONDS: Final = 0.001
_PATIENCE_SECONDS: Final = 300


def definition(rounds: int) -> dict[str, Any]:
    """A loop that is gone round so often, then a pause of an hour, then the handler once more."""
    return {
        "StartAt": "Count",
        "States": {
            "Count": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": _HANDLER, "Payload.$": "$"},
                "OutputPath": "$.Payload",
                "Next": "Enough?",
            },
            "Enough?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": rounds, "Next": "Count"}],
                "Default": "Sleep",
            },
            "Sleep": {"Type": "Wait", "Seconds": _HOUR_SECONDS, "Next": "Last"},
            "Last": {"Type": "Task", "Resource": _CALL, "End": True},
        },
    }


@record
class Past:
    """An execution as a server left it: its row, its steps, and its snapshot, if any."""

    row: ExecutionRow
    steps: Sequence[StepRow]
    snapshot: Snapshot | None


class Rounds:
    """The handler: it counts, and does not come back from the call that it is to hang in."""

    def __init__(self) -> None:
        self.hangs_at: int | None = None
        self.hanging = 0

    async def count(self, event: Any, context: Any) -> Any:
        if event["n"] == self.hangs_at:
            self.hanging += 1
            await asyncio.Event().wait()
        return {**event, "n": event["n"] + 1}


async def measure(folder: Path, *, quick: bool) -> Figures:
    asleep, at_work, copies = (140, 140, 3) if quick else (24_000, 20_000, 100)
    return await _wake(folder, asleep // EVENTS_A_ROUND, 9) | await _recover(
        folder, at_work // EVENTS_A_ROUND, copies
    )


async def _wake(folder: Path, rounds: int, copies: int) -> Figures:
    handler, clock = Rounds(), SkippingClock()
    async with (
        InlineExecutor({_HANDLER: handler.count}) as executor,
        serving(folder, executor, definition(rounds), clock=clock) as server,
    ):
        past = await _lived(server, handler)
        originals = await _copied(server, past, "asleep", copies, asleep=True)
        bare = replace(past, snapshot=None)
        folded = await _copied(server, bare, "asleep-folded", copies, asleep=True)
        clock.skip(_HOUR_SECONDS)
        handler.hangs_at = rounds
        return {
            "wake_ms": await _told(server, originals),
            "wake_folded_ms": await _told(server, folded),
        }


async def _told(server: Server, executions: Sequence[int]) -> float:
    """The median time in which an execution wakes, in milliseconds."""
    took = []
    for execution in executions:
        began = time.perf_counter()
        await server.engine.told(execution, TimeReached())
        took.append(time.perf_counter() - began)
    return median(took) * 1_000


async def _recover(folder: Path, rounds: int, copies: int) -> Figures:
    handler = Rounds()
    handler.hangs_at = rounds - 1
    figures = {}
    for key in ("recover_s", "recover_folded_s"):
        async with (
            InlineExecutor({_HANDLER: handler.count}) as executor,
            serving(folder, executor, definition(rounds)) as server,
        ):
            past = await _lived(server, handler)
            if key == "recover_folded_s":
                past = replace(past, snapshot=None)
            await _copied(server, past, "left", copies, asleep=False)
            handler.hanging = 0
            began = time.perf_counter()
            await server.engine.recover()
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while handler.hanging < copies:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_LOOK_SECONDS)
            figures[key] = time.perf_counter() - began
    return figures


async def _lived(server: Server, handler: Rounds) -> Past:
    """Run one execution until it sleeps, or the handler hangs."""
    handler.hanging = 0
    start = Start(machine=server.machine, name="lived", input=Payload.of({"n": 0}))
    (row,) = await server.engine.start([start])
    while server.engine.in_memory > handler.hanging:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(_LOOK_SECONDS)
    steps = await server.log.read(row.id)
    return Past(row=row, steps=steps, snapshot=await server.log.snapshot(row.id))


async def _copied(
    server: Server, past: Past, name: str, copies: int, *, asleep: bool
) -> Sequence[int]:
    """Give the log executions with the same past; nobody wakes those that sleep."""
    newest = await server.log.newest_id()
    ids = range(newest + 1, newest + 1 + copies)
    for id_ in ids:
        arn = HOME.execution("measured", f"{name}-{id_}")
        row = replace(past.row, id=id_, arn=arn, name=f"{name}-{id_}")
        snapshot = past.snapshot
        await server.log.commit(
            Transaction(
                created=[row],
                steps=[replace(step, execution=id_) for step in past.steps],
                timers={id_: server.clock.now_ms() + _YEAR_MS} if asleep else None,
                snapshots=[] if snapshot is None else [replace(snapshot, execution=id_)],
            )
        )
    return ids
