"""`POST /events/…`: every form that an event may have, signatures, and what is refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventmill.api.app import application
from eventmill.errors import LogUnavailable, SettingsError
from eventmill.events import TriggerEvent
from eventmill.log.memory import MemoryEventLog
from eventmill.runtime.settings import EventSettings
from eventmill.runtime.signatures import Signature
from tests.api.conftest import BEGAN_SECONDS, Browser, Disk, Reply, World, on_orders, running_system

CLOUD = {
    "specversion": "1.0",
    "id": "c-1",
    "source": "my.shop",
    "type": "Order Placed",
    "data": {"total": 12},
}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json; charset=utf-8"


@pytest.fixture
async def shop(disk: Disk, tmp_path: Path) -> AsyncIterator[World]:
    settings = EventSettings(body_bytes_max=2_000)
    log = MemoryEventLog(fail=disk)
    async with running_system(log, tmp_path, [on_orders()], events=settings) as world:
        yield world


async def post(
    world: World, body: Any, path: str = "/events", type_: str = "application/json", **headers: str
) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    browser = Browser(application(world.system))
    return await browser(content, path=path, target="", content_type=type_, **headers)


async def taken(world: World) -> list[TriggerEvent]:
    """The events in the log, the oldest first."""
    return [each.event for each in reversed(await world.system.log.inbox())]


async def the_one(world: World) -> tuple[str, str, str, Any]:
    (event,) = await taken(world)
    return event.id, event.source, event.detail_type, event.detail


async def test_a_structured_cloud_event(shop: World) -> None:
    reply = await post(
        shop, {**CLOUD, "time": "2026-01-31T08:00:00Z", "subject": "s"}, "/events", STRUCTURED
    )
    assert (reply.status, reply.body) == (202, {"events": [{"source": "my.shop", "id": "c-1"}]})
    assert reply.headers["content-type"] == "application/json"
    (kept,) = await shop.system.log.inbox()
    assert kept.event.envelope() == {
        "version": "0",
        "id": "c-1",
        "detail-type": "Order Placed",
        "source": "my.shop",
        "account": "000000000000",
        "time": "2026-01-31T08:00:00Z",
        "region": "local",
        "resources": [],
        "detail": {"total": 12, "cloudevent": {"subject": "s"}},
    }
    assert [*kept.executions] == ["orders"]


async def test_a_binary_cloud_event(shop: World) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "c-2",
        "ce-source": "my.shop",
        "ce-type": "Order%20Placed",
    }
    reply = await post(shop, {"total": 1}, "/events/", **headers)
    assert reply.status == 202
    assert await the_one(shop) == ("c-2", "my.shop", "Order Placed", {"total": 1})


async def test_a_binary_cloud_event_of_bytes(shop: World) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "b", "ce-source": "s", "ce-type": "t"}
    await post(shop, b"\x00\x01", type_="image/png", **headers)
    detail = (await the_one(shop))[3]
    assert detail == {"data_base64": "AAE=", "cloudevent": {"datacontenttype": "image/png"}}


async def test_a_batch_is_taken_whole_or_not_at_all(shop: World) -> None:
    batch = [CLOUD, {**CLOUD, "id": "c-2"}, {**CLOUD, "id": "c-1", "source": "elsewhere"}]
    reply = await post(shop, [*batch, {**CLOUD, "id": ""}], type_=BATCH)
    assert (reply.status, reply.body["error"]) == (400, "InvalidEvent")
    assert "event 3: the attribute id must be a text that is not empty" in reply.body["message"]
    assert await taken(shop) == []

    reply = await post(shop, batch, type_=BATCH)
    assert reply.status == 202
    keys = [(event.source, event.id) for event in await taken(shop)]
    assert keys == [("my.shop", "c-1"), ("my.shop", "c-2"), ("elsewhere", "c-1")]
    assert [(each["source"], each["id"]) for each in reply.body["events"]] == keys


@pytest.mark.parametrize(
    ("path", "source", "detail_type"),
    [
        ("/events/my.shop", "my.shop", "Event Received"),
        ("/events/my.shop/Order Placed", "my.shop", "Order Placed"),
        ("/events/my.shop/orders/placed/", "my.shop", "orders/placed"),
    ],
)
async def test_plain_json_is_named_by_its_path(
    shop: World, path: str, source: str, detail_type: str
) -> None:
    reply = await post(shop, {"total": 3}, path)
    (event,) = await taken(shop)
    assert (event.source, event.detail_type, event.detail) == (source, detail_type, {"total": 3})
    assert event.at_ms == BEGAN_SECONDS * 1000
    assert reply.body == {"events": [{"source": source, "id": event.id}]}


async def test_json_that_is_no_object_stands_in_data(shop: World) -> None:
    await post(shop, [1, "two"], "/events/s", "application/vnd.mine+json")
    assert (await the_one(shop))[3] == {"data": [1, "two"]}


@pytest.mark.parametrize("header", ["idempotency_key", "webhook_id", "x_github_delivery"])
async def test_the_same_again_is_taken_and_starts_nothing(shop: World, header: str) -> None:
    for _ in range(2):
        reply = await post(shop, {}, "/events/my.shop/Order Placed", **{header: "once"})
        assert (reply.status, reply.body["events"][0]["id"]) == (202, "once")
    assert len(await shop.system.log.executions()) == 1


async def test_without_an_id_each_request_is_an_event(shop: World) -> None:
    for _ in range(2):
        await post(shop, {}, "/events/my.shop/Order Placed")
    assert len(await shop.system.log.executions()) == 2


async def test_githubs_headers_name_its_events(shop: World) -> None:
    headers = {"x-github-event": "push", "x-github-delivery": "d-1"}
    await post(shop, {"ref": "main"}, "/events/github", **headers)
    assert await the_one(shop) == ("d-1", "github", "push", {"ref": "main"})


async def test_events_in_eventbridges_envelope(shop: World) -> None:
    whole = {
        "version": "0",
        "id": "e-1",
        "source": "my.shop",
        "detail-type": "Order Placed",
        "time": "2026-01-31T08:00:00Z",
        "resources": ["arn:r"],
        "detail": {"total": 1},
        "account": "999999999999",
    }
    bare = {"source": "s", "detail-type": "t", "detail": {}}
    assert (await post(shop, [whole, bare])).status == 202
    assert (await post(shop, bare)).status == 202
    first, second, third = await taken(shop)
    assert (first.id, first.resources, first.account) == ("e-1", ("arn:r",), "000000000000")
    assert first.at_ms == 1_769_846_400_000
    assert len({second.id, third.id}) == 2
    assert (await post(shop, [])).body == {"events": []}


@pytest.mark.parametrize(
    ("body", "path", "type_", "message"),
    [
        (b"{", "/events", "application/json", "the body is not JSON: "),
        (b"{", "/events/s", "application/json", "the body is not JSON: "),
        (b"", "/events", STRUCTURED, "the body is not JSON: "),
        (b'"\\ud800"', "/events/s", "application/json", "the body is not JSON: "),
        (b"1", "/events", "application/json", "/: an event is a JSON object"),
        (b"[{}]", "/events", "application/json", "/0/source: must be a string that is not empty"),
        (b"{}", "/events", STRUCTURED, "no CloudEvent: specversion must be 1.0, not None"),
        (b"{}", "/events", BATCH, "no CloudEvent: a batch of CloudEvents is a JSON array"),
    ],
)
async def test_what_is_no_event_is_refused_and_says_where(
    shop: World, body: bytes, path: str, type_: str, message: str
) -> None:
    reply = await post(shop, body, path, type_)
    assert (reply.status, reply.body["error"]) == (400, "InvalidEvent")
    assert reply.body["message"].startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detail": 1}, "/1/detail: must be a JSON object"),
        ({"resources": "r"}, "/1/resources: must be an array of strings"),
        ({"time": "today"}, "/1/time: 'today' is not a date-time with an offset"),
        ({"id": 7}, "/1/id: must be a string that is not empty"),
        ({"source": "s" * 2_049}, "id, source and detail-type (type of a CloudEvent) have"),
    ],
)
async def test_mistakes_in_an_envelope(world: World, change: dict[str, Any], message: str) -> None:
    good = {"source": "s", "detail-type": "t", "detail": {}}
    reply = await post(world, [good, good | change])
    assert reply.status == 400
    assert reply.body["message"].startswith(message)
    assert await taken(world) == []


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_other_content_types_say_what_is_taken(shop: World, type_: str) -> None:
    reply = await post(shop, b"{}", "/events/s", type_)
    assert (reply.status, reply.body["error"]) == (415, "UnsupportedMediaType")
    assert "application/cloudevents+json" in reply.body["message"]


async def test_a_body_may_be_so_large_and_no_larger(shop: World) -> None:
    assert (await post(shop, b'"' + b"x" * 1_998 + b'"', "/events/s")).status == 202
    reply = await post(shop, b'"' + b"x" * 1_999 + b'"', "/events/s")
    assert (reply.status, reply.body["error"]) == (413, "RequestEntityTooLarge")
    assert reply.headers["connection"] == "close"


async def test_methods_and_paths(shop: World) -> None:
    browser = Browser(application(shop.system))
    assert (await browser(method="GET", path="/events")).status == 405
    assert (await browser(method="POST", path="/eventsx")).status == 404


async def test_a_web_page_may_not_send_events(shop: World) -> None:
    reply = await post(shop, {}, "/events/s", origin="http://evil.example")
    assert (reply.status, reply.body["error"]) == (403, "AccessDeniedException")


async def test_a_disk_that_refuses_is_told_and_the_same_may_be_sent_again(
    shop: World, disk: Disk
) -> None:
    disk.error = LogUnavailable("the disk is full")
    reply = await post(shop, CLOUD, type_=STRUCTURED)
    assert (reply.status, reply.body) == (
        503,
        {"error": "ServiceUnavailable", "message": "the disk is full; try again"},
    )
    disk.error = None
    assert (await post(shop, CLOUD, type_=STRUCTURED)).status == 202
    assert len(await shop.system.log.executions()) == 1


# Signatures

SECRETS = {"SHOP_SECRET": "whsec_" + base64.b64encode(b"shop").decode(), "HUB_SECRET": "hub"}
SIGNED = EventSettings(
    signatures={
        "github": Signature(scheme="github", secret_from="HUB_SECRET"),
        "my.shop": Signature(scheme="standard-webhooks", secret_from="SHOP_SECRET"),
    }
)


@pytest.fixture
async def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    async with running_system(MemoryEventLog(), tmp_path, [on_orders()], events=SIGNED) as world:
        yield world


def hub(body: bytes, secret: bytes = b"hub") -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"}


def webhook(body: bytes, at: int = BEGAN_SECONDS, secret: bytes = b"shop") -> dict[str, str]:
    mac = hmac.new(secret, f"m-1.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,AAAA v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": "m-1", "webhook-timestamp": str(at), "webhook-signature": signature}


async def test_github_signs_the_body(signed: World) -> None:
    body = b'{"ref": "main"}'
    assert (await post(signed, body, "/events/github/push", **hub(body))).status == 202
    for headers in ({}, hub(body, b"other"), hub(b"{}"), {"x-hub-signature-256": "sha256=é"}):
        reply = await post(signed, body, "/events/github/push", **headers)
        assert (reply.status, reply.body["error"]) == (401, "Unauthorized")
        assert "events.signatures.github" in reply.body["message"]
    assert len(await taken(signed)) == 1


async def test_githubs_own_example() -> None:
    # From "Validating webhook deliveries" in GitHub's documentation.
    expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = hub(b"Hello, World!", b"It's a Secret to Everybody")
    assert headers["x-hub-signature-256"] == f"sha256={expected}"


async def test_standard_webhooks_sign_id_time_and_body(signed: World) -> None:
    body, path = b'{"total": 1}', "/events/my.shop/Order Placed"
    assert (await post(signed, body, path, **webhook(body))).status == 202
    assert (await the_one(signed))[0] == "m-1"
    edge = webhook(body, BEGAN_SECONDS - 300)
    assert (await post(signed, body, path, **edge)).status == 202
    refused: list[tuple[dict[str, str], str]] = [
        ({}, "The header webhook-id is missing"),
        (webhook(body) | {"webhook-timestamp": ""}, "The header webhook-timestamp is missing"),
        (webhook(body) | {"webhook-timestamp": "x"}, "webhook-timestamp is not a number"),
        (webhook(body) | {"webhook-id": "m-2"}, "webhook-signature has no signature"),
        (webhook(body, secret=b"x"), "webhook-signature has no signature"),
        (webhook(b"{}"), "webhook-signature has no signature"),
        (webhook(body, BEGAN_SECONDS - 301), "webhook-timestamp is more than 300 seconds"),
        (webhook(body, BEGAN_SECONDS + 301), "webhook-timestamp is more than 300 seconds"),
    ]
    for headers, message in refused:
        reply = await post(signed, body, path, **headers)
        assert reply.status == 401
        assert reply.body["message"].startswith(message)


async def test_a_signature_is_wanted_however_an_event_of_the_source_comes(signed: World) -> None:
    body = json.dumps(CLOUD).encode()
    assert (await post(signed, body, "/events/elsewhere", STRUCTURED)).status == 401
    batch = [CLOUD, {**CLOUD, "source": "a"}]
    assert (await post(signed, batch, type_=BATCH)).status == 401
    assert (await post(signed, batch[::-1], type_=BATCH)).status == 401
    assert (
        await post(signed, {"source": "github", "detail-type": "t", "detail": {}})
    ).status == 401
    assert await taken(signed) == []
    assert (await post(signed, body, type_=STRUCTURED, **webhook(body))).status == 202
    assert (await post(signed, {}, "/events/elsewhere")).status == 202


async def test_one_signature_may_stand_for_all_other_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL", "all")
    settings = EventSettings(signatures={"*": Signature(scheme="github", secret_from="ALL")})
    async with running_system(MemoryEventLog(), tmp_path, events=settings) as world:
        assert (await post(world, {}, "/events/any")).status == 401
        assert (await post(world, b"{}", "/events/any", **hub(b"{}", b"all"))).status == 202


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (None, "the environment variable SHOP_SECRET must have the secret, and is not set"),
        ("", "the environment variable SHOP_SECRET must have the secret, and is not set"),
        ("whsec_!", "the secret in SHOP_SECRET is not base64 behind whsec_"),
        ("whsec_", "the secret in SHOP_SECRET is not base64 behind whsec_"),
    ],
)
async def test_a_server_without_its_secrets_does_not_start(
    world: World, monkeypatch: pytest.MonkeyPatch, secret: str | None, message: str
) -> None:
    monkeypatch.setenv("HUB_SECRET", "hub")
    if secret is None:
        monkeypatch.delenv("SHOP_SECRET", raising=False)
    else:
        monkeypatch.setenv("SHOP_SECRET", secret)
    object.__setattr__(world.system.settings, "events", SIGNED)
    with pytest.raises(SettingsError, match=f"events.signatures.my.shop: {message}"):
        application(world.system)
