"""The works through the API of AWS Step Functions, on any server that speaks it.

Executions are started by some threads. For their end the client looks: at one execution every
millisecond while only that one runs, and else at the list of those still running, so that looking
costs a server next to nothing.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from bench import chain3, map1000
from bench.peers.http import Client, in_threads
from bench.peers.works import (
    ALONE,
    CHAIN3,
    EVENT,
    FAN_OUT,
    HOLD,
    RECOVER,
    Request,
    Works,
    items,
    until,
    wait_to_be_killed,
)
from bench.rounds import Figures, latency

_LOOK_SECONDS: Final = 0.001
_PAGE: Final = 1_000

# Without a signature that names the service, moto does not know whom a call is for.
_SIGNED: Final = (
    "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/{service}/aws4_request, "
    "SignedHeaders=host, Signature=0"
)

TASKS: Final[Mapping[str, Any]] = {CHAIN3: chain3.DEFINITION, FAN_OUT: map1000.DEFINITION}
"""State machines by name, whose tasks call a function that does nothing."""

_NAMES: Final = ("First", "Second", "Third")
PASSES: Final[Mapping[str, Any]] = {
    CHAIN3: {
        "StartAt": "First",
        "States": {
            name: {"Type": "Pass", **({"Next": following} if following else {"End": True})}
            for name, following in zip(_NAMES, (*_NAMES[1:], None), strict=True)
        },
    },
    FAN_OUT: {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "ItemProcessor": {
                    "StartAt": "Pass",
                    "States": {"Pass": {"Type": "Pass", "End": True}},
                },
                "End": True,
            }
        },
    },
}
"""The same with states that do nothing in place of tasks."""

SLEEP: Final[Mapping[str, Any]] = {
    "StartAt": "Sleep",
    "States": {
        "Sleep": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "First"},
        "First": {**chain3.DEFINITION["States"]["Third"]},
    },
}


class StepFunctions:
    """A server, the ARNs of its state machines, and at what time of the day it was started."""

    def __init__(self, port: int, arns: Mapping[str, str], started_at: float) -> None:
        self._client = Client(port)
        self._arns = arns
        self.started_at = started_at

    def call(self, operation: str, **fields: Any) -> Any:
        """Call an operation of Step Functions."""
        return call(self._client, "states", f"AWSStepFunctions.{operation}", fields)

    def start(self, machine: str, data: object) -> str:
        """Start an execution and return its ARN."""
        # moto does not make up a name, as AWS does.
        fields = {"name": uuid.uuid4().hex, "input": json.dumps(data)}
        started = self.call("StartExecution", stateMachineArn=self._arns[machine], **fields)
        return str(started["executionArn"])

    def run(self, machine: str, data: object) -> None:
        """Run an execution to its end."""
        execution = self.start(machine, data)
        described: dict[str, Any] = {}

        def has_ended() -> bool:
            described.update(self.call("DescribeExecution", executionArn=execution))
            return bool(described["status"] != "RUNNING")

        until(has_ended, _LOOK_SECONDS)
        if described["status"] != "SUCCEEDED":
            raise RuntimeError(f"nothing of this counts: {described}")

    def until_all_ended(self, machine: str, count: int) -> None:
        """Wait until nothing runs, and see that so many have succeeded."""
        until(lambda: not self._page(machine, "RUNNING", 1)["executions"])
        succeeded = 0
        token: dict[str, str] = {}
        while True:
            page = self._page(machine, "SUCCEEDED", _PAGE, **token)
            succeeded += len(page["executions"])
            if not page.get("nextToken"):
                break
            token = {"nextToken": page["nextToken"]}
        if succeeded != count:
            raise RuntimeError(f"{succeeded} of {count} succeeded: nothing of this counts")

    def _page(self, machine: str, status: str, size: int, **token: str) -> Any:
        asked = {"stateMachineArn": self._arns[machine], "statusFilter": status}
        return self.call("ListExecutions", maxResults=size, **asked, **token)


def call(client: Client, service: str, target: str, fields: Mapping[str, Any]) -> Any:
    """Call an operation of a service that speaks AWS JSON."""
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": target,
        "Authorization": _SIGNED.format(service=service),
    }
    return client.post("/", fields, headers)


def _measure_chain3(server: StepFunctions, request: Request) -> Figures:
    warm = request.in_flight
    in_threads(warm, lambda _: server.run(CHAIN3, EVENT), range(warm))
    began = time.perf_counter()
    in_threads(request.in_flight, lambda _: server.start(CHAIN3, EVENT), range(request.count))
    server.until_all_ended(CHAIN3, request.count + warm)
    return {"per_s": request.count / (time.perf_counter() - began)}


def _measure_alone(server: StepFunctions, request: Request) -> Figures:
    took = []
    for _ in range(request.count // 10 + request.count):
        began = time.perf_counter()
        server.run(CHAIN3, EVENT)
        took.append(time.perf_counter() - began)
    return latency(took[-request.count :])


def _measure_fan_out(server: StepFunctions, request: Request) -> Figures:
    server.run(CHAIN3, EVENT)
    began = time.perf_counter()
    server.run(FAN_OUT, items(request.count))
    return {"s": time.perf_counter() - began}


def _hold(server: StepFunctions, request: Request) -> Figures:
    data = {**EVENT, "seconds": request.wait_seconds}
    in_threads(request.in_flight, lambda _: server.start(RECOVER, data), range(request.count))
    return wait_to_be_killed()


def _recover(server: StepFunctions, request: Request) -> Figures:
    server.until_all_ended(RECOVER, request.count)
    return {"s": time.time() - server.started_at}


def works(serving: Callable[[Request], AbstractContextManager[StepFunctions]]) -> Works:
    """All works on such a server, which is started for each."""

    def on_server(
        measure: Callable[[StepFunctions, Request], Figures],
    ) -> Callable[[Request], Figures]:
        def run(request: Request) -> Figures:
            with serving(request) as server:
                return measure(server, request)

        return run

    return {
        CHAIN3: on_server(_measure_chain3),
        ALONE: on_server(_measure_alone),
        FAN_OUT: on_server(_measure_fan_out),
        HOLD: on_server(_hold),
        RECOVER: on_server(_recover),
    }
