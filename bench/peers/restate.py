"""Restate: its server on one node, a service with its Python SDK, and calls through HTTP.

The server flushes its log in groups, which is its default. Handlers that wait may be suspended at
once and may be as many as are measured; otherwise all is as it comes.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.peers.http import Client, free_port, in_threads, running, until_it_answers
from bench.peers.works import (
    ALONE,
    CHAIN3,
    EVENT,
    FAN_OUT,
    HOLD,
    RECOVER,
    Request,
    answer,
    until,
    wait_to_be_killed,
)
from bench.rounds import Figures, latency

# Not the script beside it, which would leave the server alone when it ends.
_SERVER: Final = "node_modules/@restatedev/restate-server-*/bin/restate-server"
_WARM: Final = 100


class Restate:
    """A server with a service, and at what time of the day it was started."""

    def __init__(self, ports: Mapping[str, int], folder: Path, started_at: float) -> None:
        self._ingress = Client(ports["ingress"])
        self._admin = Client(ports["admin"])
        self._service = f"http://127.0.0.1:{ports['service']}"
        self._folder = folder
        self.started_at = started_at

    def register(self) -> None:
        """Tell the server where the service is, once both are there."""
        until_it_answers(lambda: self._admin.post("/deployments", {"uri": self._service}))

    def call(self, handler: str, argument: object) -> Any:
        """Call a handler and wait for what it returns."""
        return self._ingress.post(f"/bench/{handler}", argument)

    def send(self, handler: str, argument: object) -> None:
        """Call a handler and wait only until the server has taken the call."""
        self._ingress.post(f"/bench/{handler}/send", argument)

    def chain(self, _: object) -> float:
        """Run a chain; return the seconds that it took."""
        began = time.perf_counter()
        if self.call("chain3", EVENT) != EVENT:
            raise RuntimeError("a chain has another result: nothing of this counts")
        return time.perf_counter() - began

    def suspended(self) -> int:
        """How many handlers have noted when to wake up, and wait."""
        query = "SELECT COUNT(*) AS handlers FROM sys_invocation WHERE status = 'suspended'"
        answer = self._admin.post("/query", {"query": query}, {"Accept": "application/json"})
        return int(answer["rows"][0]["handlers"])

    def resumed(self) -> int:
        """How many handlers have gone on after their wait."""
        return resumed_file(self._folder).stat().st_size


def resumed_file(folder: Path) -> Path:
    """Where the service notes each handler that goes on after its wait."""
    return folder / "resumed"


def _ports(folder: Path) -> Mapping[str, int]:
    """Free ports, and on the second start in a folder the same: the server knows the service's."""
    kept = folder / "ports.json"
    if not kept.exists():
        names = ("node", "ingress", "admin", "service")
        kept.write_text(json.dumps({name: free_port() for name in names}))
    ports: dict[str, int] = json.loads(kept.read_text())
    return ports


@contextmanager
def _serving(request: Request) -> Iterator[Restate]:
    folder, home = Path(request.folder), Path(request.home)
    ports = _ports(folder)
    (program,) = home.glob(_SERVER)
    server: list[str | Path] = [program, "--base-dir", folder / "data", "--node-name", "bench"]
    service: list[str | Path] = [
        home / "bin/python",
        "-m",
        "hypercorn",
        "bench.peers.restate_service:app",
    ]
    config = folder / "hypercorn.toml"
    config.write_text(_hypercorn(ports["service"]), encoding="utf-8")
    started_at = time.time()
    with (
        # Asked to stop, it takes its time; there is nothing to keep.
        running(server, folder / "restate.log", _settings(ports), signal.SIGKILL),
        running(
            [*service, "--config", config],
            folder / "service.log",
            {"BENCH_RESUMED": str(resumed_file(folder))},
        ),
    ):
        restate = Restate(ports, folder, started_at)
        if request.work != RECOVER:
            restate.register()
        if request.work not in (HOLD, RECOVER):
            until_it_answers(lambda: restate.chain(None))
        yield restate


def _settings(ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{ports['node']}",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports['ingress']}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports['admin']}",
        "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "1s",
        "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": "10000",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "warn",
    }


def _hypercorn(port: int) -> str:
    """As the documentation of the SDK recommends for production, with two workers."""
    return "\n".join(
        (
            f'bind = "127.0.0.1:{port}"',
            "h2_max_concurrent_streams = 2147483647",
            "keep_alive_max_requests = 2147483647",
            "keep_alive_timeout = 2147483647",
            "workers = 2",
        )
    )


def _measure_chain3(restate: Restate, request: Request) -> Figures:
    in_threads(request.in_flight, restate.chain, range(_WARM))
    began = time.perf_counter()
    in_threads(request.in_flight, restate.chain, range(request.count))
    return {"per_s": request.count / (time.perf_counter() - began)}


def _measure_alone(restate: Restate, request: Request) -> Figures:
    in_threads(1, restate.chain, range(request.count // 10))
    return latency(in_threads(1, restate.chain, range(request.count)))


def _measure_fan_out(restate: Restate, request: Request) -> Figures:
    began = time.perf_counter()
    if restate.call("fan_out", request.count) != request.count:
        raise RuntimeError("items are missing: nothing of this counts")
    return {"s": time.perf_counter() - began}


def _hold(restate: Restate, request: Request) -> Figures:
    seconds = [request.wait_seconds] * request.count
    in_threads(request.in_flight, lambda each: restate.send("recover", each), seconds)
    until(lambda: restate.suspended() == request.count)
    return wait_to_be_killed()


def _recover(restate: Restate, request: Request) -> Figures:
    until(lambda: restate.resumed() >= request.count)
    return {"s": time.time() - restate.started_at}


def _on_restate(measure: Callable[[Restate, Request], Figures]) -> Callable[[Request], Figures]:
    def run(request: Request) -> Figures:
        with _serving(request) as restate:
            return measure(restate, request)

    return run


if __name__ == "__main__":
    answer(
        {
            CHAIN3: _on_restate(_measure_chain3),
            ALONE: _on_restate(_measure_alone),
            FAN_OUT: _on_restate(_measure_fan_out),
            HOLD: _on_restate(_hold),
            RECOVER: _on_restate(_recover),
        }
    )
