"""Policies of triggers: one execution for many events."""

import json
from typing import Any

import pytest

from eventmill.model import Payload
from eventmill.runtime.replay import history
from eventmill.triggers.trigger import Trigger
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.waiting import (
    AN_HOUR,
    BY_ORDER,
    MINUTE,
    Log,
    decided,
    life,
    running,
    trigger,
)

BY_THREE = {"Size": 3, "WindowSeconds": 10}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def batches(log: Log) -> list[list[str]]:
    """The ids of the events of each batch, as the inputs of the executions have them."""
    found = []
    for row in reversed(await log.executions()):
        (begun, *_) = history(await log.read(row.id))
        assert begun.details is not None
        payload = begun.details["input"]
        assert isinstance(payload, Payload)
        inputs = payload.value
        assert isinstance(inputs, list)
        found.append([str(each) for each in inputs])
    return found


def gathering(**target: Any) -> Trigger:
    return trigger(**{"Batching": BY_THREE, "InputPath": "$.id", **target})


async def test_a_full_batch_starts_one_execution_with_all_inputs_in_order(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, gathering()) as server:
        await server.come("a", "b")
        assert await batches(log) == []
        await server.come("c", "d")
        assert await batches(log) == [["a", "b", "c"]]
        await server.come(*"efghij")

    assert await batches(log) == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]
    first = (await log.executions())[-1]
    assert (first.event, first.trigger) == (("test", "a"), "t")
    rows = {row.event[1]: row for row in await log.deliveries()}
    assert [rows[name].execution for name in "abc"] == [first.arn] * 3
    assert rows["b"].reason == "one of 3 in a batch"
    assert rows["j"].status == "WAITING"


async def test_a_batch_starts_when_its_first_event_has_waited_long_enough(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, gathering()) as server:
        await server.come("a")
        await server.pass_(6)
        await server.come("b")
        await server.pass_(3.999)
        assert await batches(log) == []
        await server.pass_(0.001)
        assert await batches(log) == [["a", "b"]]
        await server.come("c")
        await server.pass_(10)

    assert await batches(log) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("seconds", [0, 5, 100])
async def test_what_was_gathered_survives_a_crash(
    log: Log, clock: VirtualClock, seconds: int
) -> None:
    async with life(log, clock, gathering()) as server:
        await server.come("a", "b")
    clock.advance(seconds * 1000)
    async with life(log, clock, gathering()) as server:
        await server.come("c")
        await server.pass_(10)

    expected = [["a", "b"], ["c"]] if seconds == 100 else [["a", "b", "c"]]
    assert await batches(log) == expected


async def test_a_batch_counts_once_for_the_limits(log: Log, clock: VirtualClock) -> None:
    limits = {"Concurrency": 2, "RateLimit": {"Executions": 3, "PerSeconds": 90}}
    async with life(log, clock, gathering(**limits)) as server:
        await server.come(*"abcdefghijklmnopqr")
        assert len(await running(log)) == 2
        await server.pass_(60)
        assert len(await running(log)) == 1
    async with life(log, clock, gathering(**limits)) as server:
        assert len(await running(log)) == 1
        await server.pass_(30)
        assert len(await running(log)) == 2
        for _ in range(4):
            await server.pass_(60)

    assert ["".join(each) for each in await batches(log)] == [
        "abc",
        "def",
        "ghi",
        "jkl",
        "mno",
        "pqr",
    ]


async def test_duplicates_and_dead_letters_take_no_place_in_a_batch(
    log: Log, clock: VirtualClock
) -> None:
    picky = gathering(Deduplication=BY_ORDER, InputPath="$.detail.text")
    async with life(log, clock, picky) as server:
        await server.come("a", order="A", text="a")
        await server.come("a2", order="A", text="a2")
        await server.come("b", order="B")
        assert await batches(log) == []
        await server.come("c", order="C", text="c")
        await server.come("d", order="D", text="d")

    assert await batches(log) == [["a", "c", "d"]]
    assert (await decided(log))["a2"] == "SKIPPED"
    assert (await decided(log))["b"] == "DEAD"


async def test_a_batch_is_no_larger_than_an_input_may_be(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, gathering(InputPath="$.detail.text")) as server:
        for name in "abc":
            await server.come(name, text=name * 100_000)
        assert [len(each) for each in await batches(log)] == [2]
        await server.pass_(10)

    assert [len(each) for each in await batches(log)] == [2, 1]


async def test_a_batch_whose_state_machine_is_missing_is_tried_again(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, gathering(StateMachine="late", RetryPolicy=AN_HOUR)) as server:
        await server.come("a", "b", "c")
        assert [row.attempts for row in await log.deliveries()] == [1, 1, 1]
        server.world.catalog.add("late", json.dumps(MINUTE))
        await server.pass_(1)

    assert await batches(log) == [["a", "b", "c"]]
