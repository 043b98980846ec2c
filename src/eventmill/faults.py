"""Named points at which a test may end the process, to prove that nothing is lost there.

In production no hook is set and `point` costs one comparison.
"""

from collections.abc import Callable
from typing import Final

POINTS: Final = (
    "before-commit",  # the batch is complete, nothing of it is durable
    "inside-commit",  # rows are written, COMMIT was not given
    "after-commit",  # the batch is durable, nobody knows
    "before-dispatch",  # the step is durable, its commands are not carried out
    "after-dispatch",  # the commands were handed to the executors
    "before-answer",  # a handler has answered, the fact is not appended
    "before-publish",  # a sensor has found something, nothing is durable
    "before-acknowledge",  # its event is durable, the sensor was not told
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
