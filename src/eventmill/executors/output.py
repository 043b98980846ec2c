"""What handlers print and log in a worker goes to the server's log, under the handler's name."""

import io
import logging
import sys
from collections.abc import Callable
from typing import BinaryIO, Final, TextIO

from eventmill.executors.calls import current_call
from eventmill.executors.frames import Line

# A handler that prints without end must not fill the worker's memory with what the server has
# not read yet.
_UNSENT_FRAMES_MAX: Final = 4_096

_LINE_CHARACTERS_MAX: Final = 16_384


class Output:
    """Sends lines to the server, and counts those it had to drop."""

    def __init__(self, post: Callable[[Line], None], unsent_frames: Callable[[], int]) -> None:
        self._post, self._unsent_frames = post, unsent_frames
        self._dropped = 0
        self._streams = (
            _Stream(self, logging.INFO, sys.stdout),
            _Stream(self, logging.WARNING, sys.stderr),
        )

    def end_lines(self) -> None:
        """Send what the handler in whose call this is has printed without ending the line."""
        for stream in self._streams:
            stream.flush()

    def capture(self, log_level: int) -> None:
        """From here on `print`, `sys.stderr` and `logging` go to the server."""
        sys.stdout, sys.stderr = self._streams
        handlers = [_LogHandler(self)]
        logging.basicConfig(level=log_level, format="%(message)s", handlers=handlers, force=True)
        logging.captureWarnings(True)

    def send(self, level: int, text: str) -> None:
        """Send one line on behalf of the handler in whose call this is."""
        if self._unsent_frames() > _UNSENT_FRAMES_MAX:
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._post(_line(logging.WARNING, f"{dropped} lines were dropped: too many at once"))
        self._post(_line(level, text))


def _line(level: int, text: str) -> Line:
    call = current_call.get()
    function = "" if call is None else call.invocation.function
    text = text[:_LINE_CHARACTERS_MAX].encode(errors="backslashreplace").decode()
    return Line(function=function, level=level, text=text)


class _Stream(io.TextIOBase):
    """A text stream that sends each finished line."""

    def __init__(self, output: Output, level: int, original: TextIO) -> None:
        self._output, self._level, self._original = output, level, original
        self._unfinished: dict[int, str] = {}  # per call: their lines must not mix

    encoding = "utf-8"
    errors = "backslashreplace"

    @property
    def buffer(self) -> BinaryIO:
        return self._original.buffer

    def fileno(self) -> int:
        return self._original.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        call = current_call.get()
        id_ = 0 if call is None else call.invocation.id
        *lines, rest = (self._unfinished.pop(id_, "") + text).split("\n")
        for line in lines:
            self._output.send(self._level, line)
        if len(rest) > _LINE_CHARACTERS_MAX:
            self._output.send(self._level, rest)
        elif rest:
            self._unfinished[id_] = rest
        return len(text)

    def flush(self) -> None:
        if not self._unfinished:
            return
        call = current_call.get()
        rest = self._unfinished.pop(0 if call is None else call.invocation.id, "")
        if rest:
            self._output.send(self._level, rest)


class _LogHandler(logging.Handler):
    """Sends log records."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # the author's format string; a log line must not fail a handler
            text = f"{record.msg!r} % {record.args!r}"
        is_handlers = record.name.startswith("eventmill.handlers.")
        self._output.send(record.levelno, text if is_handlers else f"{record.name}: {text}")
