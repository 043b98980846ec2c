"""The API as HTTP: whatever comes in, a clear answer goes out."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from eventmill import __version__
from eventmill.api.app import BODY_BYTES_MAX, application
from eventmill.errors import LogDamaged
from eventmill.model import Json
from eventmill.ports import EventLog
from eventmill.runtime.supervisor import Watch
from eventmill.triggers.listeners import Listeners
from tests.api.conftest import MACHINE, Browser, Disk, World

CORAL = "com.amazon.coral.service#"


async def test_answers_are_aws_json_with_a_request_id(browser: Browser) -> None:
    reply = await browser.call("ListStateMachines", maxResults=1)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-amz-json-1.0"
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert "connection" not in reply.headers
    assert list(reply.body) == ["nextToken", "stateMachines"]
    (machine,) = reply.body["stateMachines"]
    assert list(machine) == ["creationDate", "name", "stateMachineArn", "type"]


async def test_a_body_may_come_in_pieces(browser: Browser) -> None:
    reply = await browser([b'{"max', b"", b'Results": 1}'])
    assert len(reply.body["stateMachines"]) == 1


async def test_null_counts_as_absent_and_unknown_members_do_not_count(browser: Browser) -> None:
    reply = await browser.call("ListStateMachines", maxResults=None, colour="red")
    assert reply.status == 200


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "AWSStepFunctions.CreateActivity",
            "Eventmill does not offer the operation CreateActivity yet",
        ),
        ("AWSStepFunctions.Jump", "Step Functions has no operation 'Jump'"),
        (
            "DynamoDB_20120810.PutItem",
            "The header X-Amz-Target must name an operation, such as "
            "AWSStepFunctions.StartExecution; it is 'DynamoDB_20120810.PutItem'",
        ),
        (
            "",
            "The header X-Amz-Target must name an operation, such as "
            "AWSStepFunctions.StartExecution; it is ''",
        ),
    ],
)
async def test_an_unknown_operation_is_refused(browser: Browser, target: str, message: str) -> None:
    reply = await browser(target=target)
    assert (reply.status, reply.body) == (
        400,
        {"__type": f"{CORAL}UnknownOperationException", "message": message},
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not JSON: Input data was truncated"),
        (b"{", "The body is not JSON: Input data was truncated"),
        (b"[]", "The body must be a JSON object with the operation's members"),
        (b"\xff", "The body is not JSON: JSON is malformed: invalid character (byte 0)"),
        (
            b'{"maxResults": "1"}',
            "STRING_VALUE can not be converted to an Integer: 'maxResults' must be an Integer",
        ),
        (
            b'{"maxResults": 1.5}',
            "NUMBER_VALUE can not be converted to an Integer: 'maxResults' must be an Integer",
        ),
        (
            b'{"maxResults": true}',
            "TRUE_VALUE can not be converted to an Integer: 'maxResults' must be an Integer",
        ),
        (
            b'{"nextToken": 1}',
            "NUMBER_VALUE can not be converted to a String: 'nextToken' must be a String",
        ),
        (
            b'{"nextToken": {}}',
            "Start of structure or map found where not expected: 'nextToken' must be a String",
        ),
        (
            b'{"nextToken": []}',
            "Start of list found where not expected: 'nextToken' must be a String",
        ),
    ],
)
async def test_a_body_of_another_shape_is_refused(
    browser: Browser, body: bytes, message: str
) -> None:
    reply = await browser(body)
    assert (reply.status, reply.body) == (
        400,
        {"__type": f"{CORAL}SerializationException", "message": message},
    )


@pytest.mark.parametrize("body", [b"[" * 500_000, b'{"a":' * 100_000, b'{"name": "\\ud800"}'])
async def test_a_body_that_no_reader_takes_is_refused(browser: Browser, body: bytes) -> None:
    reply = await browser(body)
    assert (reply.status, reply.body["__type"]) == (400, f"{CORAL}SerializationException")


async def test_a_missing_member_is_named(browser: Browser) -> None:
    reply = await browser.call("StartExecution")
    assert (reply.status, reply.body) == (
        400,
        {
            "__type": "com.amazon.coral.validate#ValidationException",
            "message": "1 validation error detected: Value at 'stateMachineArn' failed to satisfy "
            "constraint: Member must not be null",
        },
    )


async def test_a_long_value_is_cut_in_the_message(browser: Browser) -> None:
    reply = await browser.call("DescribeExecution", executionArn="x" * 100_000)
    assert len(reply.body["message"]) < 2_300


async def test_errors_of_the_service_are_in_its_namespace(browser: Browser) -> None:
    reply = await browser.call("DescribeStateMachine", stateMachineArn=f"{MACHINE}none")
    assert reply.body == {
        "__type": "com.amazonaws.swf.service.v2.model#StateMachineDoesNotExist",
        "message": f"State Machine Does Not Exist: '{MACHINE}none'",
    }


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused(browser: Browser, announced: bool) -> None:
    whole = b'{"a": "' + b"x" * (BODY_BYTES_MAX - 9) + b'"}'
    assert len(whole) == BODY_BYTES_MAX
    assert (await browser(whole)).status == 200
    if announced:
        reply = await browser([], content_length=str(BODY_BYTES_MAX + 1))
    else:
        reply = await browser([whole, b" "])
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert reply.body == {
        "__type": f"{CORAL}RequestEntityTooLarge",
        "message": f"A request may have {BODY_BYTES_MAX} bytes at most",
    }


async def test_a_body_that_does_not_come_is_not_waited_for(world: World) -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    answers = await raw(world, never, body_seconds=0.01)
    assert (answers[0]["status"], json.loads(answers[1]["body"])["message"]) == (
        408,
        "The body did not arrive within 0.01 seconds",
    )


async def test_a_client_that_goes_away_gets_no_answer(world: World) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert await raw(world, gone) == []


async def raw(world: World, receive: Any, **options: float) -> list[Any]:
    """Call with a `receive` of one's own; what was sent back."""
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    headers = [(b"content-type", b"application/x-amz-json-1.0")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await application(world.system, **options)(scope, receive, send)
    return answers


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 405, "/ takes POST, not GET"),
        ("POST", "/health", 405, "/health takes GET and HEAD, not POST"),
        (
            "GET",
            "/favicon.ico",
            404,
            "There is nothing at '/favicon.ico'; the API is POST /, its health GET /health, "
            "and events are taken by POST /events",
        ),
    ],
)
async def test_other_paths_and_methods_say_what_there_is(
    browser: Browser, method: str, path: str, status: int, message: str
) -> None:
    reply = await browser(method=method, path=path)
    assert (reply.status, reply.body["message"]) == (status, message)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-amz-json-1.0", 200),
        ("application/X-Amz-JSON-1.0; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_only_aws_json_is_read(browser: Browser, content_type: str, status: int) -> None:
    assert (await browser(content_type=content_type)).status == status


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://127.0.0.1:8083", "127.0.0.1:8083", 200),
        ("http://localhost:8083", "localhost:8083", 200),
        ("http://[::1]:8083", "[::1]:8083", 200),
        ("http://192.168.1.5:8083", "192.168.1.5:8083", 200),
        ("http://evil.example", "127.0.0.1:8083", 403),
        ("http://evil.example:8083", "evil.example:8083", 403),
        ("http://localhost.evil.example:8083", "localhost.evil.example:8083", 403),
        ("http://127.0.0.1:9000", "127.0.0.1:8083", 403),
        ("null", "127.0.0.1:8083", 403),
        ("", "", 403),
        ("http://[", "[", 403),
    ],
)
async def test_web_pages_that_are_not_ours_are_refused(
    browser: Browser, origin: str, host: str, status: int
) -> None:
    reply = await browser(origin=origin, host=host)
    assert reply.status == status
    if status == 403:
        assert reply.body == {
            "__type": f"{CORAL}AccessDeniedException",
            "message": f"Web pages of {origin!r} may not use this API",
        }


async def test_a_client_that_is_no_browser_may_use_any_name(browser: Browser) -> None:
    assert (await browser(host="sync-eventmill.internal:8083")).status == 200


async def test_the_unexpected_is_an_id_for_the_client_and_a_traceback_for_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def execution(self, arn: str) -> None:
            raise ZeroDivisionError("a secret")

    browser = Browser(application(replace(world.system, log=broken(Broken()))))
    with caplog.at_level(logging.ERROR):
        arn = "arn:aws:states:local:000000000000:execution:pass:one"
        reply = await browser.call("DescribeExecution", executionArn=arn)
    request_id = reply.headers["x-amzn-requestid"]
    assert (reply.status, reply.body) == (
        500,
        {
            "__type": f"{CORAL}InternalServerError",
            "message": "Something unexpected happened; "
            f"the server's log says more under {request_id}",
        },
    )
    assert request_id in caplog.text
    assert "ZeroDivisionError: a secret" in caplog.text


def broken(log: Any) -> EventLog:
    return log  # type: ignore[no-any-return]  # it only has what the test calls


async def test_a_damaged_log_is_our_trouble(browser: Browser, disk: Disk) -> None:
    disk.error = LogDamaged("the chain is broken")
    reply = await browser.call("StartExecution", stateMachineArn=f"{MACHINE}pass")
    assert (reply.status, "chain" in reply.body["message"]) == (500, False)


class Pretended:
    """A sensor by name only."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, publish: object, state: object) -> None:
        raise AssertionError("nobody runs it")


async def test_health_tells_of_executions_and_sensors(world: World) -> None:
    watches = tuple(Watch(sensor=Pretended(name), listeners=Listeners(())) for name in ("b", "a"))
    browser = Browser(application(replace(world.system, watches=watches)))

    async def health() -> tuple[int, Json]:
        reply = await browser(b"", method="GET", path="/health", content_type="")
        return reply.status, reply.body

    def expected(status: str, problem: str | None, in_memory: int) -> Json:
        return {
            "status": status,
            "version": __version__,
            "executionsInMemory": in_memory,
            "sensors": [{"name": "a", "problem": None}, {"name": "b", "problem": problem}],
        }

    assert await health() == (200, expected("ok", None, 0))
    world.system.supervisor.condition(watches[0].sensor).problem = "the folder is gone"
    assert await health() == (200, expected("degraded", "the folder is gone", 0))
    world.system.broken.set_exception(RuntimeError("a mistake"))
    assert await health() == (503, expected("failed", "the folder is gone", 0))
    world.system.broken.exception()
