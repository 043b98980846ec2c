"""Playing seeds: whether all went well, and if not, what happened and how to see it again."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from traceback import format_exception
from typing import Any, Final

from eventmill.rehearsal.clock import RehearsalLoop
from tests.simulation.timeline import Plan
from tests.simulation.witness import Outcome, Violation
from tests.simulation.workloads import workload
from tests.simulation.world import World

COMMAND: Final = "make soak ARGS='--seed {seed}'"
_LINES_SHOWN: Final = 60


class Simulation:
    """A seed, played: its trace, what the executions came to, and what went wrong."""

    def __init__(self, seed: int, *, plan: Plan | None = None) -> None:
        self.seed = seed
        self.workload = workload(seed)
        self.plan = Plan.drawn(Random(f"{seed} plan")) if plan is None else plan
        self.trace: list[str] = []
        self.outcomes: dict[str, Outcome] = {}
        self.error: BaseException | None = None

    def play(self) -> "Simulation":
        """Let it happen, on a loop of its own."""
        loop = RehearsalLoop()
        try:
            self.error = loop.run_until_complete(self._play(loop))
        except Violation as error:  # nothing is left that could end it
            self.error = error
        finally:
            loop.close()
        return self

    async def _play(self, loop: RehearsalLoop) -> BaseException | None:
        world = World(f"{self.seed} chaos", self.workload, self.plan)
        loop.on_idle = world.on_idle
        unheard: list[BaseException] = []

        def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            unheard.append(context.get("exception") or Violation(context["message"]))
            world.break_off(unheard[0])

        loop.set_exception_handler(unhandled)
        self.trace = world.trace.lines
        playing = asyncio.ensure_future(world.run())
        await asyncio.wait((playing,))
        left = [*await world.leftovers(), *world.outside.tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        error = playing.exception()
        if error is None:
            self.outcomes = playing.result()
        return error or next(iter(unheard), None)


def judge(seed: int) -> Simulation:
    """Play a seed; where its work is steady, compare what it came to with a quiet run."""
    with _silence():
        played = Simulation(seed).play()
        if played.error is None and played.workload.is_steady:
            quiet = Simulation(seed, plan=Plan()).play()
            if quiet.error is not None:
                return quiet
            if quiet.outcomes != played.outcomes:
                played.error = Violation(
                    f"it came to {played.outcomes}, and undisturbed to {quiet.outcomes}"
                )
    return played


def told(failed: Simulation, lines: int = _LINES_SHOWN) -> str:
    """What went wrong with a seed, with the last that happened before, and how to repeat it."""
    assert failed.error is not None
    return "\n".join(
        [
            f"seed {failed.seed} ({failed.workload.name}), {failed.plan}",
            *failed.trace[-lines:],
            "".join(format_exception(failed.error)),
            f"to see it again: {COMMAND.format(seed=failed.seed)}",
        ]
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Servers in trouble have much to say; here the trace says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
