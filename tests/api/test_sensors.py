"""`GET /sensors`, `GET /metrics` and `POST /send-again`."""

import json
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventmill.api.app import Application, application
from eventmill.events import TriggerEvent
from eventmill.ports import Delivery, Pulse
from eventmill.runtime.supervisor import Watch
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.api.conftest import Browser, Reply, World, collect, iterate


class Pretended:
    """A sensor that a test publishes for."""

    name = "filesystem:inbox"

    def __init__(self) -> None:
        self.pulse = Pulse()

    @property
    def lag(self) -> dict[tuple[str, int], int]:
        return {("a", 0): 3, ("a", 1): 4}

    async def run(self, publish: object, state: object) -> None:
        raise AssertionError("nobody runs it")


def on_file() -> Trigger:
    return parse_trigger(
        "on-file",
        {
            "Source": {"Type": "filesystem", "Path": "inbox"},
            "EventPattern": {"detail": {"size": [{"numeric": [">", 1]}]}},
            "Target": {"StateMachine": "pass"},
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


@pytest.fixture
def watched(world: World) -> tuple[World, Watch]:
    watch = Watch(sensor=Pretended(), listeners=Listeners([on_file()]))
    return replace(world, system=replace(world.system, watches=(watch,))), watch


async def post(world: World, body: bytes) -> Reply:
    browser = Browser(application(world.system))
    return await browser(body, path="/send-again", content_type="application/json")


async def text_of(app: Application, path: str) -> tuple[dict[bytes, bytes], str]:
    """The headers and the body of an answer that may not be JSON."""
    answers: list[Any] = []
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    await app(scope, iterate([]), collect(answers))
    return dict(answers[0]["headers"]), answers[1]["body"].decode()


async def test_sensors_and_metrics_tell_the_same(watched: tuple[World, Watch]) -> None:
    world, watch = watched
    supervisor = world.system.supervisor
    condition = supervisor.condition(watch.sensor)
    for id_ in ("a", "b", "b"):
        await supervisor.hand_over(watch, Delivery(event=event(id_), state={}))
        condition.published(1)
    condition.failed("the folder is gone")
    condition.restarted()

    app = application(world.system)
    (sensor,) = json.loads((await text_of(app, "/sensors"))[1])["sensors"]
    numbers = {name: sensor[name] for name in ("events", "duplicates", "errors", "restarts", "lag")}
    assert numbers == {"events": 3, "duplicates": 1, "errors": 1, "restarts": 1, "lag": 7}
    assert (sensor["state"], sensor["problem"]) == ("running", "the folder is gone")
    assert (sensor["kind"], sensor["triggers"]) == ("filesystem", ["on-file"])

    headers, text = await text_of(app, "/metrics")
    assert headers[b"content-type"].startswith(b"text/plain; version=")
    samples = {
        (sample.name, sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for name in ("events", "duplicates", "errors", "restarts"):
        assert samples[f"eventmill_sensor_{name}_total", None] == numbers[name]
    assert samples["eventmill_sensor_lag", None] == 7
    assert samples["eventmill_sensor_state", "running"] == 1
    assert samples["eventmill_sensor_state", "stuck"] == 0
    assert samples["eventmill_executions_in_memory", None] == world.system.engine.in_memory
    progress = samples["eventmill_sensor_last_progress_timestamp_seconds", None]
    assert progress == world.clock.now_ms() / 1000


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_event_goes_again_to_its_sensor_s_triggers(
    watched: tuple[World, Watch], is_known: bool
) -> None:
    world, watch = watched
    await world.system.supervisor.hand_over(watch, Delivery(event=event("a"), state={}))
    if not is_known:  # as in a log of an earlier version: what it has started tells
        stored = await world.system.log.event("my.shop", "a")
        assert stored is not None
        object.__setattr__(stored.event, "sensor", "")
    reply = await post(world, b'{"source": "my.shop", "id": "a"}')
    assert (reply.status, [*reply.body["executions"]]) == (200, ["on-file"])
    assert reply.body["id"].startswith("a.again-")
    again = await world.system.log.event("my.shop", reply.body["id"])
    assert again is not None
    assert (again.event.detail, again.event.sensor) == ({"size": 2}, "filesystem:inbox")


async def test_an_event_of_the_bus_goes_to_the_bus(watched: tuple[World, Watch]) -> None:
    world, _ = watched
    await world.system.bus.publish(event("a"))
    reply = await post(world, b'{"source": "my.shop", "id": "a"}')
    assert (reply.status, reply.body["executions"]) == (200, {})


async def test_what_cannot_be_sent_again_is_told(watched: tuple[World, Watch]) -> None:
    world, watch = watched
    reply = await post(world, b'{"source": "my.shop", "id": "a"}')
    assert (reply.status, reply.body["error"]) == (400, "ResourceNotFound")
    for body in (b"{", b"[]", b'{"source": 1, "id": "a"}'):
        reply = await post(world, body)
        assert (reply.status, reply.body["error"]) == (400, "InvalidEvent")
    await world.system.supervisor.hand_over(watch, Delivery(event=event("a"), state={}))
    without = replace(world, system=replace(world.system, watches=()))
    reply = await post(without, b'{"source": "my.shop", "id": "a"}')
    assert "no trigger has its source any more" in reply.body["message"]
