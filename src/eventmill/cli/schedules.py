"""The schedules of a project as commands see them: by trigger, and anchored as the log says."""

import asyncio

from eventmill.cli.failures import Refused
from eventmill.cli.recorded import reading
from eventmill.errors import LogError
from eventmill.record import record
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import Settings
from eventmill.schedules.schedule import Schedule
from eventmill.sensors.schedule import anchor_of
from eventmill.triggers.schedule import ScheduleSource
from eventmill.triggers.trigger import Trigger


@record
class Scheduled:
    """A trigger with a schedule; `schedule` has no times where a rate was never run."""

    trigger: Trigger
    source: ScheduleSource
    schedule: Schedule


def scheduled(settings: Settings, name: str | None = None) -> list[Scheduled]:
    """The triggers of a project that have schedules, or the one of this name.

    Raises:
        ProjectError: The project has mistakes.
        Refused: There is no such trigger, or it has no schedule.
    """
    triggers = load_project(settings).triggers
    if name is not None:
        triggers = tuple(each for each in triggers if each.name == name)
        if not triggers:
            raise Refused(f"the project has no trigger {name!r}")
        if not isinstance(triggers[0].source, ScheduleSource):
            raise Refused(f"the trigger {name!r} has no schedule")
    found = [
        Scheduled(trigger=each, source=each.source, schedule=each.source.schedule)
        for each in triggers
        if isinstance(each.source, ScheduleSource)
    ]
    return asyncio.run(_anchored(settings, found))


async def _anchored(settings: Settings, found: list[Scheduled]) -> list[Scheduled]:
    """The same, with rates anchored where the server began them."""
    if all(each.schedule.period_ms is None for each in found):
        return found
    anchored: list[Scheduled] = []
    try:
        async with reading(settings) as log:
            for each in found:
                schedule = each.schedule
                if schedule.period_ms is not None:
                    anchor_ms = anchor_of(await log.sensor_state(each.source.name))
                    schedule = schedule if anchor_ms is None else schedule.anchored(anchor_ms)
                anchored.append(
                    Scheduled(trigger=each.trigger, source=each.source, schedule=schedule)
                )
    except LogError:
        return found  # no server has ever run here
    return anchored
