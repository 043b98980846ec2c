"""However events come and servers crash: limits hold, nothing is lost, nothing starts twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventmill.model import Payload
from eventmill.runtime.replay import history
from eventmill.triggers.trigger import Trigger
from tests.property.effort import examples, patience
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.waiting import Log, delivery, life, running, trigger
from tests.runtime.world import settled

pytestmark = patience


@dataclass(frozen=True)
class Come:
    """Events are published together, each told by its number; some have come before."""

    events: tuple[int, ...]


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: int


@dataclass(frozen=True)
class Crash:
    """The server dies after so many turns of its event loop, and another starts later."""

    turns: int
    seconds: int


Happening = Come | Pass | Crash

happenings = st.lists(
    st.one_of(
        st.lists(st.integers(0, 15), min_size=1, max_size=6).map(tuple).map(Come),
        st.integers(1, 90).map(Pass),
        st.builds(Crash, turns=st.integers(0, 40), seconds=st.sampled_from([0, 1, 61])),
    ),
    min_size=1,
    max_size=12,
)
rates = st.fixed_dictionaries({"Executions": st.integers(1, 3), "PerSeconds": st.integers(1, 90)})
batchings = st.fixed_dictionaries({"Size": st.integers(1, 4), "WindowSeconds": st.integers(1, 30)})
policies = st.fixed_dictionaries(
    {},
    optional={
        "Concurrency": st.integers(1, 3),
        "RateLimit": rates,
        "Batching": batchings,
        "RetryPolicy": st.just({}),
    },
)


class Trial:
    """A trigger with policies, and the log of all servers that have served it."""

    def __init__(self, target: dict[str, Any]) -> None:
        self.target = target
        self.trigger: Trigger = trigger(**{"InputPath": "$.id", **target})
        self.log, self.clock = Log(), VirtualClock()
        self.arrived: dict[str, None] = {}  # in order

    async def run(self, happens: Sequence[Happening]) -> None:
        left = list(happens)
        while left:
            left = await self._live(left)
        async with life(self.log, self.clock, self.trigger) as server:
            for _ in range(100):
                await server.pass_(90)
                await self.check_limits()
            await server.pass_(61)

    async def _live(self, left: list[Happening]) -> list[Happening]:
        """One life of a server; return what happens after its crash."""
        async with life(self.log, self.clock, self.trigger) as server:
            while left:
                happening = left.pop(0)
                if isinstance(happening, Crash):
                    for _ in range(happening.turns):
                        await asyncio.sleep(0)
                    break
                if isinstance(happening, Pass):
                    await server.pass_(happening.seconds)
                else:
                    names = [f"e{number}" for number in happening.events]
                    await server.publish(*map(delivery, names))
                    self.arrived |= dict.fromkeys(names)
                    if not left or not isinstance(left[0], Crash):
                        await settled()
                await self.check_limits()
        if isinstance(happening, Crash):
            self.clock.advance(happening.seconds * 1000)
        return left

    async def check_limits(self) -> None:
        limit = self.target.get("Concurrency")
        if limit is not None:
            assert len(await running(self.log)) <= limit
        rate = self.target.get("RateLimit")
        if rate is not None:
            starts = sorted(row.start_ms for row in await self.log.executions(limit=100))
            for first, next_ in zip(starts, starts[rate["Executions"] :], strict=False):
                assert next_ - first >= rate["PerSeconds"] * 1000

    async def started(self) -> list[str]:
        """The events that have started executions, in order, alone or in batches."""
        found: list[str] = []
        for row in reversed(await self.log.executions(limit=100)):
            assert row.status == "SUCCEEDED"
            (begun, *_) = history(await self.log.read(row.id))
            assert begun.details is not None
            payload = begun.details["input"]
            assert isinstance(payload, Payload)
            value = payload.value
            inputs = value if isinstance(value, list) else [value]
            assert len(inputs) <= self.target.get("Batching", {"Size": 1})["Size"]
            found += map(str, inputs)
        return found


@examples(150)
@given(policies, happenings)
def test_limits_hold_and_every_event_starts_once_in_order(
    target: dict[str, Any], happens: list[Happening]
) -> None:
    async def attempt() -> None:
        trial = Trial(target)
        await trial.run(happens)
        assert await trial.started() == list(trial.arrived)
        rows = await trial.log.deliveries(limit=100)
        assert {row.status for row in rows} <= {"STARTED"}
        assert len(rows) == (len(trial.arrived) if trial.trigger.policies.holds else 0)

    asyncio.run(attempt())
