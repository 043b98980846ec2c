"""Policies of triggers: repeated keys and unchanged contents start nothing."""

from dataclasses import replace

import pytest

from eventmill.triggers.listeners import Listeners
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.waiting import (
    BY_ORDER,
    Log,
    decided,
    delivery,
    life,
    reason,
    statuses,
    trigger,
)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def test_of_events_with_the_same_key_the_first_in_the_window_starts(
    log: Log, clock: VirtualClock
) -> None:
    unique = trigger(Deduplication=BY_ORDER, StateMachine="at-once")
    async with life(log, clock, unique) as server:
        await server.come("a1", "a2", order="A")
        await server.come("b1", order="B")
        await server.pass_(59.999)
        await server.come("a3", order="A")
        await server.pass_(0.001)
        await server.come("a4", order="A")
        await server.come("a5", order="A")

    assert list(await statuses(log)) == ["a1", "b1", "a4"]
    assert await decided(log) == {
        "a1": "STARTED", "a2": "SKIPPED", "b1": "STARTED", "a3": "SKIPPED", "a4": "STARTED",
        "a5": "SKIPPED",
    }  # fmt: skip
    assert await reason(log, "a3") == "the event a1 came first with the same key (Deduplication)"


async def test_what_was_skipped_begins_no_window(log: Log, clock: VirtualClock) -> None:
    """Also when all of them are decided together."""
    unique = trigger(Deduplication=BY_ORDER)
    async with life(log, clock, unique) as server:
        await server.come("x", order="X")
    switched_off = replace(unique, enabled=False)
    async with life(log, clock, switched_off) as server:
        for name in ("a", "b", "c"):
            # As if they had come while the trigger was on and the server about to die.
            await server.router.publish("sensor", Listeners([unique]), [delivery(name, order="A")])
            await server.pass_(40)
    async with life(log, clock, unique) as server:
        await server.pass_(0)

    assert await decided(log) == {
        "x": "STARTED", "a": "STARTED", "b": "SKIPPED", "c": "STARTED",
    }  # fmt: skip


async def test_keys_are_known_after_a_crash(log: Log, clock: VirtualClock) -> None:
    unique = trigger(Deduplication=BY_ORDER)
    async with life(log, clock, unique) as server:
        await server.come("a", order="A")
    async with life(log, clock, unique) as server:
        await server.come("b", order="A")

    assert await decided(log) == {"a": "STARTED", "b": "SKIPPED"}


async def test_one_that_could_not_start_is_no_duplicate_of_anything(
    log: Log, clock: VirtualClock
) -> None:
    unique = trigger(Deduplication=BY_ORDER, InputPath="$.detail.size")
    async with life(log, clock, unique) as server:
        await server.come("a", order="A")
        await server.come("b", order="A", size=1)

    assert await decided(log) == {"a": "DEAD", "b": "STARTED"}


async def test_an_event_without_the_key_is_a_dead_letter(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(Deduplication=BY_ORDER)) as server:
        await server.come("a")

    assert await decided(log) == {"a": "DEAD"}


async def test_duplicates_are_found_while_the_first_waits_for_a_place(
    log: Log, clock: VirtualClock
) -> None:
    unique = trigger(Concurrency=1, Deduplication=BY_ORDER)
    async with life(log, clock, unique) as server:
        await server.come("a", order="A")
        await server.come("b", order="B")
        await server.pass_(30)
        await server.come("b2", order="B")
        await server.pass_(30)
        await server.pass_(60)

    assert await decided(log) == {"a": "STARTED", "b": "STARTED", "b2": "SKIPPED"}


async def test_an_event_with_the_content_of_the_last_one_starts_nothing(
    log: Log, clock: VirtualClock
) -> None:
    watchful = trigger(SkipUnchanged="$.detail.content", StateMachine="at-once")
    async with life(log, clock, watchful) as server:
        await server.come("a", content={"x": 1, "y": [2]})
        await server.come("b", content={"y": [2], "x": 1})
        await server.come("c", content={"x": 1, "y": [3]})
    async with life(log, clock, watchful) as server:
        await server.come("d", content={"x": 1, "y": [3]})
        await server.come("e", content={"x": 1, "y": [2]})

    assert await decided(log) == {
        "a": "STARTED", "b": "SKIPPED", "c": "STARTED", "d": "SKIPPED", "e": "STARTED",
    }  # fmt: skip
    assert await reason(log, "d") == "nothing has changed since the event c (SkipUnchanged)"


async def test_contents_are_compared_under_the_same_key(log: Log, clock: VirtualClock) -> None:
    watchful = trigger(
        SkipUnchanged="$.detail.content",
        Deduplication={"Key": "$.detail.path", "WindowSeconds": 1},
        StateMachine="at-once",
    )
    async with life(log, clock, watchful) as server:
        for name, path, content in (
            ("a", "/1", "x"),
            ("b", "/2", "x"),
            ("c", "/1", "x"),
            ("d", "/2", "y"),
            ("e", "/1", "y"),
        ):
            await server.come(name, path=path, content=content)
            await server.pass_(2)

    assert await decided(log) == {
        "a": "STARTED", "b": "STARTED", "c": "SKIPPED", "d": "STARTED", "e": "STARTED",
    }  # fmt: skip


async def test_an_event_without_content_is_a_dead_letter(log: Log, clock: VirtualClock) -> None:
    async with life(log, clock, trigger(SkipUnchanged="$.detail.content")) as server:
        await server.come("a")

    assert await decided(log) == {"a": "DEAD"}


async def test_with_an_overlap_policy_those_that_are_no_duplicates_are_skipped_by_it(
    log: Log, clock: VirtualClock
) -> None:
    async with life(log, clock, trigger(Deduplication=BY_ORDER, Overlap="skip")) as server:
        await server.come("a", order="A")
        await server.come("b", order="B")
        await server.pass_(60)
        await server.come("b2", order="B")

    assert await decided(log) == {"a": "STARTED", "b": "SKIPPED", "b2": "STARTED"}
    assert await reason(log, "b") == "Overlap is skip"
