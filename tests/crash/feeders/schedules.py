"""Schedules that have a lot to catch up with."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventmill.events import TriggerEvent
from eventmill.instant import format_instant, parse_instant
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from eventmill.sensors.schedule import CATCH_UP_MAX
from eventmill.triggers.fields import Fields
from eventmill.triggers.schedule import ScheduleSource, parse_schedule
from tests.crash.workload import LOG

_START_MS = parse_instant("2026-01-01T00:00:00Z")
_MINUTE_MS = 60_000


class Schedules:
    """Each event is a minute of one of the schedules.

    A server ran when they began, and none has run since.
    """

    environment: Mapping[str, str] = {}

    def __init__(self, project: Path, events: int) -> None:
        firsts = range(0, events, CATCH_UP_MAX)
        self.sources: Sequence[Mapping[str, Any]] = [
            _source(number, min(CATCH_UP_MAX, events - first))
            for number, first in enumerate(firsts)
        ]
        asyncio.run(self._begin(project))

    async def _begin(self, project: Path) -> None:
        (project / LOG).parent.mkdir(parents=True)
        cursor = b"%d" % (_START_MS - 1)
        async with SqliteEventLog.open(project / LOG) as log:
            names = [_parsed(each).name for each in self.sources]
            await log.commit(Transaction(sensor_state={(name, "last"): cursor for name in names}))

    def feed(self, numbers: range) -> None:
        """Time passes by itself."""

    def number(self, event: TriggerEvent) -> int:
        schedule = int(event.resources[0].rpartition("-")[2])
        return schedule * CATCH_UP_MAX + (event.at_ms - _START_MS) // _MINUTE_MS


def _source(number: int, minutes: int) -> dict[str, Any]:
    return {
        "Type": "schedule",
        "Name": f"minutes-{number}",
        "ScheduleExpression": "cron(* * * * ? *)",
        "StartDate": format_instant(_START_MS),
        "EndDate": format_instant(_START_MS + (minutes - 1) * _MINUTE_MS),
        "CatchUp": "all",
    }


def _parsed(source: Mapping[str, Any]) -> ScheduleSource:
    def note(pointer: str, message: str) -> None:
        raise AssertionError(f"{pointer}: {message}")

    return parse_schedule(Fields(dict(source), "", note))


@contextmanager
def schedules(project: Path, events: int) -> Iterator[Schedules]:
    yield Schedules(project, events)
