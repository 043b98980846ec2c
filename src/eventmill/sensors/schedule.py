"""Turns scheduled times into trigger events.

How far it came is remembered in the same commit as each event, and the event's id follows from the
schedule and the scheduled time. So a time is told once, whatever was restarted or killed, and
wherever the clock is set: forward, and what lay between is late; back, and what was told is not
told again.

A time is missed when it could not be told within `LATE_MS`; then the catch-up policy decides.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.faults import point
from eventmill.instant import format_instant
from eventmill.ports import Clock, Delivery, Publish, Pulse, Remember
from eventmill.record import record
from eventmill.schedules.schedule import Schedule
from eventmill.schedules.zone import DAY_MS, zone
from eventmill.triggers.schedule import ALL, LAST, ScheduleSource

_log: Final = logging.getLogger(__name__)

SOURCE: Final = "aws.events"
SCHEDULED_EVENT: Final = "Scheduled Event"

LATE_MS: Final = 60_000  # EventBridge Scheduler's precision
CATCH_UP_MAX: Final = 1_000
DELIVERIES_MAX: Final = 64

# Remembered is the last time that was told or passed over. Further ahead than this it was the
# clock of the machine that was wrong.
_AHEAD_MS_MAX: Final = DAY_MS
_CURSOR: Final = "last"


@record
class _Turn:
    """What is to be told now, in order; `caught_up` is how many of these were missed."""

    times: Sequence[int]
    caught_up: int
    passed_over: int
    cursor_ms: int  # all up to here is told or passed over


class ScheduleSensor:
    """The `Sensor` of a schedule."""

    def __init__(
        self,
        source: ScheduleSource,
        *,
        home: Home,
        clock: Clock,
        remember: Remember,
        paused: bool = False,
    ) -> None:
        """Watch what `source` says; `paused` only keeps in mind since when."""
        self.source = source
        self.clock = clock
        self.pulse = Pulse()
        self._home = home
        self._remember = remember
        self._paused = paused

    @property
    def name(self) -> str:
        """Which schedule it is; two triggers with equal sources share it."""
        return self.source.name

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """Watch until cancelled; `state` has how far the runs before came.

        What `publish` raises ends the run; the next one goes on from what was durable.
        """
        cursor_ms = await self._begin(state)
        if not self._paused:
            schedule = self.source.schedule.anchored(cursor_ms)
            while (scheduled_ms := schedule.next_after(cursor_ms)) is not None:
                self.pulse.until(None)
                await self.clock.sleep_until(schedule.due_ms(scheduled_ms))
                self.pulse.until(self.clock.steady_ms())
                turn = self._turn(schedule, cursor_ms)
                await self._tell(turn, publish)
                cursor_ms = turn.cursor_ms
        self.pulse.until(None)
        # Nothing comes any more, or not before a restart.
        await asyncio.Event().wait()

    async def _begin(self, state: Mapping[str, bytes]) -> int:
        """The time up to which all is told; made durable when this is the first run."""
        now_ms = self.clock.now_ms()
        if _CURSOR in state:
            cursor_ms = int(state[_CURSOR])
            if cursor_ms <= now_ms + _AHEAD_MS_MAX:
                return cursor_ms
            _log.warning(
                "%s: the last event was due at %s, which is far ahead; going on from now",
                self.name,
                format_instant(cursor_ms),
            )
        cursor_ms = now_ms
        period_ms = self.source.schedule.period_ms
        if period_ms is not None:
            # A rate without a StartDate is due at once, and then at its pace: in whole seconds.
            cursor_ms = now_ms // 1000 * 1000 - period_ms
        elif self.source.schedule.next_after(now_ms) is None:
            _log.warning("%s: all its times have passed; nothing will come of it", self.name)
        await self._remember({_CURSOR: b"%d" % cursor_ms})
        return cursor_ms

    def _turn(self, schedule: Schedule, cursor_ms: int) -> _Turn:
        """What the time has come for after `cursor_ms`."""
        now_ms = self.clock.now_ms()
        late_ms = now_ms - LATE_MS - 1
        # Before the window all are due, however many they are; in it, each has a moment of its own.
        begin_ms = max(cursor_ms, late_ms - schedule.window_ms)
        long_ago = schedule.between(cursor_ms, begin_ms, CATCH_UP_MAX)
        missed = (*long_ago.newest, *_due(schedule, begin_ms, late_ms))
        begin_ms = missed[-1] if missed else cursor_ms
        current = tuple(_due(schedule, begin_ms, now_ms))
        kept_max = {ALL: CATCH_UP_MAX, LAST: 0 if current else 1}.get(self.source.catch_up, 0)
        kept = missed[max(0, len(missed) - kept_max) :]
        return _Turn(
            times=(*kept, *current),
            caught_up=len(kept),
            passed_over=long_ago.earlier + len(missed) - len(kept),
            cursor_ms=current[-1] if current else begin_ms,
        )

    async def _tell(self, turn: _Turn, publish: Publish) -> None:
        if turn.passed_over:
            _log.warning(
                "%s: at least %d times that were missed are passed over (CatchUp: %s)",
                self.name,
                turn.passed_over,
                self.source.catch_up,
            )
        events = [self._event_of(turn, number) for number in range(len(turn.times))]
        state = {_CURSOR: b"%d" % turn.cursor_ms}
        if not events:
            if turn.passed_over:
                await self._remember(state)
            return
        # Only the last one remembers. Until it is durable the others may come again, and the inbox
        # takes each of them once.
        deliveries = [Delivery(event=each, state={}) for each in events[:-1]]
        deliveries.append(Delivery(event=events[-1], state=state))
        for begin in range(0, len(deliveries), DELIVERIES_MAX):
            await publish(deliveries[begin : begin + DELIVERIES_MAX])
        point("after-acknowledge")

    def _event_of(self, turn: _Turn, number: int) -> TriggerEvent:
        return scheduled_event(
            self.source,
            turn.times[number],
            self._home,
            caught_up=number < turn.caught_up,
            passed_over=0 if number else turn.passed_over,
        )


def scheduled_event(
    source: ScheduleSource,
    scheduled_ms: int,
    home: Home,
    *,
    caught_up: bool = False,
    passed_over: int = 0,
) -> TriggerEvent:
    """The trigger event of a scheduled time; its id follows from the schedule and the time."""
    name = source.title_or_digest
    return TriggerEvent(
        id=str(uuid5(NAMESPACE_URL, f"{source.name}\n{scheduled_ms}")),
        source=SOURCE,
        detail_type=SCHEDULED_EVENT,
        at_ms=scheduled_ms,
        account=home.account,
        region=home.region,
        resources=(f"arn:aws:events:{home.region}:{home.account}:rule/{name}",),
        detail={
            "scheduled-time": format_instant(scheduled_ms),
            "local-time": zone(source.timezone).write(scheduled_ms),
            "schedule-expression": source.expression,
            "schedule-expression-timezone": source.timezone,
            "caught-up": caught_up,
            "passed-over": passed_over,
        },
    )


def anchor_of(state: Mapping[str, bytes]) -> int | None:
    """A time of the schedule that a sensor remembers: what a rate without a StartDate runs from."""
    return int(state[_CURSOR]) if _CURSOR in state else None


def _due(schedule: Schedule, after_ms: int, now_ms: int) -> Iterator[int]:
    """The times after one that are due, in order, up to the first that is not."""
    at_ms = schedule.next_after(after_ms)
    while at_ms is not None and schedule.due_ms(at_ms) <= now_ms:
        yield at_ms
        at_ms = schedule.next_after(at_ms)
