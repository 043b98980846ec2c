"""The time of a simulation, what goes wrong in it, and the record of what happened."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from eventmill.record import record
from eventmill.rehearsal.clock import VirtualClock

BEGIN_MS: Final = 1_800_000_000_000
# No workload takes so much, whatever befalls it: then something goes round in circles.
LINES_MAX: Final = 10_000
# As the machine's own clock does, a sleeper looks at the time again once a minute.
_LOOK_MS: Final = 60_000
_LOOKS_MAX: Final = 50_000  # at the clock in one instant


class SimulatedClock:
    """A `Clock` that can be set forward or back; `steady` is the time that really passes."""

    def __init__(self, stands: Callable[[], None]) -> None:
        """Begin; `stands` is called when everybody looks at the clock and no time passes."""
        self.steady = VirtualClock(BEGIN_MS)
        self._ahead_ms = 0
        self._stands = stands
        self._seen_ms, self._looks = BEGIN_MS, 0

    def now_ms(self) -> int:
        """See `Clock.now_ms`."""
        steady_ms = self.steady.now_ms()
        self._looks = self._looks + 1 if steady_ms == self._seen_ms else 0
        self._seen_ms = steady_ms
        if self._looks > _LOOKS_MAX:
            self._stands()
        return steady_ms + self._ahead_ms

    def steady_ms(self) -> int:
        """See `Clock.steady_ms`."""
        return self.steady.now_ms()

    async def pause(self, length_ms: int) -> None:
        """See `Clock.pause`."""
        await self.pass_ms(length_ms)

    async def sleep_until(self, at_ms: int) -> None:
        """See `Clock.sleep_until`."""
        while (left_ms := at_ms - self.now_ms()) > 0:
            await self.pass_ms(min(left_ms, _LOOK_MS))

    async def pass_ms(self, length_ms: int) -> None:
        """Return after so much time, wherever the clock is set; 0 is the next turn of the loop."""
        if length_ms:
            await self.steady.sleep_until(self.steady.now_ms() + length_ms)
        else:
            await asyncio.sleep(0)

    def call_later(self, after_ms: int, work: Callable[[], None]) -> None:
        """Have something done by the event loop after so much time."""
        loop = asyncio.get_running_loop()

        def soon() -> None:
            loop.call_soon(work)

        self.steady.call_at(self.steady.now_ms() + after_ms, soon)

    def leap(self, by_ms: int) -> None:
        """Set the clock forward, or back."""
        self._ahead_ms += by_ms


class Trace:
    """What happened, a line each; and a fuse that burns down with the lines."""

    def __init__(self, clock: SimulatedClock, full: Callable[[], None]) -> None:
        """Write by this clock; `full` is called at each line after more than there can be."""
        self.lines: list[str] = []
        self._full = full
        self._clock = clock
        self._left = 0
        self._burnt: Callable[[], None] = lambda: None

    def note(self, text: str) -> None:
        """Write a line. With the last one that a fuse allows, it burns."""
        self.lines.append(f"{self._clock.steady.now_ms() - BEGIN_MS:>9} ms  {text}")
        if len(self.lines) > LINES_MAX:
            self._full()
        if self._left:
            self._left -= 1
            if self._left == 0:
                self._burnt()

    def light(self, lines: int, burnt: Callable[[], None]) -> None:
        """Have `burnt` called in the middle of whatever writes the so-many-th line from here."""
        self._left, self._burnt = lines, burnt

    def tread_out(self) -> None:
        """Put the fuse out."""
        self._left = 0


@record
class Plan:
    """How much goes wrong: chances are per occasion, instants in ms from the beginning."""

    refusal: float = 0.0  # of a batch, by the log
    conflict: float = 0.0  # of a step, by the log
    unread: float = 0.0  # of a question to the log
    trouble: float = 0.0  # of a sensor
    again: float = 0.0  # of an answer, or of an event
    slow: float = 0.0  # of anything that takes time
    shock: float = 0.0  # that the clock is set back in the pause after a refusal
    weight_max: int = 1_000_000  # of executions in memory
    snapshots: tuple[float, float] | None = None  # what a tail must cost; None as always
    fuses: tuple[int, ...] = ()  # lines that each server lives to write
    crashes: tuple[int, ...] = ()
    leaps: tuple[tuple[int, int], ...] = ()  # (when, by how much)
    outages: tuple[tuple[int, int, bool], ...] = ()  # (when, how long, of reads too)

    @classmethod
    def drawn(cls, random: Random) -> "Plan":
        """Most plans have some kinds of trouble, few have all."""

        def chance(most: float) -> float:
            return random.choice((0.0, 0.0, most / 5, most))

        def instant() -> int:
            return int(10 ** random.uniform(0, 6.8))

        return cls(
            refusal=chance(0.15),
            conflict=chance(0.1),
            unread=chance(0.1),
            trouble=chance(0.3),
            again=chance(0.5),
            slow=chance(0.3),
            weight_max=random.choice((1_000_000, 1_000_000, 2, 1)),
            fuses=tuple(random.randint(1, 120) for _ in range(random.choice((0, 0, 1, 3)))),
            crashes=tuple(sorted(instant() for _ in range(random.choice((0, 0, 1, 3))))),
            leaps=tuple(
                (instant(), random.choice((-3_600_000, 3_600_000, -1_500, 30_000)))
                for _ in range(random.choice((0, 0, 0, 1, 2)))
            ),
            outages=tuple(
                (instant(), random.choice((1, 100, 3_000, 60_000)), random.random() < 0.5)
                for _ in range(random.choice((0, 0, 1, 2)))
            ),
            shock=random.choice((0.0, 0.0, 0.0, 0.2)),
            snapshots=(random.choice((0, 0, 40, 90)), random.choice((0, 30, 90, 200))),
        )


class Chaos:
    """Draws what goes wrong and how long things take, in the order in which it is asked."""

    def __init__(self, seed: str, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(seed)

    def strikes(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return chance > 0 and self.random.random() < chance

    def moment_ms(self) -> int:
        """How long the disk, or a way through the system, takes."""
        if not self.strikes(self.plan.slow):
            return 0
        return int(10 ** self.random.uniform(0, 3.5))

    def while_ms(self) -> int:
        """How long a handler, or somebody outside, takes."""
        if self.strikes(self.plan.slow / 6):
            return self.random.randint(10_000, 7_200_000)
        return int(10 ** self.random.uniform(0, 3.7))
