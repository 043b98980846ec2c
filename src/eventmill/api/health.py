"""`GET /health`: whether the server works, for people, probes and load balancers."""

from eventmill import __version__
from eventmill.model import Json
from eventmill.runtime.system import System


def health(system: System) -> tuple[int, dict[str, Json]]:
    """The HTTP status and the body.

    `status` is `ok`; `degraded` while a sensor has a problem, which leaves the rest working; or
    `failed`, with HTTP 503, when a part of the system has failed for good.
    """
    problems = system.supervisor.problems
    sensors: list[Json] = [
        {"name": name, "problem": problems.get(name)}
        for name in sorted(watch.sensor.name for watch in system.watches)
    ]
    failed = system.broken.done()
    status = "failed" if failed else "degraded" if problems else "ok"
    return 503 if failed else 200, {
        "status": status,
        "version": __version__,
        "executionsInMemory": system.engine.in_memory,
        "sensors": sensors,
    }
