"""What an expression may read while it is evaluated."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from eventmill.model import EMPTY_OBJECT, Json, Payload

Draw: TypeAlias = Callable[[int], int]
"""`draw(n)` is a uniform integer from 0 to n - 1, for any n from 1 to 2**128."""


def no_draw(below: int) -> int:
    """Stands in where nothing may be random."""
    raise AssertionError("this expression may not draw random numbers")


class Environment:
    """The data an expression reads, in either language.

    For JSONPath `data` is `$`; for JSONata it is `$states.input`, and `result` and `error_output`
    are other members of `$states`. The Context Object (`$$`, `$states.context`) is built when it is
    first asked for, since few expressions read it. `variables` are `$name` in both. Random numbers
    and the time come from outside, so that an evaluation can be repeated.
    """

    __slots__ = (
        "_context",
        "_make_context",
        "data",
        "draw",
        "error_output",
        "now_ms",
        "result",
        "variables",
    )

    def __init__(
        self,
        data: Payload,
        make_context: Callable[[], Payload],
        variables: Mapping[str, Json],
        draw: Draw = no_draw,
        *,
        result: Payload | None = None,
        error_output: Payload | None = None,
        now_ms: int = 0,
    ) -> None:
        self.data = data
        self.variables = variables
        self.draw = draw
        self.result = result
        self.error_output = error_output
        self.now_ms = now_ms
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
        environment = Environment(
            data,
            self._make_context,
            self.variables,
            self.draw,
            result=self.result,
            error_output=self.error_output,
            now_ms=self.now_ms,
        )
        environment._context = self._context
        return environment


def no_context() -> Payload:
    """The Context Object where there is none."""
    return EMPTY_OBJECT
