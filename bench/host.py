"""The computer on which figures were measured, without which they say little."""

import os
import platform
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from eventmill.log.connection import sqlite_version
from eventmill.runtime.interpreter import runs_compiled

_BLOCK: Final = bytes(4_096)


def describe(folder: Path, *, quick: bool) -> dict[str, int | float | str]:
    """Processors, versions, and how often in a second the disk of `folder` can flush an append."""
    return {
        "cpus": os.cpu_count() or 1,
        "load_1_min": round(os.getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "sqlite": sqlite_version(),
        "modules": "compiled" if runs_compiled() else "interpreted",
        "fsyncs_per_s": round(_fsyncs_per_second(folder, seconds=0.05 if quick else 1.0)),
    }


def _fsyncs_per_second(folder: Path, seconds: float) -> float:
    with TemporaryFile(dir=folder, buffering=0) as file:
        count = 0
        began = time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            file.write(_BLOCK)
            os.fsync(file.fileno())
            count += 1
        return count / took
