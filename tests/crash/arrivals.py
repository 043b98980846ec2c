"""Events arrive while a server is killed again and again: each starts one execution, and only one.

A server is killed at a point that it passes, or at a moment: after a time, whatever its threads are
doing then, be it in the middle of a write. Points and times follow from the seed; what a time hits,
and whether it comes before its point, does not.

`python -m tests.crash.sources` sends 10,000 events through each source. To add a source, write a
`Feeder` in `tests/crash/feeders` and name it in `FEEDERS` there.
"""

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, Protocol, Self

from eventmill.events import TriggerEvent
from eventmill.log.audit import audit_database
from eventmill.log.sqlite import SqliteEventLog
from tests.crash.servers import KILLED, Ended, servers
from tests.crash.workload import LOG

# Where a server is killed: everywhere from an event's discovery to the end of what it started.
POINTS: Final = (
    "before-publish",
    "before-commit",
    "inside-commit",
    "after-commit",
    "before-acknowledge",
    "after-acknowledge",
    "before-dispatch",
    "before-recovery",
    "after-recovery",
)
_ONCE: Final = {"before-recovery", "after-recovery"}  # in each server
_EVENTS_PER_PASSING: Final = 500  # so many kills come before the end, whatever the batches
_PAGE: Final = 1_000
_CHUNKS: Final = 25
_MOMENTS_SHARE: Final = 0.5  # so many kills wait for no point
_MOMENT_SECONDS_MAX: Final = 0.5
_POINT_SECONDS_MAX: Final = 1.0  # for a point that is passed too seldom

WORKFLOW: Final = {"StartAt": "Take", "States": {"Take": {"Type": "Pass", "End": True}}}


class Feeder(Protocol):
    """A source of events, numbered from 0, as the world outside sees it."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the server finds in its environment."""
        ...

    @property
    def sources(self) -> Sequence[Mapping[str, Any]]:
        """The `Source` of each trigger."""
        ...

    def feed(self, numbers: range) -> None:
        """Let these events happen. It is called in a thread of its own, while servers die."""
        ...

    def number(self, event: TriggerEvent) -> int:
        """Which event this is."""
        ...


class OpenFeeder(Protocol):
    """Opens a feeder for a number of events, with a folder for the project; closed by its exit."""

    def __call__(self, project: Path, events: int) -> AbstractContextManager[Feeder]: ...


class Kill(NamedTuple):
    """How a server dies: at a passing of a point or after a time, whichever comes first."""

    point: str | None
    passings: int
    seconds: float | None


NEVER: Final = Kill(None, 0, None)


class Proof(NamedTuple):
    """What was done to show it; `moments` of the kills were at no point but after a time."""

    events: int
    kills: int
    moments: int
    seconds: float


def prove(open_feeder: OpenFeeder, folder: Path, *, events: int, kills: int, seed: int) -> Proof:
    """Kill servers up to `kills` times while events arrive; let the last one finish.

    Raises:
        AssertionError: An event was lost or came twice, or the log is not what it should be.
    """
    project = folder / "project"
    random, killed, moments, began = Random(seed), 0, 0, time.monotonic()
    with open_feeder(project, events) as feeder:
        _write(project, feeder.sources)
        with _Arrivals(feeder, events) as arrivals:
            code = KILLED
            while code == KILLED and killed < kills:
                arrivals.wait_for(killed / kills)  # else all kills come early where events are slow
                code, _, is_moment = _run(project, feeder, events, _draw(random, events))
                killed, moments = killed + (code == KILLED), moments + is_moment
        if code == KILLED:
            assert _run(project, feeder, events, NEVER).code == 0
        asyncio.run(_check(project, feeder, events))
    return Proof(events, killed, moments, time.monotonic() - began)


def _draw(random: Random, events: int) -> Kill:
    if random.random() < _MOMENTS_SHARE:
        return Kill(None, 0, random.uniform(0, _MOMENT_SECONDS_MAX))
    point = random.choice(POINTS)
    most = 1 if point in _ONCE else 2 + events // _EVENTS_PER_PASSING
    return Kill(point, random.randint(1, most), _POINT_SECONDS_MAX)


def _write(project: Path, sources: Sequence[Mapping[str, Any]]) -> None:
    for name in ("workflows", "triggers"):
        (project / name).mkdir(parents=True, exist_ok=True)
    (project / "workflows" / "take.asl.json").write_text(json.dumps(WORKFLOW))
    for number, source in enumerate(sources):
        trigger = {"Source": dict(source), "Target": {"StateMachine": "take", "InputPath": "$.id"}}
        (project / "triggers" / f"arrivals-{number}.json").write_text(json.dumps(trigger))
    (project / "eventmill.toml").write_text('handlers.isolation = "inline"\n')


class _Arrivals:
    """Inside the block events arrive, a part at a time; after it all have."""

    def __init__(self, feeder: Feeder, events: int) -> None:
        size = -(-events // _CHUNKS)
        self._feeder = feeder
        self._parts = [range(at, min(at + size, events)) for at in range(0, events, size)]
        self._arrived = 0
        self._failures: list[BaseException] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._feed)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        assert not self._failures

    def wait_for(self, share: float) -> None:
        """Wait until this share of the parts has arrived."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._failures or self._arrived >= int(share * len(self._parts))
            )

    def _feed(self) -> None:
        try:
            for part in self._parts:
                self._feeder.feed(part)
                with self._changed:
                    self._arrived += 1
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._failures.append(error)
                self._changed.notify_all()
            raise


def _run(project: Path, feeder: Feeder, events: int, kill: Kill) -> Ended:
    ended = servers().run(
        project,
        kill.point,
        kill.passings,
        environment=feeder.environment,
        executions=events,
        seconds=kill.seconds,
    )
    assert ended.code in (0, KILLED), ended.said
    assert "a mistake in Eventmill" not in ended.said, ended.said
    return ended


async def _check(project: Path, feeder: Feeder, events: int) -> None:
    started: Counter[int] = Counter()
    before: int | None = None
    async with SqliteEventLog.open(project / LOG, read_only=True) as log:
        while page := await log.inbox(before_position=before, limit=_PAGE):
            before = page[-1].position
            for each in page:
                started[feeder.number(each.event)] += len(each.executions)
    assert started == Counter(range(events)), _difference(started, events)
    connection = sqlite3.connect(project / LOG)
    try:
        statuses = connection.execute(
            "SELECT status, count(*), count(DISTINCT event_id) FROM executions GROUP BY status"
        ).fetchall()
    finally:
        connection.close()
    assert statuses == [("SUCCEEDED", events, events)]
    assert audit_database(project / LOG).problem is None


def _difference(started: Counter[int], events: int) -> str:
    missing = [number for number in range(events) if not started[number]]
    doubled = {number: times for number, times in started.items() if times > 1}
    strange = [number for number in started if not 0 <= number < events]
    return f"lost: {missing[:20]}, more than once: {doubled}, from nowhere: {strange[:20]}"
