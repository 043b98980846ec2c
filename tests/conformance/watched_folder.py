"""A filesystem sensor that runs in a test: a clock that the test moves, and a log in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from eventmill.arn import Home
from eventmill.errors import LogUnavailable
from eventmill.ports import Delivery
from eventmill.sensors.afterwards import Processed
from eventmill.sensors.filesystem import FilesystemSensor
from eventmill.triggers.filesystem import FilesystemSource

NOW_MS = 1_700_000_000_000
SCAN_MS = 3_600_000
FOREVER_MS = NOW_MS * 2


class MovableClock:
    """A `Clock` that stands still until it is moved, or passes over every wait up to a time."""

    def __init__(self) -> None:
        self._now_ms = self._hurries_until_ms = NOW_MS
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def now_ms(self) -> int:
        return self._now_ms

    def steady_ms(self) -> int:
        return self._now_ms

    async def pause(self, length_ms: int) -> None:
        await self.sleep_until(self._now_ms + length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        if self._now_ms < at_ms <= self._hurries_until_ms:
            self.move_to(at_ms)
        if at_ms <= self._now_ms:
            return
        sleeper = (at_ms, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        self._changed.set()
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def somebody_sleeps_until(self, at_ms: int) -> None:
        while all(at != at_ms for at, _ in self._sleepers):
            self._changed.clear()
            await self._changed.wait()

    async def passes(self, at_ms: int) -> None:
        while self._now_ms < at_ms:
            self._changed.clear()
            await self._changed.wait()

    def hurry_until(self, at_ms: int) -> None:
        """Pass over all waits that end by then, one after the other."""
        self._hurries_until_ms = at_ms
        for due_ms in sorted(due_ms for due_ms, _ in self._sleepers if due_ms <= at_ms):
            self.move_to(due_ms)

    def move_to(self, at_ms: int) -> None:
        self._now_ms = max(self._now_ms, at_ms)
        self._changed.set()
        for due_ms, sleeper in self._sleepers:
            if due_ms <= at_ms and not sleeper.done():
                sleeper.set_result(None)


class Log:
    """Takes deliveries as the event log does: an event and its state at once, or neither."""

    def __init__(self, state: dict[str, bytes] | None = None) -> None:
        self.state = dict(state or {})
        self.handed_over: list[Delivery] = []
        self.deliveries: list[Delivery] = []
        self.in_flight = 0
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False
        self._changed = asyncio.Event()

    async def publish(self, deliveries: Sequence[Delivery]) -> None:
        self.handed_over += deliveries
        self.in_flight += len(deliveries)
        self._changed.set()
        await self.open.wait()
        self.in_flight -= len(deliveries)
        if self.fails:
            raise LogUnavailable("the disk is full")
        self.deliveries += deliveries
        for each in deliveries:
            self._store(each.state)

    async def remember(self, state: Mapping[str, bytes | None]) -> None:
        if self.fails:
            raise LogUnavailable("the disk is full")
        self._store(state)

    def _store(self, state: Mapping[str, bytes | None]) -> None:
        for path, version in state.items():
            if version is None:
                del self.state[path]
            else:
                self.state[path] = version
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    async def told(self) -> set[tuple[str, str]]:
        """What was told, once that is something."""
        await self.until(lambda: bool(self.deliveries))
        return self.all_told()

    def all_told(self) -> set[tuple[str, str]]:
        return {
            (each.event.detail_type, str(each.event.detail["relative-path"]))
            for each in self.deliveries
        }


class Executions:
    """A `Processing` whose executions run until the test ends them."""

    def __init__(self) -> None:
        self._came_to: dict[str, Processed] = {}
        self._heard: list[Callable[[str], None]] = []
        self.otherwise = Processed.RUNNING

    async def of(self, source: str, event_id: str) -> Processed:
        assert source == "eventmill.filesystem"
        return self._came_to.get(event_id, self.otherwise)

    def hear(self, source: str, heard: Callable[[str], None]) -> None:
        self._heard.append(heard)

    def end(self, event_id: str, came_to: Processed = Processed.SUCCEEDED) -> None:
        self._came_to[event_id] = came_to
        for heard in self._heard:
            heard(event_id)


class Watch:
    """A running sensor with its clock and its log."""

    def __init__(self, folder: Path, log: Log, clock: MovableClock) -> None:
        self.folder, self.log, self.clock = folder, log, clock
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def note_failure(self, running: "asyncio.Task[None]") -> None:
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self.failure.set_result(error)

    def write(self, path: str, text: str = "x") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    async def scanned(self) -> None:
        """Let the next scan begin, and wait until it has ended."""
        now_ms = self.clock.now_ms() + SCAN_MS
        self.clock.move_to(now_ms)
        await self.clock.somebody_sleeps_until(now_ms + SCAN_MS)

    async def settled(self, ms: int) -> None:
        """Let the time of files pass that were first seen now."""
        due_ms = self.clock.now_ms() + ms
        await self.clock.somebody_sleeps_until(due_ms)
        self.clock.move_to(due_ms)

    async def nothing_is_new(self) -> None:
        """Write and wait for a last file, to see that nothing came before it."""
        before = len(self.log.deliveries)
        self.write("last")
        await self.log.until(lambda: len(self.log.deliveries) > before)
        told = self.log.deliveries[before:]
        assert [each.event.detail["relative-path"] for each in told] == ["last"]


@asynccontextmanager
async def watching(
    folder: Path,
    *,
    log: Log | None = None,
    executions: Executions | None = None,
    hints_max: int = 10_000,
    **source: Any,
) -> AsyncIterator[Watch]:
    """A sensor that has scanned its folder once and listens."""
    watch = Watch(folder, log or Log(), MovableClock())
    sensor = FilesystemSensor(
        FilesystemSource(
            path=folder.name, **{"stable_seconds": 0.0, "scan_seconds": SCAN_MS / 1000, **source}
        ),
        project=folder.parent,
        home=Home(),
        clock=watch.clock,
        remember=watch.log.remember,
        processing=executions or Executions(),
        hints_max=hints_max,
    )
    async with asyncio.timeout(20):
        running = asyncio.create_task(sensor.run(watch.log.publish, dict(watch.log.state)))
        running.add_done_callback(watch.note_failure)
        ready = asyncio.create_task(watch.clock.somebody_sleeps_until(NOW_MS + SCAN_MS))
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if running.done():
                raise await watch.failure
            yield watch
        finally:
            ready.cancel()
            running.cancel()
            await asyncio.wait({running})
