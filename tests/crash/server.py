"""A server that kills itself at a named point: `server.py PROJECT FILES [POINT TIMES]`.

Without a point it runs until as many executions as there are files have ended, and exits with 0.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from eventmill.faults import POINTS, set_hook
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import System, running


def kill_at(wanted: str, times: int) -> None:
    assert wanted in POINTS
    passed = 0

    def hook(name: str) -> None:
        nonlocal passed
        passed += name == wanted
        if passed == times and name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    set_hook(hook)


async def ended(system: System, files: int) -> None:
    """Wait until every file's execution has ended; new ones are looked for every 20 ms."""
    seen: set[int] = set()
    while len(seen) < files:
        for row in await system.log.executions():
            if row.id not in seen:
                await system.engine.ended(row.id)
                seen.add(row.id)
        await asyncio.sleep(0.02)


async def main(project: Path, files: int) -> None:
    settings = load_settings(project)
    async with running(settings, load_project(settings)) as system:
        await ended(system, files)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        kill_at(sys.argv[3], int(sys.argv[4]))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
