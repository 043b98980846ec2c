"""Retry and Catch: which error is whose, and how long to wait before trying again."""

from collections.abc import Iterable
from typing import Literal, TypeVar

from eventmill.asl.error_names import ALL, HEARTBEAT_TIMEOUT, RUNTIME, TASK_FAILED, TIMEOUT
from eventmill.query.jsonata import QueryTemplate
from eventmill.query.jsonpath import ReferencePath
from eventmill.query.template import Template
from eventmill.record import record


@record
class Retrier:
    """One entry of `Retry`."""

    error_equals: tuple[str, ...]
    interval_seconds: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    jitter_strategy: Literal["NONE", "FULL"] = "NONE"

    def delay_seconds(self, attempt: int, *, jitter: float = 1.0) -> float:
        """How long to wait before retry number `attempt`, counted from 1.

        `jitter` is a number drawn from 0..1; it counts with `JitterStrategy: FULL` only.

        >>> triple = Retrier(error_equals=("E",), interval_seconds=2, backoff_rate=3,
        ...                  max_delay_seconds=10)
        >>> [triple.delay_seconds(attempt) for attempt in (1, 2, 3)]
        [2.0, 6.0, 10.0]
        """
        assert attempt >= 1
        ceiling = self.max_delay_seconds or 31_622_400
        try:
            delay = min(self.interval_seconds * self.backoff_rate ** (attempt - 1), ceiling)
        except OverflowError:
            delay = ceiling
        return float(delay * jitter if self.jitter_strategy == "FULL" else delay)


@record
class Catcher:
    """One entry of `Catch`. `result_path` None discards the error output.

    `output` belongs to JSONata, where the paths of a state do not apply; `assign` to both.
    """

    error_equals: tuple[str, ...]
    next: str
    result_path: ReferencePath | None
    assign: Template | QueryTemplate | None = None
    output: QueryTemplate | None = None


def matches(error_equals: Iterable[str], error: str | None) -> bool:
    """Whether an `ErrorEquals` list names `error`.

    States.Runtime is matched by nothing: it always ends the execution. `States.ALL` matches all
    the rest, States.DataLimitExceeded included: so the recordings of the service show,
    whatever the documentation says. `States.TaskFailed` matches everything but timeouts. A
    heartbeat that ran out, given here as States.HeartbeatTimeout, is matched by States.Timeout
    too; AWS reports it under that name.
    """
    if error == RUNTIME:
        return False
    timed_out = error in (TIMEOUT, HEARTBEAT_TIMEOUT)
    return any(
        name in (error, ALL)
        or (name == TIMEOUT and timed_out)
        or (name == TASK_FAILED and not timed_out)
        for name in error_equals
    )


_Handler = TypeVar("_Handler", Retrier, Catcher)


def first_match(handlers: Iterable[_Handler], error: str | None) -> int | None:
    """The index of the first retrier or catcher that names `error`, if any does."""
    for index, handler in enumerate(handlers):
        if matches(handler.error_equals, error):
            return index
    return None
