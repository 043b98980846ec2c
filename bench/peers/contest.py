"""Runs the contestants in turn, each measurement in a process of its own, between raw SQLite."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import bench
from bench import alone, chain3, map1000
from bench.peers import environments
from bench.peers.contestants import CONTESTANTS, SMALL, Size
from bench.peers.works import ALONE, CHAIN3, FAN_OUT, HOLD, RECOVER, Request
from bench.raw_sqlite import write_raw
from bench.rounds import Figures, alternate
from eventmill.executors.inline import InlineExecutor

Results: TypeAlias = dict[str, Figures]
"""The figures of one work by contestant."""

KEYS: Final = {CHAIN3: "per_s", ALONE: "p50_ms", FAN_OUT: "s", RECOVER: "s"}
"""The works, and the figure of each that counts."""

# A recovery takes a minute, most of which is waiting.
ROUNDS: Final = {CHAIN3: 3, ALONE: 3, FAN_OUT: 3, RECOVER: 2}

_ROOT: Final = Path(bench.__path__[0]).parent
_PATIENCE_SECONDS: Final = 180


class Failed(Exception):
    """A contestant did not do what it was asked for; says what it told."""


class Contest:
    """Measurements of some contestants in a folder, where nothing is left behind."""

    def __init__(self, folder: Path, names: Sequence[str], *, quick: bool) -> None:
        self._folder = folder
        self._names = names
        self._quick = quick
        self._wait_seconds = 5 if quick else 30

    async def measure(self, work: str) -> Results:
        """One work: the medians of all rounds, each in the opposite order of the one before.

        Added are what `bench.rounds.alternate` adds, and `spread`: the largest figure of all rounds
        by the smallest.
        """
        names = [name for name in self._names if work in CONTESTANTS[name].sizes]
        turn = self._recover if work == RECOVER else await self._beside_raw(work)
        rounds: list[Results] = []
        for number in range(1 if self._quick else ROUNDS[work]):
            rounds.append(await turn(names if number % 2 == 0 else names[::-1]))
        return {name: summary([each[name] for each in rounds], KEYS[work]) for name in names}

    async def _beside_raw(self, work: str) -> Callable[[Sequence[str]], Awaitable[Results]]:
        reference = await self._reference(work)

        async def turn(names: Sequence[str]) -> Results:
            results = {}
            for name in names:

                async def theirs(name: str = name) -> Figures:
                    with TemporaryDirectory(dir=self._folder) as folder:
                        return ask(name, self.request(name, work, Path(folder)))

                results[name] = await alternate(1, KEYS[work], theirs, reference)
            return results

        return turn

    async def _reference(self, work: str) -> Callable[[], float]:
        """Raw SQLite writing the rows of as much of our work, measured as the contestants are."""
        size = SMALL if self._quick else _REFERENCES[work]
        async with InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as executor:
            if work == FAN_OUT:
                batches = await map1000.recorded(self._folder, executor, size.count)
                return lambda: sum(write_raw(self._folder, batches))
            recorded = await chain3.recorded(self._folder, executor, size.count, size.in_flight)
            if work == ALONE:
                return lambda: alone.raw_p50_ms(self._folder, recorded)
            return lambda: size.count / sum(write_raw(self._folder, recorded))

    async def _recover(self, names: Sequence[str]) -> Results:
        """Let all of them hold what waits, kill them, and recover each once all it held is due."""
        with TemporaryDirectory(dir=self._folder) as own_folder:
            folders = {name: Path(own_folder) / str(place) for place, name in enumerate(names)}
            held = {}
            for name, folder in folders.items():
                folder.mkdir()
                began = time.monotonic()
                _hold_and_kill(name, self.request(name, HOLD, folder))
                held[name] = time.monotonic()
                if held[name] - began > self._wait_seconds:
                    raise Failed(f"{name} took so long that some had waited before all did")
            results = {}
            for name, folder in folders.items():
                await asyncio.sleep(held[name] + self._wait_seconds - time.monotonic())
                results[name] = ask(name, self.request(name, RECOVER, folder))
            return results

    def request(self, name: str, work: str, folder: Path) -> Request:
        """What a contestant is asked for, in the size that it is measured with."""
        contestant = CONTESTANTS[name]
        size = SMALL if self._quick else contestant.sizes[RECOVER if work == HOLD else work]
        return Request(
            work=work,
            variant=contestant.variant,
            folder=str(folder),
            home=str(environments.home(contestant.peer)),
            count=size.count,
            in_flight=1 if work == ALONE else size.in_flight,
            wait_seconds=self._wait_seconds,
            began=time.time(),
        )


_REFERENCES: Final[Mapping[str, Size]] = {
    CHAIN3: Size(count=2_500, in_flight=500),
    ALONE: Size(count=200),
    FAN_OUT: Size(count=1_000),
}


def summary(rounds: Sequence[Figures], key: str) -> Figures:
    """The medians, rounded to what they can mean, and the `spread` of the figure that counts."""
    figures = {name: median(each[name] for each in rounds) for name in rounds[0]}
    counted = [each[key] for each in rounds]
    figures["spread"] = max(counted) / min(counted)
    return {name: float(f"{figure:.4g}") for name, figure in figures.items()}


def _start(name: str, request: Request) -> "subprocess.Popen[str]":
    contestant = CONTESTANTS[name]
    module = f"bench.peers.{contestant.module}"
    return subprocess.Popen(
        [
            environments.python(None if contestant.is_server else contestant.peer),
            "-m",
            module,
            request.as_argument(),
        ],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ask(name: str, request: Request) -> Figures:
    """Let a contestant do one thing.

    Raises:
        Failed: it could not, or not in time.
    """
    process = _start(name, request)
    try:
        told, complaints = process.communicate(timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{name} took too long for {request.work}") from error
    finally:
        _kill(process)
    if process.returncode != 0:
        raise Failed(f"{name} could not do {request.work}:\n{complaints}")
    figures: Figures = json.loads(told.splitlines()[-1])
    return figures


def _hold_and_kill(name: str, request: Request) -> None:
    process = _start(name, request)
    assert process.stdout is not None
    try:
        holds = process.stdout.readline()
    finally:
        _kill(process)
    _, complaints = process.communicate()
    if not holds:
        raise Failed(f"{name} could not {request.work}:\n{complaints}")


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a contestant and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
