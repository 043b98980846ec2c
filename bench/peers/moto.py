"""moto's server with its interpreter of state machines: threads, and everything in memory.

The variant `pass` runs Pass states. The variant `lambda` calls a function, which moto answers by
itself and without running any code, as it does where there is no Docker.
"""

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import boto3  # type: ignore[import-untyped]  # boto3 has no types

from bench.chain3 import HANDLER
from bench.peers.http import Client, free_port, running, until_it_answers
from bench.peers.step_functions import PASSES, TASKS, StepFunctions, works
from bench.peers.works import Request, answer

_CONFIG: Final = {
    "stepfunctions": {"execute_state_machine": True},
    "lambda": {"use_docker": False},
}
_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def _serving(request: Request) -> Iterator[StepFunctions]:
    port = free_port()
    command: list[str | Path] = [Path(request.home) / "bin/moto_server", "--port", str(port)]
    # Its state machines call its Lambda at this port.
    environment = {**_CREDENTIALS, "MOTO_PORT": str(port)}
    started_at = time.time()
    with running(command, Path(request.folder) / "moto.log", environment):
        client = Client(port)
        until_it_answers(lambda: client.post("/moto-api/config", _CONFIG))
        yield StepFunctions(port, _create(port, request.variant), started_at)


def _create(port: int, variant: str) -> dict[str, str]:
    """Create what is run; return the ARNs of the state machines by name."""
    session = boto3.Session("bench", "bench", region_name=_CREDENTIALS["AWS_DEFAULT_REGION"])
    endpoint = f"http://127.0.0.1:{port}"
    iam, functions, states = (
        session.client(service, endpoint_url=endpoint)
        for service in ("iam", "lambda", "stepfunctions")
    )
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with ZipFile(code, "w") as archive:
        archive.writestr("bench.py", "")
    functions.create_function(
        FunctionName=HANDLER,
        Role=role,
        Runtime="python3.11",
        Handler="bench.handler",
        Code={"ZipFile": code.getvalue()},
    )
    arns = {}
    for name, definition in (TASKS if variant == "lambda" else PASSES).items():
        created = states.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=role
        )
        arns[name] = str(created["stateMachineArn"])
    return arns


if __name__ == "__main__":
    answer(works(_serving))
