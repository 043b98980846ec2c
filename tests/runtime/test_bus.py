"""Events without a sensor: triggers on the bus, and machines that start each other by it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from eventmill.arn import Home
from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.model import Json
from eventmill.ports import Delivery, Outcome, Transaction
from eventmill.rows import ExecutionRow
from eventmill.runtime.bus import Bus
from eventmill.runtime.outbox import BUS, Outbox
from eventmill.runtime.router import Router
from eventmill.runtime.status_changes import (
    DETAIL_TYPE,
    INCLUDED_BYTES_MAX,
    SOURCE,
    StatusChanges,
)
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.runtime.virtual_clock import VirtualClock
from tests.runtime.world import World, settled

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
CAUSE = {"Type": "Fail", "Error": "Broken", "Cause": "because"}
SLEEP = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
SPREAD = {
    "StartAt": "M",
    "States": {
        "M": {
            "Type": "Map",
            "Label": "Each",
            "ItemsPath": "$.items",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                **PASS,
            },
            "End": True,
        }
    },
}
MACHINES = {
    **dict.fromkeys(("one", "two", "three"), PASS),
    "sleep": SLEEP,
    "fail": {"StartAt": "F", "States": {"F": CAUSE}},
    "spread": SPREAD,
}
ARN = "arn:aws:states:local:000000000000:"


def on_status(name: str, starts: str, of: str, *statuses: str) -> Trigger:
    """A trigger that listens to what becomes of a state machine."""
    detail: dict[str, Json] = {"stateMachineArn": [f"{ARN}stateMachine:{of}"]}
    detail |= {"status": [*statuses]} if statuses else {}
    pattern: Json = {"source": [SOURCE], "detail-type": [DETAIL_TYPE], "detail": detail}
    return parse_trigger(name, {"EventPattern": pattern, "Target": {"StateMachine": starts}})


def order(id_: str) -> TriggerEvent:
    return TriggerEvent(
        id=id_,
        source="my.shop",
        detail_type="Order Placed",
        at_ms=0,
        account="000000000000",
        region="local",
        detail={"total": 12},
    )


ON_ORDERS = parse_trigger(
    "orders",
    {
        "EventPattern": {"source": ["my.shop"], "detail": {"total": [{"numeric": [">", 10]}]}},
        "Target": {"StateMachine": "one", "InputPath": "$.detail"},
    },
)


class Disk(MemoryEventLog):
    """A log in memory that can refuse what the bus does, and counts the events handed over."""

    fails = False

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        self.groups.append(len(transaction.events))
        if self.fails and transaction.events:
            full = LogUnavailable("the disk is full")
            asyncio.get_running_loop().call_soon(outcome, full)
        else:
            super().submit(transaction, outcome)


class Life:
    """One life of a server with triggers on the bus."""

    def __init__(self, world: World, router: Router, bus: Bus) -> None:
        self.world, self.router, self.bus = world, router, bus

    async def executions(self, machine: str) -> Sequence[ExecutionRow]:
        return await self.world.log.executions(state_machine_arn=f"{ARN}stateMachine:{machine}")

    async def told(self) -> list[dict[str, Json]]:
        """What executions have put on the bus, the oldest first."""
        inbox = await self.world.log.inbox()
        return [each.event.envelope() for each in reversed(inbox) if each.event.source == SOURCE]


@asynccontextmanager
async def living(
    log: MemoryEventLog,
    *triggers: Trigger,
    hops_max: int = 16,
    in_memory_max: int = 1_000,
    publishes: bool = True,
) -> AsyncIterator[Life]:
    clock = VirtualClock(1_000_000)
    listeners = Listeners(triggers)
    changes = StatusChanges(listeners, Home())
    outbox = Outbox(log, clock, changes, hops_max=hops_max, in_memory_max=in_memory_max)
    world = World(log, clock, {}, MACHINES, outbox=outbox if changes else None)
    async with world:
        router = Router(log, world.engine, world.catalog, listeners)
        bus = Bus(router, listeners, clock)
        running = asyncio.ensure_future(outbox.run(bus.deliver) if publishes else asyncio.sleep(0))
        yield Life(world, router, bus)
        running.cancel()
        await router.overlaps.close()


async def test_an_event_on_the_bus_starts_what_listens_and_the_same_again_nothing() -> None:
    async with living(MemoryEventLog(), ON_ORDERS) as life:
        assert await life.bus.put([order("1"), order("2"), order("1")]) == [None, None, None]
        assert await life.bus.put([order("2")]) == [None]
        rows = await life.executions("one")
        assert sorted(row.event or () for row in rows) == [("my.shop", "1"), ("my.shop", "2")]
        assert {row.trigger for row in rows} == {"orders"}


async def test_events_of_a_sensor_go_to_its_triggers_and_to_those_on_the_bus() -> None:
    form: dict[str, Json] = {"Source": {"Type": "schedule", "ScheduleExpression": "@hourly"}}
    own = parse_trigger("own", {**form, "Target": {"StateMachine": "two"}})
    async with living(MemoryEventLog(), ON_ORDERS) as life:
        router = Router(
            life.world.log, life.world.engine, life.world.catalog, Listeners([ON_ORDERS])
        )
        await router.publish("s", Listeners([own]), [Delivery(event=order("1"), state={"k": b"v"})])
        assert len(await life.executions("one")) == len(await life.executions("two")) == 1
        assert await life.world.log.sensor_state("s") == {"k": b"v"}


async def test_many_events_become_durable_in_order_a_group_at_a_time() -> None:
    log = Disk()
    async with living(log) as life:
        events = [order(str(number)) for number in range(1_201)]
        assert await life.bus.put(events) == [None] * 1_201
        inbox = await log.inbox(limit=2_000)
        assert [each.event.id for each in reversed(inbox)] == [each.id for each in events]
        assert [count for count in log.groups if count] == [500, 500, 201]
        assert await life.bus.put([]) == []


async def test_what_cannot_be_stored_is_told_for_each_event() -> None:
    log = Disk()
    async with living(log, ON_ORDERS) as life:
        log.fails = True
        errors = await life.bus.put([order("1"), order("2")])
        assert list(map(str, errors)) == ["the disk is full"] * 2
        log.fails = False
        assert await life.bus.put([order("1")]) == [None]
        assert len(await life.executions("one")) == 1


async def test_machines_chain_by_what_becomes_of_executions() -> None:
    log = MemoryEventLog()
    chain = (on_status("a", "two", "one", "SUCCEEDED"), on_status("b", "three", "two", "SUCCEEDED"))
    async with living(log, *chain) as life:
        first = await life.world.start("one", "by-hand", {"n": 1})
        await settled()
        (second,), (third,) = await life.executions("two"), await life.executions("three")
        one, two = await life.told()
        assert (second.trigger, third.trigger) == ("a", "b")
        assert second.event == (SOURCE, one["id"])
        assert third.event == (SOURCE, two["id"])
        assert one["resources"] == [first.arn]
        assert await log.sensor_state(BUS) == {}


async def test_the_event_has_the_shape_of_step_functions() -> None:
    async with living(MemoryEventLog(), on_status("a", "two", "one")) as life:
        row = await life.world.start("one", "by-hand", {"n": 1})
        await settled()
        began, ended = await life.told()
        always = {
            "executionArn": row.arn,
            "stateMachineArn": row.state_machine_arn,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "name": "by-hand",
            "startDate": 1_000_000,
            "input": '{"n":1}',
            "inputDetails": {"included": True},
            "error": None,
            "cause": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "NOT_REDRIVABLE",
        }
        assert began == {
            "version": "0",
            "id": began["id"],
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": "000000000000",
            "time": "1970-01-01T00:16:40Z",
            "region": "local",
            "resources": [row.arn],
            "detail": always
            | {"status": "RUNNING", "stopDate": None, "output": None, "outputDetails": None}
            | {"redriveStatusReason": "Execution is RUNNING and cannot be redriven"},
        }
        assert ended["detail"] == always | {
            "status": "SUCCEEDED",
            "stopDate": 1_000_000,
            "output": '{"n":1}',
            "outputDetails": {"included": True},
            "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        }
        assert began["id"] != ended["id"]


async def test_an_end_that_is_no_success_has_error_and_cause() -> None:
    triggers = (on_status("a", "two", "fail", "FAILED"), on_status("b", "two", "sleep", "ABORTED"))
    async with living(MemoryEventLog(), *triggers) as life:
        await life.world.start("fail", "f")
        asleep = await life.world.start("sleep", "s")
        await life.world.engine.stop(asleep.arn, "Enough", None)
        await settled()
        details = [each["detail"] for each in await life.told()]
        shown = [
            (d["status"], d["error"], d["cause"], d["output"], d["outputDetails"])
            for d in details
            if isinstance(d, dict)
        ]
        assert shown == [
            ("FAILED", "Broken", "because", None, None),
            ("ABORTED", "Enough", None, None, None),
        ]
        assert {d["redriveStatus"] for d in details if isinstance(d, dict)} == {"REDRIVABLE"}


@pytest.mark.parametrize("beyond", [0, 1])
async def test_a_long_input_is_left_out(beyond: int) -> None:
    async with living(MemoryEventLog(), on_status("a", "two", "one", "RUNNING")) as life:
        await life.world.start("one", "long", "x" * (INCLUDED_BYTES_MAX - 2 + beyond))
        await settled()
        (event,) = await life.told()
        detail = event["detail"]
        assert isinstance(detail, dict)
        assert detail["inputDetails"] == {"included": not beyond}
        assert (detail["input"] is None) == bool(beyond)


async def test_children_of_map_runs_tell_of_themselves() -> None:
    async with living(MemoryEventLog(), on_status("a", "two", "spread/Each", "SUCCEEDED")) as life:
        row = await life.world.start("spread", "s", {"items": [1, 2]})
        await life.world.engine.ended(row.id)
        await settled()
        assert [each["detail-type"] for each in await life.told()] == [DETAIL_TYPE] * 2
        assert len(await life.executions("two")) == 2


async def test_what_no_trigger_listens_to_leaves_no_trace() -> None:
    log = MemoryEventLog()
    silent = Listeners([ON_ORDERS])
    assert not StatusChanges(silent, Home())
    assert not StatusChanges(Listeners([]), Home())
    async with living(log, ON_ORDERS, on_status("a", "two", "one", "FAILED")) as life:
        await life.world.start("one", "fine")
        await life.world.start("three", "another")
        await settled()
        assert await life.told() == []
        assert await log.sensor_state(BUS) == {}


async def test_what_only_the_whole_event_tells_decides_too() -> None:
    form: dict[str, Json] = {
        "EventPattern": {"source": [SOURCE], "detail": {"name": ["wanted"]}},
        "Target": {"StateMachine": "two"},
    }
    async with living(MemoryEventLog(), parse_trigger("t", form)) as life:
        await life.world.start("one", "wanted")
        await life.world.start("one", "other")
        await settled()
        assert [each["resources"] for each in await life.told()] == [
            [f"{ARN}execution:one:wanted"]
        ] * 2


async def test_of_state_machines_that_nobody_listens_to_nothing_is_looked_at() -> None:
    changes = StatusChanges(Listeners([on_status("a", "two", "one", "FAILED")]), Home())
    row = ExecutionRow(
        id=1,
        arn=f"{ARN}execution:three:n",
        state_machine_arn=f"{ARN}stateMachine:three",
        name="n",
        definition="",
        status="RUNNING",
        start_ms=0,
    )
    untouched: Any = None
    assert changes.of(row, untouched, "FAILED") is None
    one = replace(row, state_machine_arn=f"{ARN}stateMachine:one")
    assert changes.of(one, untouched, "SUCCEEDED") is None


@pytest.mark.parametrize(
    "pattern", [{"source": [{"anything-but": "x"}]}, {"detail": {"name": [{"exists": True}]}}]
)
async def test_any_pattern_that_may_match_listens(pattern: Any) -> None:
    form = {"EventPattern": pattern, "Target": {"StateMachine": "two"}}
    assert StatusChanges(Listeners([parse_trigger("t", form)]), Home())
    assert not StatusChanges(Listeners([parse_trigger("t", {**form, "Enabled": False})]), Home())


async def test_a_crash_between_the_end_and_the_bus_loses_and_doubles_nothing() -> None:
    log = MemoryEventLog()
    trigger = on_status("a", "two", "one", "RUNNING", "SUCCEEDED")
    async with living(log, trigger, publishes=False) as life:
        await life.world.start("one", "by-hand")
        await settled()
        assert await life.told() == []
        assert len(await log.sensor_state(BUS)) == 2
    for _ in range(2):
        async with living(log, trigger) as life:
            await settled()
            assert len(await life.executions("two")) == 2
            assert await log.sensor_state(BUS) == {}


async def test_a_crash_between_the_bus_and_its_mark_starts_nothing_again() -> None:
    log = MemoryEventLog()
    trigger = on_status("a", "two", "one", "SUCCEEDED")
    async with living(log, trigger, publishes=False) as life:
        await life.world.start("one", "by-hand")
        await settled()
        marks = dict(await log.sensor_state(BUS))
    async with living(log, trigger) as life:
        await settled()
        again = {(BUS, key): value for key, value in marks.items()}
        await log.commit(Transaction(sensor_state=again))
    async with living(log, trigger) as life:
        await settled()
        assert len(await life.executions("two")) == 1
        assert await log.sensor_state(BUS) == {}


async def test_a_disk_that_refuses_makes_the_bus_wait() -> None:
    log = Disk()
    async with living(log, on_status("a", "two", "one", "SUCCEEDED")) as life:
        log.fails = True
        await life.world.start("one", "by-hand")
        await settled()
        assert len(await life.executions("two")) == 0
        log.fails = False
        life.world.clock.advance(1_000)
        await settled()
        assert len(await life.executions("two")) == 1


@pytest.mark.parametrize(("in_memory_max", "executions"), [(3, 20), (80, 95)])
async def test_more_than_memory_holds_is_read_from_the_log(
    in_memory_max: int, executions: int
) -> None:
    log = MemoryEventLog()
    trigger = on_status("a", "two", "one", "SUCCEEDED")
    async with living(log, trigger, in_memory_max=in_memory_max) as life:
        starts = (life.world.start("one", f"n{number}") for number in range(executions))
        await asyncio.gather(*starts)
        for _ in range(10):
            await settled()
        assert len(await life.executions("two")) == executions
        assert await log.sensor_state(BUS) == {}


async def test_marks_of_the_last_server_are_read_as_there_is_room() -> None:
    log, trigger = MemoryEventLog(), on_status("a", "two", "one", "SUCCEEDED")
    async with living(log, trigger, publishes=False) as life:
        await asyncio.gather(*(life.world.start("one", f"n{number}") for number in range(20)))
    seen: list[tuple[str, int]] = []

    async def put(delivery: Delivery, reason: str | None) -> None:
        seen.append((delivery.event.id, outbox.in_memory))
        await log.commit(Transaction(sensor_state={(BUS, delivery.event.id): None}))

    clock = VirtualClock(0)
    changes = StatusChanges(Listeners([trigger]), Home())
    outbox = Outbox(log, clock, changes, hops_max=16, in_memory_max=3)
    running = asyncio.ensure_future(outbox.run(put))
    for _ in range(5):
        await settled()
    running.cancel()
    assert len({id for id, _ in seen}) == 20
    assert max(waiting for _, waiting in seen) == 3


async def test_a_loop_ends_after_so_many_hops(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryEventLog()
    loop = (on_status("a", "two", "one", "SUCCEEDED"), on_status("b", "one", "two", "SUCCEEDED"))
    async with living(log, *loop, hops_max=5) as life:
        await life.world.start("one", "by-hand")
        for _ in range(20):
            await settled()
        assert len(await life.executions("one")) + len(await life.executions("two")) == 6
        assert len(await life.told()) == 6  # the last one started nothing, and is kept
        assert await log.sensor_state(BUS) == {}
        # It is a dead letter, which can be sent again by hand, and the loop ends again.
        (dead,) = await log.deliveries()
        told = (await life.told())[-1]
        assert (dead.event, dead.trigger, dead.status) == ((SOURCE, told["id"]), "b", "DEAD")
        assert dead.reason.startswith("6 executions led to it")
        await life.router.redrive(loop[1], dead)
        for _ in range(5):
            await settled()
        assert [row.status for row in await log.deliveries()] == ["DEAD", "STARTED"]
        assert len(await life.executions("one")) + len(await life.executions("two")) == 7
    assert "6 executions led to it" in caplog.text
    assert "events.hops_max allows 5" in caplog.text


async def test_hops_are_counted_over_restarts() -> None:
    log = MemoryEventLog()
    loop = on_status("a", "one", "one", "SUCCEEDED")
    async with living(log, loop, publishes=False) as life:
        await life.world.start("one", "by-hand")
    for _ in range(9):
        async with living(log, loop, hops_max=3) as life:
            for _ in range(5):
                await asyncio.sleep(0)
    async with living(log, loop, hops_max=3) as life:
        for _ in range(10):
            await settled()
        assert len(await life.executions("one")) == 4


async def test_hops_count_through_map_runs() -> None:
    log = MemoryEventLog()
    loop = parse_trigger(
        "loop",
        {
            "EventPattern": {
                "source": [SOURCE],
                "detail": {
                    "stateMachineArn": [f"{ARN}stateMachine:spread/Each"],
                    "status": ["SUCCEEDED"],
                },
            },
            "Target": {"StateMachine": "spread", "Input": {"items": [1]}},
        },
    )
    async with living(log, loop, hops_max=2) as life:
        await life.world.start("spread", "s", {"items": [1]})
        for _ in range(20):
            await settled()
        assert len(await life.executions("spread")) == 3


async def test_an_event_that_must_start_nothing_is_one_commit_with_its_dead_letters() -> None:
    log = Disk()
    other = on_status("a", "two", "one")
    async with living(log, ON_ORDERS, other) as life:
        log.fails = True
        delivery = Delivery(event=order("1"), state={"mark": b"x"})
        with pytest.raises(LogUnavailable):
            await life.bus.deliver(delivery, "too many")
        assert (await log.deliveries(), await log.inbox()) == ([], [])
        log.fails = False
        log.groups.clear()
        await life.bus.deliver(delivery, "too many")
        assert log.groups == [1]
        (row,) = await log.deliveries()
        assert (row.event, row.trigger, row.reason) == (("my.shop", "1"), "orders", "too many")
        assert await log.sensor_state(BUS) == {"mark": b"x"}
        assert await life.executions("one") == []
