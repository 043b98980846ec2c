"""Answers in the words of Lambda: what a handler returned, and every way it can fail.

Error objects have the form of Lambda's Python runtime or, where the runtime itself is gone, of
the sandbox around it. The wording follows what AWS writes into histories.
"""

import json
import math
import signal
import traceback
from itertools import chain
from types import TracebackType
from typing import Any, Final

from eventmill.arn import Home
from eventmill.handler import HandlerError, request_id
from eventmill.model import Json, Payload, encode_json
from eventmill.ports import Answer, Invocation, Raised, Returned

# Lambda's quota for a synchronous response.
RESPONSE_BYTES_MAX: Final = 6_291_556

# Readers of histories, ours and others', descend a level of their stack per level of nesting.
RESPONSE_DEPTH_MAX: Final = 200

_CONTAINERS: Final = frozenset({dict, list})

# The words of Go's os.Signal, in which Lambda's sandbox reports.
_SIGNAL_WORDS: Final[dict[int, str]] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGTERM: "terminated",
    signal.SIGXCPU: "CPU time limit exceeded",
}


class Unavailable(Exception):
    """The handler cannot be called; `answer` makes what the caller is told of it."""

    def __init__(self, error: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.error, self.message, self.trace = error, message, trace

    def answer(self, invocation: Invocation) -> Raised:
        """The answer to an invocation that asked for the handler."""
        return _runtime_error(invocation, self.error, self.message, list(self.trace))


class NotFound(Unavailable):
    """No handler has this name."""

    def __init__(self, name: str, home: Home) -> None:
        arn = f"arn:aws:lambda:{home.region}:{home.account}:function:{name}:$LATEST"
        super().__init__("Lambda.ResourceNotFoundException", f"Function not found: {arn}")

    def answer(self, invocation: Invocation) -> Raised:
        """The answer of the Lambda service, which is a sentence and no error object."""
        detail = (
            "Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; "
            f"Request ID: {_request_id(invocation)}; Proxy: null"
        )
        return Raised(error=self.error, cause=f"{self.message} ({detail})")


def returned(invocation: Invocation, value: object, bytes_max: int = RESPONSE_BYTES_MAX) -> Answer:
    """The answer for what a handler returned; its payload shares nothing with `value`.

    A value is JSON when it is made of None, bool, int, finite float, str without lone
    surrogates, list or tuple, and dict with keys of str. Anything else, and what is nested more
    than 200 deep, is `Runtime.MarshalError`; more than `bytes_max` bytes are
    `Function.ResponseSizeTooLarge`.
    """
    try:
        payload = _json_payload(value)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"Unable to marshal response: {error}"
        return _runtime_error(invocation, "Runtime.MarshalError", message, [])
    if len(payload) > bytes_max:
        message = (
            f"Response payload size exceeded maximum allowed payload size ({bytes_max} bytes)."
        )
        return _sandbox_error("Function.ResponseSizeTooLarge", message)
    return Returned(output=payload)


def raised(invocation: Invocation, error: BaseException, *, own_module: str) -> Raised:
    """The answer for an exception that came out of a handler.

    Frames of `own_module` at the outer end of the traceback, which lead to the handler, are left
    out. `SystemExit` and `KeyboardInterrupt` end the runtime in Lambda, and read the same here.
    """
    if isinstance(error, SystemExit):
        return exited(invocation, _exit_status(error))
    if isinstance(error, KeyboardInterrupt):
        return exited(invocation, -signal.SIGINT)
    frames = _user_frames(error.__traceback__, own_module)
    # Tuples are formatted without the markers under the code, which Lambda does not have.
    trace = traceback.format_list(
        [(at.filename, at.lineno or 0, at.name, at.line) for at in frames]
    )
    if isinstance(error, HandlerError):
        if error.cause is not None:
            return Raised(error=_text(error.error), cause=_text(error.cause))
        return _runtime_error(invocation, error.error, "", trace)
    return _runtime_error(invocation, type(error).__name__, _message(error), trace)


def timed_out(invocation: Invocation, seconds: float) -> Raised:
    """The answer for a call that was stopped at its deadline, `seconds` after it was asked for."""
    told = f"Error: Task timed out after {seconds:.2f} seconds"
    return _sandbox_error("Sandbox.Timedout", f"RequestId: {_request_id(invocation)} {told}")


def exited(invocation: Invocation, status: int) -> Raised:
    """The answer when the runtime ended; a negative status is the signal that killed it."""
    return _sandbox_error("Runtime.ExitError", _exit_message(invocation, status))


def out_of_memory(invocation: Invocation) -> Raised:
    """The answer for the call that took more memory than its worker may have."""
    message = _exit_message(invocation, -signal.SIGKILL)
    return _sandbox_error("Runtime.OutOfMemory", message)


def _json_payload(value: object) -> Payload:
    # What reads back equal was JSON. msgspec alone would take NaN, sets, dates and keys of int.
    try:
        payload = Payload.compact(encode_json(value))  # type: ignore[arg-type]  # found out here
        if payload.value == value and not _is_too_deep(payload):
            return payload
    except Exception:  # `value` may hold objects with an `==` of their own
        pass
    return Payload.parse(encode_json(_plain(value, 1)))


def _is_too_deep(payload: Payload) -> bool:
    text = payload.text
    if text.count(b"[") + text.count(b"{") <= RESPONSE_DEPTH_MAX:
        return False
    level: list[Any] = [payload.value]
    for _ in range(RESPONSE_DEPTH_MAX):
        # Large results pass through here, so nothing of ours is done for each value in them.
        inside = chain.from_iterable(
            parent.values() if parent.__class__ is dict else parent for parent in level
        )
        children = list(inside)
        if _CONTAINERS.isdisjoint(map(type, children)):
            return False
        level = [child for child in children if child.__class__ in _CONTAINERS]
    return True


def _plain(value: object, depth: int) -> Json:
    """Copy a value into plain JSON types.

    Raises:
        TypeError, ValueError: It is not JSON; the message says what is wrong with it.
    """
    if depth > RESPONSE_DEPTH_MAX:
        raise ValueError(f"nested more than {RESPONSE_DEPTH_MAX} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _scalar_text(str.__str__(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"Out of range float values are not JSON compliant: {value!r}")
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"keys must be str, not {type(key).__name__}")
    return _scalar_text(str.__str__(key))


def _scalar_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"lone surrogate at character {error.start} of a string") from None
    return text


def _exit_status(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def _exit_message(invocation: Invocation, status: int) -> str:
    if status == 0:
        reason = "Runtime exited without providing a reason"
    elif status > 0:
        reason = f"Runtime exited with error: exit status {status}"
    else:
        reason = f"Runtime exited with error: signal: {_SIGNAL_WORDS.get(-status, str(-status))}"
    return f"RequestId: {_request_id(invocation)} Error: {reason}"


def _user_frames(trace: TracebackType | None, own_module: str) -> traceback.StackSummary:
    while trace is not None and trace.tb_frame.f_globals.get("__name__") == own_module:
        trace = trace.tb_next
    return traceback.extract_tb(trace)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # `__str__` is the author's code
        return f"<{type(error).__name__}.__str__ raised {type(failure).__name__}>"


def _request_id(invocation: Invocation) -> str:
    return request_id(invocation.idempotency_key, invocation.attempt)


def _text(text: str) -> str:
    return text.encode(errors="replace").decode()


def _runtime_error(invocation: Invocation, error: str, message: str, trace: list[str]) -> Raised:
    # Key order and separators are those of Lambda's Python runtime, which uses `json.dumps`.
    cause = {
        "errorMessage": message,
        "errorType": error,
        "requestId": _request_id(invocation),
        "stackTrace": trace,
    }
    return Raised(error=_text(error), cause=_text(json.dumps(cause, ensure_ascii=False)))


def _sandbox_error(error: str, message: str) -> Raised:
    # Lambda's sandbox is written in Go: no spaces, and the type comes first.
    cause = {"errorType": error, "errorMessage": message}
    return Raised(error=error, cause=encode_json(dict(cause)).decode())
