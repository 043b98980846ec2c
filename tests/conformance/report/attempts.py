"""Running cases in processes of their own, so that none of them can stop or stall the others."""

import json
import logging
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from tests.conformance.recorded import FOLDER, Case
from tests.conformance.report.kinds import run
from tests.conformance.report.verdict import Different, NotRun, Verdict

SECONDS_MAX: Final = 30.0
_START_SECONDS_MAX: Final = 60.0
_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Line:
    """One line of a file, which should be a case."""

    file: str
    number: int
    text: str

    def id(self) -> str:
        """The id of the case, or its place when it has none."""
        found = (self.case() or {}).get("id")
        return found if isinstance(found, str) else f"line {self.number}"

    def case(self) -> Case | None:
        """The case, or None when the line is no JSON object."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def lines() -> list[Line]:
    """Every line of every file of the folder, by the files' names; empty lines are left out."""
    return [
        Line(path.name, number, text)
        for path in sorted(FOLDER.glob("*.jsonl"))
        if path.is_file()
        for number, text in enumerate(
            path.read_text(encoding="utf-8", errors="replace").split("\n"), 1
        )
        if text.strip()
    ]


def attempt(text: str) -> Verdict:
    """Run the case that a line holds, whatever it holds."""
    try:
        case = json.loads(text)
    except (ValueError, RecursionError):
        return NotRun("the line is not JSON")
    if not isinstance(case, dict):
        return NotRun("the line is no object")
    try:
        return run(case)
    except Exception as error:
        # Whether the case is broken or we are: nobody may take that for a case that was not run.
        return Different((f"raised {type(error).__name__}: {error}"[:300],))


def verdicts(
    texts: Sequence[str], *, processes: int, seconds_max: float = SECONDS_MAX
) -> Iterator[tuple[int, Verdict]]:
    """What became of each text, by its position, as soon as it is known."""
    waiting = iter(enumerate(texts))
    workers = [Worker() for _ in range(max(1, min(processes, len(texts))))]
    try:
        for worker in workers:
            worker.give(next(waiting, None), seconds_max)
        while busy := [each for each in workers if each.position is not None]:
            wait([each.connection for each in busy], timeout=_left(busy))
            for worker in busy:
                verdict = worker.verdict()
                if verdict is not None:
                    assert worker.position is not None
                    yield worker.position, verdict
                    worker.give(next(waiting, None), seconds_max)
    finally:
        for worker in workers:
            worker.end()


def _left(busy: Sequence["Worker"]) -> float:
    return max(0.0, min(each.due for each in busy) - time.monotonic())


class Worker:
    """A process that runs one case after the other, and is replaced when one is too much for it."""

    def __init__(self) -> None:
        self.position: int | None = None
        self._start()

    def _start(self) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        self._is_ready = False
        theirs.close()

    def give(self, numbered: tuple[int, str] | None, seconds_max: float) -> None:
        """Hand over the next case, or none."""
        self.position = None
        if numbered is not None:
            self.position, text = numbered
            self._seconds_max = seconds_max
            self.due = time.monotonic() + (seconds_max if self._is_ready else _START_SECONDS_MAX)
            with suppress(OSError):  # a process that has ended is seen to have by `verdict`
                self.connection.send(text)

    def verdict(self) -> Verdict | None:
        """What became of the case, or None as long as it may run."""
        try:
            if self.connection.poll():
                told: Verdict | None = self.connection.recv()
                if told is not None:
                    return told
                self._is_ready = True  # only now the time of its first case begins
                self.due = time.monotonic() + self._seconds_max
                return None
        except (EOFError, OSError):
            return self._replaced("the process ended that ran the case")
        if time.monotonic() < self.due:
            return None
        return self._replaced(f"did not end within {self._seconds_max:g} seconds")

    def _replaced(self, reason: str) -> Verdict:
        self.end()
        self._start()
        return Different((reason,))

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(connection: "Connection[Any, Any]") -> None:
    # Ctrl+C is for the process that shows the progress, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    connection.send(None)  # the imports are done, which take longer than most cases
    while True:
        connection.send(attempt(connection.recv()))
