"""Due times of executions in memory: they are kept once, and those outdated are swept out."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from eventmill.log.memory import MemoryEventLog
from eventmill.runtime.admission import Admission
from eventmill.runtime.timekeeper import Timekeeper
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import settled


class Trial:
    """A timekeeper at work; `woken` are those that it woke, in order."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.woken: list[int] = []
        self.timekeeper = Timekeeper(MemoryEventLog(), self.clock, self._wake, Admission(1))
        self._run = asyncio.ensure_future(self.timekeeper.run())

    async def _wake(self, executions: Iterable[int]) -> None:
        self.woken += executions

    def remember(self, execution: int, in_ms: int) -> None:
        self.timekeeper.remember(execution, self.clock.now_ms() + in_ms)

    async def pass_ms(self, by_ms: int) -> None:
        await settled()
        self.clock.advance(by_ms)
        await settled()

    async def stop(self) -> None:
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    trial = Trial()
    yield trial
    await trial.stop()


async def test_the_last_word_counts(trial: Trial) -> None:
    trial.remember(1, 100)
    trial.remember(1, 300)  # a heartbeat, perhaps
    trial.remember(2, 200)
    trial.remember(3, 100)
    trial.timekeeper.forget(3)
    await trial.pass_ms(250)
    assert trial.woken == [2]
    await trial.pass_ms(50)
    assert trial.woken == [2, 1]
    trial.remember(1, 0)
    trial.remember(1, 0)
    await settled()
    assert trial.woken == [2, 1, 1]


async def test_outdated_times_do_not_pile_up(trial: Trial) -> None:
    for number in range(100_000):
        trial.remember(number % 10, 1_000 + number)
    for number in range(100_000):
        trial.remember(100 + number, 3_600_000)
        trial.timekeeper.forget(100 + number)
    assert len(trial.timekeeper._in_memory) < 3_000
    await trial.pass_ms(101_000)
    assert sorted(trial.woken) == list(range(10))
