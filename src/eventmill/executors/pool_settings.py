"""How a worker pool is set up, and what its workers may see of the server's environment."""

import os
from collections.abc import Mapping
from typing import Final

from eventmill.errors import SettingsError
from eventmill.executors.answers import RESPONSE_BYTES_MAX
from eventmill.record import record

# What programs need to find their files, their language and their certificates; no secrets.
_ENVIRONMENT_ALLOWED: Final = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)


@record
class PoolSettings:
    """The limits of a worker pool. Times are seconds, sizes are bytes.

    * `workers` processes are kept; each runs up to `calls_per_worker` calls at once.
    * After `grace_seconds` a call that was cancelled, or a worker that was sent SIGTERM, is
      taken to be stuck, and the worker is killed.
    * A worker whose loop has been blocked for `blocked_seconds` gets no more work. Its other
      calls are run elsewhere when it is still blocked `rescue_seconds` after that.
    * A worker may take `start_seconds` to start, and as long for an import.
    * A worker is replaced after `calls_max` calls, or when it holds `resident_bytes_recycle` and
      is older than `recycle_seconds_min`: what handlers import may weigh as much from the start.
    * A worker that holds `resident_bytes_max` is killed; a handler that asks for more than
      `data_bytes_max` (RLIMIT_DATA) gets a MemoryError. None means no limit.
    * A handler may return `response_bytes_max` of JSON.
    * A call is run again at most `reruns_max` times because of what its neighbours did.
    * `environment` is added to the few variables of the server that workers may see.
    * `preload` imports all handlers before a worker takes calls.
    """

    workers: int = 2
    calls_per_worker: int = 100
    grace_seconds: float = 1.0
    blocked_seconds: float = 1.0
    rescue_seconds: float = 5.0
    start_seconds: float = 30.0
    calls_max: int | None = 100_000
    resident_bytes_recycle: int | None = 512 * 1024 * 1024
    recycle_seconds_min: float = 60.0
    resident_bytes_max: int | None = 1024 * 1024 * 1024
    data_bytes_max: int | None = None
    response_bytes_max: int = RESPONSE_BYTES_MAX
    reruns_max: int = 3
    environment: Mapping[str, str] | None = None
    preload: bool = False

    def __post_init__(self) -> None:
        for name in ("workers", "calls_per_worker"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("grace_seconds", "blocked_seconds", "rescue_seconds", "start_seconds"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be positive, not {getattr(self, name)}")

    @property
    def pulse_seconds(self) -> float:
        """How often workers and pool look after each other."""
        return min(0.25, self.blocked_seconds / 4)


def worker_environment(server: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: the allowed part of the server's, and `extra`.

    >>> worker_environment({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "…"}, {"MODE": "test"})
    {'PATH': '/bin', 'MODE': 'test'}
    """
    allowed = {
        name: value
        for name, value in server.items()
        if name in _ENVIRONMENT_ALLOWED or name.startswith("LC_")
    }
    if "PYTHONPATH" in server:
        # Workers run in the project's folder, where a relative path would lead elsewhere.
        paths = server["PYTHONPATH"].split(os.pathsep)
        allowed["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, filter(None, paths)))
    return allowed | dict(extra)
