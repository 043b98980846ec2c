"""Calls of the API in process, as AWS's own client makes them, on an engine in virtual time."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.session import Session  # type: ignore[import-untyped]  # botocore has no types
from botocore.validate import ParamValidator  # type: ignore[import-untyped]  # as above

from eventmill.api.app import Application, application
from eventmill.executors.scan import Scan
from eventmill.runtime.bus import Bus
from eventmill.runtime.project import Project
from eventmill.runtime.router import Router
from eventmill.runtime.settings import load_settings
from eventmill.runtime.supervisor import Supervisor
from eventmill.runtime.system import System
from eventmill.triggers.listeners import Listeners
from tests.conformance.recorded import Case
from tests.conformance.report.engine_runs import RECORDED_HOME, EngineWorld, engine_world

# What AWS's client refuses by itself has this code.
CLIENT_ERROR = "ParamValidationError"


@dataclass(frozen=True)
class ApiAnswer:
    """An answer as AWS's client hands it on: the members, or those of an error."""

    operation: str
    failed: bool
    body: dict[str, Any]

    def error(self) -> dict[str, str]:
        """The code and the message of an error."""
        return {"code": self.body["Error"]["Code"], "message": self.body["Error"]["Message"]}

    def exception(self) -> str:
        """The text of the exception that AWS's client raises."""
        code, message = self.error().values()
        if code == CLIENT_ERROR:
            return message
        return f"An error occurred ({code}) when calling the {self.operation} operation: {message}"


def failure(operation: str, code: str, message: str) -> ApiAnswer:
    """An error in the form of AWS's client."""
    body = {"Error": {"Code": code, "Message": message}, "message": message}
    return ApiAnswer(operation, failed=True, body=body)


def operation_name(call: str) -> str:
    """The operation that AWS's client calls by a name in small letters.

    >>> operation_name("describe_state_machine")
    'DescribeStateMachine'
    """
    return "".join(word.capitalize() for word in call.split("_"))


@functools.cache
def _service() -> Any:
    return Session().get_service_model("stepfunctions")


def mistakes_in(operation: str, members: dict[str, Any]) -> str | None:
    """What AWS's client says of a request before it sends it, or None when it sends it."""
    shape = _service().operation_model(operation).input_shape
    found = ParamValidator().validate(members, shape)
    if not found.has_errors():
        return None
    return f"Parameter validation failed:\n{found.generate_report()}"


class Api:
    """A client of the API whose calls may let time pass."""

    def __init__(self, world: EngineWorld, app: Application) -> None:
        self.world = world
        self._app = app

    async def call(self, operation: str, members: dict[str, Any]) -> ApiAnswer | None:
        """The answer of an operation; None when none would ever come."""
        mistakes = mistakes_in(operation, members)
        if mistakes is not None:
            return failure(operation, CLIENT_ERROR, mistakes)
        calling = asyncio.ensure_future(self._send(operation, json.dumps(members).encode()))
        await self.world.settled()
        while not calling.done() and self.world.clock.go_on():
            await self.world.settled()
        if not calling.done():
            calling.cancel()
            return None
        status, body = calling.result()
        if status == 200:
            return ApiAnswer(operation, failed=False, body=body)
        return failure(operation, body["__type"].split("#")[-1], body["message"])

    async def _send(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = {
            "host": "127.0.0.1:8083",
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": f"AWSStepFunctions.{operation}",
        }
        sent: list[Any] = []
        await self._app(
            {
                "type": "http",
                "method": "POST",
                "path": "/",
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            },
            _handing_out({"type": "http.request", "body": body, "more_body": False}),
            _collecting(sent),
        )
        start, end = sent
        return start["status"], json.loads(end["body"])


def _handing_out(message: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return message

    return receive


def _collecting(messages: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def send(message: Any) -> None:
        messages.append(message)

    return send


@asynccontextmanager
async def api(case: Case, folder: Path) -> AsyncIterator[Api]:
    """The API of a system without workflows and sensors, with the handlers of a case."""
    settings = replace(load_settings(folder), home=RECORDED_HOME)
    async with engine_world(case, folder / "objects") as world:
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        router = Router(world.log, world.engine, world.catalog)
        scan = Scan(handlers={}, modules={}, clashes={}, problems=())
        system = System(
            settings=settings,
            project=Project(workflows=(), triggers=(), handlers=scan),
            log=world.log,
            catalog=world.catalog,
            engine=world.engine,
            dispatch=world.dispatch,
            supervisor=Supervisor(world.log, world.clock, router),
            watches=(),
            bus=Bus(router, Listeners(()), world.clock),
            recovered=0,
            broken=broken,
            stop_sensing=_nothing,
        )
        yield Api(world, application(system))


async def _nothing() -> None:
    """There are no sensors to stop."""


def answer_alone(operation: str, members: dict[str, Any]) -> ApiAnswer:
    """The answer of a call that nothing went before."""

    async def ask(folder: Path) -> ApiAnswer:
        async with api({}, folder) as client:
            answer = await client.call(operation, members)
        assert answer is not None, f"{operation} gave no answer"
        return answer

    with TemporaryDirectory(prefix="conformance-") as folder:
        return asyncio.run(ask(Path(folder)))
