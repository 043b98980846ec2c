"""Checkpoints and retention, beside everything else that a server does."""

import logging
from collections.abc import Callable, Collection
from typing import Final

from eventmill.errors import LogUnavailable
from eventmill.log.checkpoints import Sign
from eventmill.log.retention import Limits, Swept, sweep
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Clock

_log: Final = logging.getLogger(__name__)

_LOOK_MS: Final = 10_000
_SWEEP_MS: Final = 3_600_000


class Housekeeping:
    """Stores a checkpoint after every `rows` rows and at the end, and sweeps once an hour."""

    def __init__(
        self,
        log: SqliteEventLog,
        clock: Clock,
        limits: Limits,
        *,
        rows: int,
        definitions: Callable[[], Collection[str]],
        sensors: Collection[str],
        sign: Sign | None,
    ) -> None:
        self._events = log
        self._clock = clock
        self._limits = limits
        self._rows = rows
        self._definitions = definitions
        self._sensors = sensors
        self._sign = sign
        self.last: Swept | None = None  # what the last sweep did, for the metrics

    async def keep(self) -> None:
        """Go on until cancelled; a disk that refuses is tried again."""
        swept_ms = self._clock.steady_ms() - _SWEEP_MS + _LOOK_MS
        while True:
            await self._clock.pause(_LOOK_MS)
            now_ms, steady_ms = self._clock.now_ms(), self._clock.steady_ms()
            try:
                await self._events.checkpoint(now_ms, self._sign, rows_min=self._rows)
                if steady_ms - swept_ms >= _SWEEP_MS:
                    await self._sweep(now_ms)
                    swept_ms = steady_ms
            except LogUnavailable as error:
                _log.warning("checkpoints and retention wait: %s", error)

    async def end(self) -> None:
        """Store the last checkpoint; what it would say is in the chain, so it may fail."""
        try:
            await self._events.checkpoint(self._clock.now_ms(), self._sign)
        except LogUnavailable as error:
            _log.warning("there is no checkpoint of the end: %s", error)

    async def _sweep(self, now_ms: int) -> None:
        self.last = await sweep(
            self._events,
            self._limits,
            now_ms,
            definitions=self._definitions(),
            sensors=self._sensors,
            sign=self._sign,
        )
        if self.last.removed:
            _log.info("retention: %s", self.last)
