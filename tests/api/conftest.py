"""A system without sensors, its API in process and on a real socket, and AWS's own client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # botocore has no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # botocore has no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore has no types

from eventmill.api.app import Application, application
from eventmill.api.server import Address, serving
from eventmill.arn import Home
from eventmill.datasets.stored import StoredDatasets
from eventmill.executors.inline import InlineExecutor
from eventmill.executors.scan import Scan
from eventmill.integrations.lambda_function import LambdaFunction
from eventmill.log.memory import MemoryEventLog
from eventmill.log.sqlite import SqliteEventLog
from eventmill.model import AWS_QUOTAS, Json
from eventmill.objects.filesystem import FilesystemObjectStore
from eventmill.ports import EventLog, Transaction
from eventmill.runtime.bus import Bus
from eventmill.runtime.catalog import Catalog
from eventmill.runtime.engine import Engine
from eventmill.runtime.project import Project, Workflow
from eventmill.runtime.router import Router
from eventmill.runtime.settings import Settings
from eventmill.runtime.supervisor import Supervisor
from eventmill.runtime.system import System
from eventmill.triggers.listeners import Listeners
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.runtime.virtual_clock import VirtualClock

MACHINE = "arn:aws:states:local:000000000000:stateMachine:"
EXECUTION = "arn:aws:states:local:000000000000:execution:"

# When everything begins: far from now, so that no executor sees a deadline pass.
BEGAN_SECONDS = 4_000_000_000
BEGAN = datetime.fromtimestamp(BEGAN_SECONDS, timezone.utc)

ASK = "arn:aws:states:::lambda:invoke.waitForTaskToken"
ASKS = {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}}

DEFINITIONS: dict[str, Any] = {
    "pass": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}},
    "fail": {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "because"}}},
    "variables": {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "B"},
            "B": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $v %}", "End": True},
        },
    },
    "spread": {
        "StartAt": "M",
        "States": {
            "M": {
                "Type": "Map",
                "Label": "Each",
                "ToleratedFailureCount": 1,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "C",
                    "States": {
                        "C": {
                            "Type": "Choice",
                            "Choices": [{"Variable": "$", "IsNull": True, "Next": "Bad"}],
                            "Default": "Good",
                        },
                        "Good": {"Type": "Pass", "End": True},
                        "Bad": {"Type": "Fail", "Error": "E"},
                    },
                },
                "End": True,
            }
        },
    },
    "bare-fail": {"StartAt": "F", "States": {"F": {"Type": "Fail"}}},
    "sleep": {
        "StartAt": "W",
        "TimeoutSeconds": 60,
        "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}},
    },
    "callback": {
        "StartAt": "Ask",
        "States": {
            "Ask": {
                "Type": "Task",
                "Resource": ASK,
                "Parameters": ASKS,
                "HeartbeatSeconds": 30,
                "End": True,
            }
        },
    },
    "twice": {
        "StartAt": "Ask",
        "States": {
            "Ask": {
                "Type": "Task",
                "Resource": ASK,
                "Parameters": ASKS,
                "Retry": [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}],
                "End": True,
            }
        },
    },
}


@dataclass
class Disk:
    """A log that can be made to refuse."""

    error: Exception | None = None

    def __call__(self, transaction: Transaction) -> Exception | None:
        return self.error


@dataclass
class World:
    """The system under test and what its outside sees."""

    system: System
    clock: VirtualClock
    tokens: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)


@asynccontextmanager
async def running_system(
    log: EventLog, folder: Path, triggers: Sequence[Trigger] = (), **settings_given: Any
) -> AsyncIterator[World]:
    """What `eventmill.runtime.system.running` wires, with a clock that stands still."""
    clock, tokens = VirtualClock(BEGAN_SECONDS * 1000), asyncio.Queue[str]()

    async def ask(event: dict[str, str], context: object) -> Json:
        tokens.put_nowait(event["token"])
        return "asked"

    settings = Settings(
        project=folder,
        data=folder,
        home=Home(),
        host="127.0.0.1",
        port=0,
        isolation="inline",
        workers=1,
        memory_mib=None,
        environment=(),
        quotas=AWS_QUOTAS,
        **settings_given,
    )
    catalog = Catalog(log, settings.home, settings.quotas)
    workflows = tuple(write_workflow(folder, name) for name in DEFINITIONS)
    for workflow in workflows:
        catalog.add(workflow.name, workflow.text)
    async with InlineExecutor({"ask": ask}) as executor:
        dispatch = LambdaFunction(executor)
        datasets = StoredDatasets(FilesystemObjectStore(folder))
        engine = Engine(log, clock, catalog, dispatch, datasets, settings.home, settings.quotas)
        time = asyncio.ensure_future(engine.keep_time())
        listeners = Listeners(triggers)
        router = Router(log, engine, catalog, listeners)
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        system = System(
            settings=settings,
            project=Project(
                workflows=workflows,
                triggers=(),
                handlers=Scan(handlers={}, modules={}, clashes={}, problems=()),
            ),
            log=log,
            catalog=catalog,
            engine=engine,
            dispatch=dispatch,
            supervisor=Supervisor(log, clock, router),
            watches=(),
            bus=Bus(router, listeners, clock),
            recovered=0,
            broken=broken,
            stop_sensing=nothing,
        )
        yield World(system=system, clock=clock, tokens=tokens)
        time.cancel()
        engine.close()


ON_ORDERS: dict[str, Any] = {
    "EventPattern": {"source": ["my.shop"], "detail-type": ["Order Placed"]},
    "Target": {"StateMachine": "pass", "InputPath": "$.detail"},
}


def on_orders() -> Trigger:
    """A trigger on the bus."""
    return parse_trigger("orders", ON_ORDERS)


async def nothing() -> None:
    """There are no sensors to stop."""


def write_workflow(folder: Path, name: str) -> Workflow:
    path = folder / f"{name}.asl.json"
    path.write_text(json.dumps(DEFINITIONS[name], indent=1))
    return Workflow(name=name, path=path, text=path.read_text())


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def world(disk: Disk, tmp_path: Path) -> AsyncIterator[World]:
    """A system over a log in memory."""
    async with running_system(MemoryEventLog(fail=disk), tmp_path) as world:
        yield world


@pytest.fixture(params=["memory", "sqlite"])
async def any_world(
    request: pytest.FixtureRequest, disk: Disk, tmp_path: Path
) -> AsyncIterator[World]:
    """A system over each log."""
    if request.param == "memory":
        async with running_system(MemoryEventLog(fail=disk), tmp_path) as world:
            yield world
    else:
        async with (
            SqliteEventLog.open(tmp_path / "log.db") as log,
            running_system(log, tmp_path) as world,
        ):
            yield world


# In process


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: Any


class Browser:
    """Calls an ASGI application without a socket, with any request whatever."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(
        self,
        body: bytes | list[bytes] = b"{}",
        *,
        method: str = "POST",
        path: str = "/",
        target: str = "AWSStepFunctions.ListStateMachines",
        **headers: str,
    ) -> Reply:
        """Send a request; headers are given as `content_type="…"`."""
        sent = {"host": "127.0.0.1:8083", "content-type": "application/x-amz-json-1.0"}
        sent |= {"x-amz-target": target}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        parts = [body] if isinstance(body, bytes) else body
        messages = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ]
        answers: list[Any] = []
        await self._app(
            {
                "type": "http",
                "method": method,
                "path": path,
                "headers": [(n.encode(), v.encode()) for n, v in sent.items()],
            },
            iterate(messages),
            collect(answers),
        )
        start, end = answers
        headers_back = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], headers_back, json.loads(end["body"]))

    async def call(self, operation: str, **members: Any) -> Reply:
        """Send a request to an operation, unchecked."""
        body = json.dumps(members).encode()
        return await self(body, target=f"AWSStepFunctions.{operation}")


def iterate(messages: list[dict[str, Any]]) -> Callable[[], Awaitable[dict[str, Any]]]:
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def collect(answers: list[Any]) -> Callable[[Any], Awaitable[None]]:
    async def send(message: Any) -> None:
        answers.append(message)

    return send


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(application(world.system))


# Over a socket


class Client:
    """AWS's own client in threads, so that the server can answer meanwhile."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        """The answer, without what botocore adds."""
        answer: dict[str, Any] = await asyncio.to_thread(
            getattr(self._client, operation), **members
        )
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return answer

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """The code and the message of the error that must come."""
        with pytest.raises(ClientError) as caught:
            await self(operation, **members)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]


@pytest.fixture(scope="session")
def aws() -> botocore.session.Session:
    return botocore.session.Session()


@pytest.fixture
async def address(any_world: World) -> AsyncIterator[Address]:
    async with serving(any_world.system, "127.0.0.1", 0) as address:
        yield address


@pytest.fixture
def client(aws: botocore.session.Session, address: Address) -> Iterator[Client]:
    raw = aws.create_client(
        "stepfunctions",
        region_name="us-east-1",
        endpoint_url=address.url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}, inject_host_prefix=False),
    )
    yield Client(raw)
    raw.close()


async def finished(world: World, arn: str) -> None:
    """Wait until an execution has ended, durably."""
    row = await world.system.log.execution(arn)
    assert row is not None
    await world.system.engine.ended(row.id)


@pytest.fixture
def browser_of_any(any_world: World) -> Browser:
    return Browser(application(any_world.system))
