"""Events by HTTP while the server is killed again and again: each starts its executions once.

`EVENTS=10000 pytest tests/crash/test_http_feed.py` sends more of them.
"""

import asyncio
import http.client
import json
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from eventmill.cli.server_file import read_server_file
from eventmill.log.audit import audit_database
from eventmill.log.sqlite import SqliteEventLog
from eventmill.runtime.outbox import BUS
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import running
from tests.cli.servers import server

EVENTS: Final = int(os.environ.get("EVENTS", "240"))
SENDERS: Final = 4
BATCH: Final = 10
KILLS: Final = 3
LOOK_SECONDS: Final = 0.01
PAGE: Final = 1_000

PASS: Final = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
ON_ORDERS: Final = {"EventPattern": {"source": ["my.shop"]}, "Target": {"StateMachine": "order"}}
ON_ENDS: Final = {
    "EventPattern": {
        "source": ["aws.states"],
        "detail": {"stateMachineArn": [{"suffix": ":order"}], "status": ["SUCCEEDED"]},
    },
    "Target": {"StateMachine": "after"},
}


def make_project(folder: Path) -> Path:
    for name in ("workflows", "triggers", "handlers"):
        (folder / name).mkdir(parents=True)
    for name in ("order", "after"):
        (folder / f"workflows/{name}.asl.json").write_text(json.dumps(PASS))
    (folder / "triggers/orders.json").write_text(json.dumps(ON_ORDERS))
    (folder / "triggers/ends.json").write_text(json.dumps(ON_ENDS))
    return folder


class Feed:
    """Sends all events, and each batch until it has its 202, whatever server there is."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._changed = threading.Condition()
        self._batches = [range(first, first + BATCH) for first in range(0, EVENTS, BATCH)]
        self.acknowledged = 0
        self.refused = 0
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, acknowledged: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.acknowledged >= min(acknowledged, EVENTS))

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while True:
            with self._changed:
                if not self._batches:
                    return
                numbers = self._batches.pop()
            events = [
                {"id": f"o-{n}", "source": "my.shop", "detail-type": "Order", "detail": {"n": n}}
                for n in numbers
            ]
            body = json.dumps(events)
            while not self._is_taken(body):
                with self._changed:
                    self.refused += 1
                    self._changed.wait(LOOK_SECONDS)
            with self._changed:
                self.acknowledged += len(numbers)
                self._changed.notify_all()

    def _is_taken(self, body: str) -> bool:
        parts = urlsplit(read_server_file(self._project / ".eventmill") or "http://127.0.0.1:9")
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/events", body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        assert response.status == 202
        return True


async def finish(project: Path) -> None:
    """Let the last server take up what the others left."""
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        while (  # noqa: ASYNC110 - there is no event
            await system.log.sensor_state(BUS) or await system.log.executions(status="RUNNING")
        ):
            await asyncio.sleep(LOOK_SECONDS)


async def executions(project: Path, machine: str) -> list[Any]:
    arn = f"arn:aws:states:local:000000000000:stateMachine:{machine}"
    rows: list[Any] = []
    async with SqliteEventLog.open(project / ".eventmill/log.db", read_only=True) as log:
        page: Sequence[Any] = ()
        while page or not rows:
            before = rows[-1].id if rows else None
            page = await log.executions(state_machine_arn=arn, before_id=before, limit=PAGE)
            rows += page
            if len(page) < PAGE:
                break
    return rows


def test_every_event_that_is_repeated_until_its_202_comes_once(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    feed = Feed(project)
    for number in range(1, KILLS + 1):
        with server(project, "--port", "0", "--quiet") as served:
            feed.wait_for(EVENTS * number // (KILLS + 1))
            served.signal(signal.SIGKILL)
    with server(project, "--port", "0", "--quiet"):
        feed.join()
    asyncio.run(finish(project))

    orders = asyncio.run(executions(project, "order"))
    afters = asyncio.run(executions(project, "after"))
    assert feed.refused > 0, "nothing was ever repeated"
    assert sorted(row.event for row in orders) == sorted(
        ("my.shop", f"o-{number}") for number in range(EVENTS)
    )
    assert len({row.event for row in afters}) == len(afters) == EVENTS
    assert {row.status for row in (*orders, *afters)} == {"SUCCEEDED"}
    assert audit_database(project / ".eventmill/log.db").problem is None
