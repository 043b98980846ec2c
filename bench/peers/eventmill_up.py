"""`eventmill up`, as it is by default: handlers in worker processes, called through HTTP."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import chain3_workers
from bench.peers.http import Client, free_port, running, until_it_answers
from bench.peers.step_functions import SLEEP, TASKS, StepFunctions, call, works
from bench.peers.works import RECOVER, Request, answer, folder_of
from bench.server import HOME

_DEFINITIONS: Final = {**TASKS, RECOVER: SLEEP}


@contextmanager
def _serving(request: Request) -> Iterator[StepFunctions]:
    project = folder_of(request, "project")
    for name in ("workflows", "handlers"):
        (project / name).mkdir(exist_ok=True)
    for name, definition in _DEFINITIONS.items():
        (project / f"workflows/{name}.asl.json").write_text(json.dumps(definition))
    (project / "handlers/measured.py").write_text(chain3_workers.HANDLERS)
    (project / "eventmill.toml").write_text("")
    port = free_port()
    client = Client(port)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "eventmill",
        "up",
        "--project",
        project,
        "--port",
        str(port),
    ]
    started_at = time.time()
    with running(command, Path(request.folder) / "eventmill.log"):
        until_it_answers(lambda: call(client, "states", "AWSStepFunctions.ListStateMachines", {}))
        arns = {name: HOME.state_machine(name) for name in _DEFINITIONS}
        yield StepFunctions(port, arns, started_at)


if __name__ == "__main__":
    answer(works(_serving))
