"""What each contestant is asked to do, and how it is asked.

A contestant is a module that runs in a process of its own, once for each measurement, and often in
an interpreter of its own: so this module needs nothing but the standard library. The request is one
argument, `python -m bench.peers.<module> <request as JSON>`; the answer is a line of JSON on
standard output.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench.rounds import Figures

CHAIN3: Final = "chain3"
"""Executions of three tasks in sequence that do nothing, many in flight: how many a second."""
ALONE: Final = "alone"
"""One such execution at a time, from the wish to start it to its known end."""
FAN_OUT: Final = "fan_out"
"""One execution that runs a task which does nothing for each of many items."""
RECOVER: Final = "recover"
"""Executions that wait, SIGKILL, and the next process once the time of all has come: how long from
the start of that process, or of that server's, until each has run the task after its wait."""
HOLD: Final = "hold"
"""The first half of `recover`: start what waits, say so, and wait to be killed."""

# What all tasks get and return.
EVENT: Final[dict[str, Any]] = {"key": "incoming/seattle-weather.csv", "size": 48_219}

_PATIENCE_SECONDS: Final = 120
_LOOK_SECONDS: Final = 0.005


@dataclass(frozen=True)
class Request:
    """One measurement that is asked for.

    `folder` is empty but for `recover`, which finds there what `hold` left. `home` is where the
    peer is installed. `began` is the time of the day at which this process was started.
    """

    work: str
    variant: str
    folder: str
    home: str
    count: int
    in_flight: int
    wait_seconds: int
    began: float = 0.0

    def as_argument(self) -> str:
        """The request as the one argument of a contestant's process."""
        return json.dumps(asdict(self))


Works: TypeAlias = Mapping[str, Callable[[Request], Figures]]


def answer(works: Works) -> None:
    """Do what this process is asked for, and print the figures."""
    request = Request(**json.loads(sys.argv[1]))
    tell(works[request.work](request))


def tell(figures: Mapping[str, Any]) -> None:
    """Say something to who asked."""
    print(json.dumps(figures), flush=True)


def wait_to_be_killed() -> Figures:
    """Say that all is held, and do nothing more."""
    tell({})
    time.sleep(_PATIENCE_SECONDS)
    raise TimeoutError("nobody has killed this process")


def until(is_so: Callable[[], bool], look_seconds: float = _LOOK_SECONDS) -> None:
    """Look from time to time until something is so, but not for ever."""
    for _ in _looks(look_seconds):
        if is_so():
            return
    raise TimeoutError("it did not come: nothing of this counts")


def _looks(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(seconds)


def items(count: int) -> list[dict[str, Any]]:
    """What a fan-out runs over."""
    return [{"key": EVENT["key"], "row": row} for row in range(count)]


def folder_of(request: Request, name: str) -> Path:
    """A folder inside that of the request, made if there is none."""
    folder = Path(request.folder) / name
    folder.mkdir(exist_ok=True)
    return folder
