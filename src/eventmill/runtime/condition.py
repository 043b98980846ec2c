"""How a sensor is doing: what the supervisor finds out, and what is told when that changes."""

from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID, uuid5

from eventmill.arn import Home
from eventmill.events import TriggerEvent
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.ports import Clock, Lagging, Pulse, Sensor

SOURCE: Final = "eventmill.sensors"
STUCK: Final = "Sensor Stuck"
FAILED: Final = "Sensor Failed"
RECOVERED: Final = "Sensor Recovered"

RUNNING: Final = "running"
BACKING_OFF: Final = "backing off"
SILENT: Final = "stuck"

_NAMESPACE: Final = UUID("b0c8d3a4-3f6e-5a0c-8d35-52b1a8b0f7e2")

Tell: TypeAlias = Callable[[TriggerEvent], None]
"""Puts an alarm on its way to the bus."""


class Condition:
    """One sensor as it stands, and what it has done since the server started.

    An episode of trouble begins with a failure or with silence, and ends when the sensor is well.
    Each kind of trouble is told once in an episode, and its end once.
    """

    def __init__(self, sensor: Sensor, clock: Clock, home: Home, tell: Tell) -> None:
        """All is well; `tell` is given an event for each alarm."""
        pulse = getattr(sensor, "pulse", None)
        self.sensor = sensor
        self.pulse = pulse if isinstance(pulse, Pulse) else Pulse()
        self.state = RUNNING
        self.since_ms = clock.now_ms()
        self.progress_ms: int | None = None  # when an event became durable
        self.problem: str | None = None
        self.events = 0  # published, those among them that were there already
        self.errors = 0
        self.restarts = 0
        self.publishing = 0  # events on their way into the log
        self._clock = clock
        self._home = home
        self._tell = tell
        self._told: set[str] = set()

    @property
    def lag(self) -> int | None:
        """How many events wait at the source, where the sensor tells."""
        lag = self.sensor.lag if isinstance(self.sensor, Lagging) else {}
        return sum(lag.values()) if lag else None

    def published(self, events: int) -> None:
        """Events have become durable: it is well."""
        self.events += events
        self.progress_ms = self._clock.now_ms()
        self.well()

    def failed(self, problem: str) -> None:
        """It has ended, and will be started again."""
        self.errors += 1
        self.problem = problem
        self.pulse.until(None)
        self._become(BACKING_OFF)
        self._alarm(FAILED)

    def restarted(self) -> None:
        """It runs again; whether it is well remains to be seen."""
        self.restarts += 1
        self._become(RUNNING)

    def watch(self, stuck_ms: int) -> None:
        """See whether it has been silent longer than it may: by `stuck_ms` over its own word.

        One that waits until an event is durable is not silent: the log is.
        """
        until_ms = self.pulse.until_ms
        late_ms = 0 if until_ms is None else self._clock.steady_ms() - until_ms
        if self.state == RUNNING and late_ms >= stuck_ms and not self.publishing:
            self.problem = f"no sign of life for {late_ms // 1000} seconds"
            self._become(SILENT)
            self._alarm(STUCK)
        elif self.state == SILENT and late_ms < stuck_ms:
            self.well()

    def well(self) -> None:
        """The trouble is over, if there was any."""
        self._become(RUNNING)
        problem, self.problem = self.problem, None
        if self._told:
            self._told.clear()
            self._put(RECOVERED, problem)

    def _become(self, state: str) -> None:
        if self.state != state:
            self.state = state
            self.since_ms = self._clock.now_ms()

    def _alarm(self, kind: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._put(kind, self.problem)

    def _put(self, kind: str, problem: str | None) -> None:
        at_ms, name = self._clock.now_ms(), self.sensor.name
        progress_ms = self.progress_ms
        detail: dict[str, Json] = {
            "sensor": name,
            "state": self.state,
            "problem": problem,
            "last-progress": None if progress_ms is None else format_instant(progress_ms),
            "events": self.events,
            "errors": self.errors,
            "restarts": self.restarts,
        }
        self._tell(
            TriggerEvent(
                id=str(uuid5(_NAMESPACE, f"{name}\n{kind}\n{at_ms}\n{self.errors}")),
                source=SOURCE,
                detail_type=kind,
                at_ms=at_ms,
                account=self._home.account,
                region=self._home.region,
                detail=detail,
            )
        )
