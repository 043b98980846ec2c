"""All that user code in `handlers/` needs: the decorator, the context and the error.

It knows nothing of the engine, and importing it is cheap.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

from eventmill.record import record

_Function = TypeVar("_Function", bound=Callable[..., Any])

_MARK: Final = "__eventmill_handler__"

# Lambda always has a deadline. A call without one answers its longest timeout, 15 minutes.
_LAMBDA_TIMEOUT_MS_MAX: Final = 900_000


@record
class HandlerMark:
    """What `@handler` notes on a function."""

    name: str
    timeout_seconds: float | None = None
    concurrency: int | None = None


class HandlerError(Exception):
    """Raise it to choose the error name that `Retry` and `Catch` match.

    `cause` becomes the `Cause` as it is; without one the cause is Lambda's error object.
    """

    def __init__(self, error: str, cause: str | None = None) -> None:
        if not isinstance(error, str) or not isinstance(cause, str | None):
            raise TypeError("HandlerError takes an error name and a cause, both str")
        super().__init__(error, cause)
        self.error, self.cause = error, cause

    def __str__(self) -> str:
        return self.error if self.cause is None else f"{self.error}: {self.cause}"


def _no_heartbeat() -> None:
    """Outside of an executor nobody waits for a heartbeat."""


@record
class HandlerContext:
    """What a handler may know about its call; a test can make one with a few fields.

    `attempt` counts from 1. `idempotency_key` is the same on every attempt of one visit to the
    state and differs for all others: send it along where an effect must not happen twice.
    `task_token` answers for this attempt only. `deadline_ms` is the instant, in milliseconds
    since the epoch, at which the call is cancelled; None means never.
    """

    function_name: str
    execution_arn: str = ""
    state_name: str = ""
    attempt: int = 1
    idempotency_key: str = ""
    task_token: str = ""
    deadline_ms: int | None = None
    on_heartbeat: Callable[[], None] = _no_heartbeat

    def remaining_time_ms(self) -> int | None:
        """Milliseconds until the deadline, at least 0; None when there is no deadline."""
        if self.deadline_ms is None:
            return None
        return max(0, self.deadline_ms - int(time.time() * 1000))

    def heartbeat(self) -> None:
        """Say that the task is alive, which starts its `HeartbeatSeconds` again.

        Returns at once; may be called from any thread.
        """
        self.on_heartbeat()

    @property
    def logger(self) -> logging.Logger:
        """The logger of this handler: `eventmill.handlers.<function name>`."""
        return logging.getLogger(f"eventmill.handlers.{self.function_name}")

    @property
    def aws_request_id(self) -> str:
        """Lambda's name for the id of this call, which error causes mention as `requestId`."""
        return request_id(self.idempotency_key, self.attempt)

    @property
    def function_version(self) -> str:
        """Lambda's name for the version that runs, which is the newest."""
        return "$LATEST"

    def get_remaining_time_in_millis(self) -> int:
        """Lambda's name for `remaining_time_ms`; 15 minutes when there is no deadline."""
        remaining_ms = self.remaining_time_ms()
        return _LAMBDA_TIMEOUT_MS_MAX if remaining_ms is None else remaining_ms


def request_id(idempotency_key: str, attempt: int) -> str:
    """The id of one attempt, in the form of a UUID (version 8, RFC 9562) as Lambda's are.

    >>> request_id("key", 1)
    '06706879-631b-8e41-a991-45d376e3e563'
    """
    seed = f"{attempt}:{idempotency_key}".encode(errors="replace")
    hash = hashlib.sha256(seed).hexdigest()
    variant = "89ab"[int(hash[16], 16) & 3]
    return f"{hash[:8]}-{hash[8:12]}-8{hash[13:16]}-{variant}{hash[17:20]}-{hash[20:32]}"


@overload
def handler(function: _Function, /) -> _Function: ...


@overload
def handler(
    *,
    name: str | None = None,
    timeout_seconds: float | None = None,
    concurrency: int | None = None,
) -> Callable[[_Function], _Function]: ...


def handler(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout_seconds: float | None = None,
    concurrency: int | None = None,
) -> Any:
    """Declare that a function is a handler: `async def name(event, context)`, or a plain `def`.

    It is called by `name`, else by the function's own name, and cancelled after
    `timeout_seconds` or at the task's deadline, whichever comes first. At most `concurrency` calls
    of it run at once, over all executions; the others wait their turn. The function itself is
    returned unchanged, so tests call it directly. All arguments must be literals, because the
    handlers of a project are listed without importing them.

    Raises:
        TypeError: It is applied to something that is not a function.
        ValueError: `name` is empty or holds spaces, `timeout_seconds` is not positive, or
            `concurrency` is below 1.
    """
    if name is not None and (not name or any(map(str.isspace, name))):
        raise ValueError(f"a handler cannot be called {name!r}")
    if timeout_seconds is not None and not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be positive, not {timeout_seconds}")

    if concurrency is not None and not is_concurrency(concurrency):
        raise ValueError(f"concurrency must be a whole number above 0, not {concurrency!r}")

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(function):
            raise TypeError(f"@handler goes on a function, not on {function!r}")
        mark = HandlerMark(
            name=name or function.__name__,
            timeout_seconds=timeout_seconds,
            concurrency=concurrency,
        )
        setattr(function, _MARK, mark)
        return function

    return declare if function is None else declare(function)


def is_concurrency(value: object) -> bool:
    """Whether this can limit how many calls run at once."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def mark_of(function: object) -> HandlerMark | None:
    """What `@handler` noted on `function`, or None when it is not decorated."""
    mark = getattr(function, _MARK, None)
    return mark if isinstance(mark, HandlerMark) else None
