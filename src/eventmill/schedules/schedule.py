"""A schedule: what comes again and again, between which ends, and by how much it may be late.

Nothing here knows the time. Who asks says after which instant, and gets the next one.
"""

import hashlib
from collections import deque
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from eventmill.record import record
from eventmill.schedules.zone import MINUTE_MS

EARLIER_COUNTED_MAX: Final = 1_000


class Times(Protocol):
    """Something that comes again and again, or once."""

    def next_after(self, at_ms: int) -> int | None:
        """The first time after an instant; None when there is none any more."""
        ...


@record
class Rate:
    """Every so often, whatever clocks are set to; the first time is `anchor_ms`.

    Without one it has no times yet: they follow from when it first ran.
    """

    period_ms: int
    anchor_ms: int | None = None

    def next_after(self, at_ms: int) -> int:
        """See `Times.next_after`."""
        assert self.anchor_ms is not None, "a rate without StartDate is anchored by who runs it"
        if at_ms < self.anchor_ms:
            return self.anchor_ms
        return at_ms + self.period_ms - (at_ms - self.anchor_ms) % self.period_ms


@record
class Once:
    """A single time."""

    once_ms: int

    def next_after(self, at_ms: int) -> int | None:
        """See `Times.next_after`."""
        return self.once_ms if self.once_ms > at_ms else None


class Missed(NamedTuple):
    """The newest of some times, in order, and how many came before them."""

    newest: tuple[int, ...]
    earlier: int  # counted to `EARLIER_COUNTED_MAX`, and no further


@record
class Schedule:
    """When something is due: at those `times` that lie between two ends, which count.

    `window_ms` is by how much it may be put off, and `name` is what tells the moments in it of one
    schedule apart from those of another.
    """

    name: str
    times: Times
    start_ms: int | None = None
    end_ms: int | None = None
    window_ms: int = 0

    @property
    def period_ms(self) -> int | None:
        """The period of a rate that is not anchored yet; None of everything else."""
        if isinstance(self.times, Rate) and self.times.anchor_ms is None:
            return self.times.period_ms
        return None

    def anchored(self, at_ms: int) -> "Schedule":
        """The same, where a rate that is not anchored yet has this as its first time."""
        if self.period_ms is None:
            return self
        return replace(self, times=Rate(period_ms=self.period_ms, anchor_ms=at_ms))

    def next_after(self, at_ms: int) -> int | None:
        """The first scheduled time after an instant; None when there is none any more."""
        if self.start_ms is not None:
            at_ms = max(at_ms, self.start_ms - 1)
        found = self.times.next_after(at_ms)
        if found is None or (self.end_ms is not None and found > self.end_ms):
            return None
        return found

    def due_ms(self, scheduled_ms: int) -> int:
        """When a scheduled time is acted upon: within the window, always at the same moment."""
        if not self.window_ms:
            return scheduled_ms
        drawn = hashlib.sha256(f"{self.name}\n{scheduled_ms}".encode()).digest()[:8]
        return scheduled_ms + int.from_bytes(drawn, "big") % self.window_ms

    def between(self, after_ms: int, until_ms: int, newest_max: int) -> Missed:
        """The scheduled times after an instant and not after another one: the newest of them."""
        newest: deque[int] = deque(maxlen=newest_max)
        seen, at_ms = 0, self.next_after(after_ms)
        while at_ms is not None and at_ms <= until_ms:
            newest.append(at_ms)
            seen += 1
            if seen == newest_max + EARLIER_COUNTED_MAX:
                return Missed(self._newest(at_ms, until_ms, newest_max), EARLIER_COUNTED_MAX)
            at_ms = self.next_after(at_ms)
        return Missed(tuple(newest), seen - len(newest))

    def _newest(self, after_ms: int, until_ms: int, newest_max: int) -> tuple[int, ...]:
        """The newest times up to an instant; that there are enough of them is known."""
        span_ms = newest_max * MINUTE_MS
        while True:
            newest: deque[int] = deque(maxlen=newest_max)
            begin_ms = until_ms - span_ms
            at_ms = self.next_after(begin_ms)
            while at_ms is not None and at_ms <= until_ms:
                newest.append(at_ms)
                at_ms = self.next_after(at_ms)
            if len(newest) == newest_max:
                return tuple(newest)
            span_ms *= 2
