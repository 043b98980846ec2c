"""What an expression may read while it is evaluated."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from eventmill.model import EMPTY_OBJECT, Json, Payload

Draw: TypeAlias = Callable[[int], int]
"""A source of random numbers: `draw(n)` is a uniform integer from 0 up to, not including, n.

It takes every n from 1 to 2¹²⁸. The source comes from outside, seeded, so that the same facts
give the same decisions.
"""


def no_draw(bound: int) -> int:
    """The source of an environment in which nothing random may be evaluated."""
    raise AssertionError("this environment has no source of random numbers")


class Environment:
    """The data an expression reads: `$`, `$$` (the Context Object) and `$name` (variables).

    The Context Object is built when it is first asked for, since few expressions read it.
    `draw` is where `States.UUID` and `States.MathRandom` get their random numbers.
    """

    __slots__ = ("_context", "_make_context", "data", "draw", "variables")

    def __init__(
        self,
        data: Payload,
        make_context: Callable[[], Payload],
        variables: Mapping[str, Json],
        draw: Draw = no_draw,
    ) -> None:
        self.data = data
        self.variables = variables
        self.draw = draw
        self._make_context = make_context
        self._context: Payload | None = None

    @property
    def context(self) -> Payload:
        """The Context Object, keys in AWS's order."""
        if self._context is None:
            self._context = self._make_context()
        return self._context

    def over(self, data: Payload) -> "Environment":
        """The same surroundings with other data as `$`."""
        environment = Environment(data, self._make_context, self.variables, self.draw)
        environment._context = self._context
        return environment


def no_context() -> Payload:
    """The Context Object where there is none."""
    return EMPTY_OBJECT
