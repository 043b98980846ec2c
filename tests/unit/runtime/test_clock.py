"""The machine's clock when somebody sets it: points in time move, lengths of time do not."""

import asyncio
import time

import pytest

from eventmill.runtime.clock import SystemClock

HOUR_MS = 3_600_000


class Machine:
    """What the machine's clocks say, and how long it really takes to wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms, self.steady_ms = 1_800_000_000_000, 5_000
        self.leaps: dict[int, int] = {}  # after this sleep, by so much
        self.slept_ms: list[int] = []
        monkeypatch.setattr(time, "time_ns", lambda: self.wall_ms * 1_000_000)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.steady_ms * 1_000_000)
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        length_ms = round(seconds * 1_000)
        self.slept_ms.append(length_ms)
        self.steady_ms += length_ms
        self.wall_ms += length_ms + self.leaps.get(len(self.slept_ms), 0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


async def test_a_point_in_time_comes_when_the_wall_clock_shows_it(machine: Machine) -> None:
    clock = SystemClock()
    await clock.sleep_until(clock.now_ms() + 130_000)
    assert machine.slept_ms == [60_000, 60_000, 10_000]
    await clock.sleep_until(clock.now_ms() - 1)
    assert len(machine.slept_ms) == 3


@pytest.mark.parametrize(("leap_ms", "sleeps"), [(HOUR_MS, 1), (-HOUR_MS, 120)])
async def test_a_clock_that_is_set_is_noticed_within_a_minute(
    machine: Machine, leap_ms: int, sleeps: int
) -> None:
    clock = SystemClock()
    machine.leaps = {1: leap_ms}
    await clock.sleep_until(clock.now_ms() + HOUR_MS)
    assert len(machine.slept_ms) == sleeps
    assert max(machine.slept_ms) == 60_000


async def test_a_pause_takes_its_time_however_the_clock_is_set(machine: Machine) -> None:
    clock = SystemClock()
    before_ms = clock.steady_ms()
    machine.leaps = {1: -HOUR_MS}
    await clock.pause(250)
    assert machine.slept_ms == [250]
    assert clock.steady_ms() - before_ms == 250
