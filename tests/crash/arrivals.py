"""Events arrive while a server is killed again and again: each starts one execution, and only one.

`python -m tests.crash.sources` sends 10,000 events through each source. To add a source, write a
`Feeder` in `tests/crash/feeders` and name it in `FEEDERS` there.
"""

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, Protocol

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
_EVENTS_PER_PASSING: Final = 250  # so many kills come before the end, whatever the batches
_PAGE: Final = 1_000
_CHUNKS: Final = 25

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


class Proof(NamedTuple):
    """What was done to show it."""

    events: int
    kills: int
    servers: int
    seconds: float


def prove(open_feeder: OpenFeeder, folder: Path, *, events: int, kills: int, seed: int) -> Proof:
    """Kill servers up to `kills` times while events arrive; let the last one finish.

    Raises:
        AssertionError: An event was lost or came twice, or the log is not what it should be.
    """
    project = folder / "project"
    random, killed, started, began = Random(seed), 0, 0, time.monotonic()
    with open_feeder(project, events) as feeder:
        _write(project, feeder.sources)
        with _arriving(feeder, events):
            code: int | None = KILLED
            while code == KILLED and killed < kills:
                point = random.choice(POINTS)
                most = 1 if point in _ONCE else 2 + events // _EVENTS_PER_PASSING
                passings = random.randint(1, most)
                code = _run(project, feeder, events, point, passings)
                started, killed = started + 1, killed + (code == KILLED)
        if code == KILLED:
            started += 1
            assert _run(project, feeder, events, None, 0) == 0
        asyncio.run(_check(project, feeder, events))
    return Proof(events, killed, started, time.monotonic() - began)


def _write(project: Path, sources: Sequence[Mapping[str, Any]]) -> None:
    for name in ("workflows", "triggers"):
        (project / name).mkdir(parents=True, exist_ok=True)
    (project / "workflows" / "take.asl.json").write_text(json.dumps(WORKFLOW))
    for number, source in enumerate(sources):
        trigger = {"Source": dict(source), "Target": {"StateMachine": "take", "InputPath": "$.id"}}
        (project / "triggers" / f"arrivals-{number}.json").write_text(json.dumps(trigger))
    (project / "eventmill.toml").write_text('handlers.isolation = "inline"\n')


@contextmanager
def _arriving(feeder: Feeder, events: int) -> Iterator[None]:
    """Inside the block events arrive, a part at a time; after it all have."""
    failures: list[BaseException] = []
    size = -(-events // _CHUNKS)

    def feed() -> None:
        try:
            for first in range(0, events, size):
                feeder.feed(range(first, min(first + size, events)))
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not failures


def _run(project: Path, feeder: Feeder, events: int, point: str | None, passings: int) -> int:
    ended: Ended = servers().run(
        project, point, passings, environment=feeder.environment, executions=events
    )
    assert ended.code in (0, KILLED), ended.said
    assert "a mistake in Eventmill" not in ended.said, ended.said
    return ended.code


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
