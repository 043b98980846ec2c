"""Named points at which a test may end the process, to prove that nothing is lost there.

In production no hook is set and `point` costs one comparison.
"""

from collections.abc import Callable
from typing import Final

POINTS: Final = (
    "before-migration",  # the file is there, its layout is not
    "after-migration",  # the layout is durable
    "before-recovery",  # the log is open, nothing the last server left is taken up
    "after-recovery",  # all are taken up
    "before-commit",  # the batch is complete, nothing of it is durable
    "inside-commit",  # rows are written, COMMIT was not given
    "after-commit",  # the batch is durable, nobody knows
    "before-dispatch",  # the step is durable, its commands are not carried out
    "after-dispatch",  # the commands were handed to the executors
    "before-handler",  # a call has begun, the handler's own code has not
    "after-handler",  # the handler has returned, nobody was told
    "before-answer",  # a handler has answered, the fact is not handed to the log
    "after-answer",  # the fact was handed to the log, which has not said that it is durable
    "before-timer",  # the time of executions has come, they were not told
    "after-timer",  # what they did about it is durable
    "before-load",  # executions are wanted in memory, none of them is read
    "after-load",  # it is in memory, was told why, and what was under way is again
    "before-child-start",  # the children of a page are known, none of them is durable
    "after-child-start",  # they are durable, their Map Run does not count them yet
    "before-map-run-end",  # the last child has ended, the results are not gathered
    "after-map-run-end",  # the results are gathered or written, the fact is not handed to the log
    "before-publish",  # a sensor has found something, nothing is durable
    "before-acknowledge",  # its event is durable, the sensor was not told
    "after-acknowledge",  # the sensor knows
    "before-outbox",  # an execution's start or end is durable, the bus does not know of it
    "after-outbox",  # the event is durable with what it starts
)

_hook: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Say that the program has come to the point `name`."""
    if _hook is not None:
        _hook(name)


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Have `hook` called at every point; None takes it away."""
    global _hook
    _hook = hook
