"""The service that Restate's server calls: handlers as its documentation writes them.

Each task is `ctx.run`, which the server writes to its replicated log before the handler goes on.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import restate

from bench.peers.works import EVENT, items

# One byte for each handler that has gone on after its wait.
_resumed = os.open(Path(os.environ["BENCH_RESUMED"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _do_nothing(event: Any) -> Any:
    return event


def _note(event: Any) -> Any:
    os.write(_resumed, b".")
    return event


async def _chain3(ctx: restate.Context, event: Any) -> Any:
    for name in ("First", "Second", "Third"):
        event = await ctx.run_typed(name, _do_nothing, event=event)
    return event


async def _fan_out(ctx: restate.Context, count: int) -> int:
    works = [
        ctx.run_typed(f"item-{number}", _do_nothing, event=item)
        for number, item in enumerate(items(count))
    ]
    return len([await work for work in works])


async def _recover(ctx: restate.Context, seconds: int) -> None:
    await ctx.sleep(timedelta(seconds=seconds))
    await ctx.run_typed("First", _note, event=EVENT)


service = restate.Service("bench")
service.handler("chain3")(_chain3)
service.handler("fan_out")(_fan_out)
service.handler("recover")(_recover)

app = restate.app(services=[service])
