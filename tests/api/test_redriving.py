"""`POST /redrive`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventmill.api.app import application
from eventmill.errors import LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.ports import Delivery
from eventmill.runtime.router import Router
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.api.conftest import Browser, Disk, Reply, World, running_system


def trigger(name: str = "picky", **target: Any) -> Trigger:
    enabled = target.pop("Enabled", True)
    return parse_trigger(
        name,
        {
            "EventPattern": {"source": ["my.shop"]},
            "Target": {"StateMachine": "pass", **target},
            "Enabled": enabled,
        },
    )


def event(id_: str) -> TriggerEvent:
    return TriggerEvent(
        id=id_,
        source="my.shop",
        detail_type="Order Placed",
        at_ms=0,
        account="0",
        region="local",
        detail={"size": 2},
    )


def now_with(world: World, *triggers: Trigger) -> World:
    """The same system after its triggers were changed."""
    system, listeners = world.system, Listeners(triggers)
    bus = type(system.bus)(system.router, listeners, world.clock)
    return replace(world, system=replace(system, bus=bus))


async def post(world: World, **request: Any) -> Reply:
    browser = Browser(application(world.system))
    body = json.dumps({"trigger": "picky", "source": "my.shop", "id": "a"} | request).encode()
    return await browser(body, path="/redrive", content_type="application/json")


@pytest.fixture
async def died(world: World) -> World:
    """A system in which an event has become a dead letter of a trigger."""
    picky = Listeners([trigger(InputPath="$.detail.gone")])
    router = Router(world.system.log, world.system.engine, world.system.catalog)
    await router.publish("bus", picky, [Delivery(event=event("a"), state={})])
    return world


async def test_a_dead_letter_starts_what_it_was_to_start(died: World) -> None:
    world = now_with(died, trigger("other"), trigger())
    reply = await post(world)
    (execution,) = await world.system.log.executions()
    assert (reply.status, reply.body) == (
        200,
        {
            "trigger": "picky",
            "source": "my.shop",
            "id": "a",
            "status": "STARTED",
            "reason": "sent again",
            "execution": execution.arn,
        },
    )
    assert (execution.trigger, execution.event) == ("picky", ("my.shop", "a"))

    again = await post(world)
    assert (again.status, again.body) == (200, reply.body)
    assert len(await world.system.log.executions()) == 1


async def test_one_that_is_impossible_still_says_so(died: World) -> None:
    reply = await post(now_with(died, trigger(InputPath="$.detail.lost")))
    assert (reply.status, reply.body["status"], reply.body["execution"]) == (200, "DEAD", None)
    assert "lost" in reply.body["reason"]
    (row,) = await died.system.log.deliveries()
    assert (row.status, row.attempts) == ("DEAD", 2)


async def test_what_cannot_be_redriven_is_told(died: World) -> None:
    world = now_with(died, trigger())
    for request, text in (
        ({"id": "b"}, "The trigger 'picky' has no dead letter 'b' of 'my.shop'"),
        ({"trigger": "other"}, "The trigger 'other' has no dead letter 'a' of 'my.shop'"),
    ):
        reply = await post(world, **request)
        assert (reply.status, reply.body["error"]) == (400, "ResourceNotFound")
        assert reply.body["message"] == text
    for triggers, text in (
        ([], "The project of this server has no trigger 'picky'"),
        ([trigger(Enabled=False)], "The trigger 'picky' starts nothing: Enabled is false"),
    ):
        reply = await post(now_with(died, *triggers))
        assert (reply.status, reply.body["message"]) == (400, text)
    assert await died.system.log.executions() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"trigger": "t", "source": "s", "id": 1}'])
async def test_a_body_that_names_no_dead_letter_is_told(world: World, body: bytes) -> None:
    browser = Browser(application(world.system))
    reply = await browser(body, path="/redrive", content_type="application/json")
    assert (reply.status, reply.body["error"]) == (400, "InvalidEvent")


async def test_a_disk_that_refuses_leaves_it_dead(disk: Disk, tmp_path: Path) -> None:
    async with running_system(MemoryEventLog(fail=disk), tmp_path) as world:
        picky = Listeners([trigger(InputPath="$.detail.gone")])
        await world.system.router.publish("bus", picky, [Delivery(event=event("a"), state={})])
        disk.error = LogUnavailable("the disk is full")
        reply = await post(now_with(world, trigger()))
        assert (reply.status, reply.body["error"]) == (503, "ServiceUnavailable")
        disk.error = None
        assert [row.status for row in await world.system.log.deliveries()] == ["DEAD"]
        assert (await post(now_with(world, trigger()))).body["status"] == "STARTED"
