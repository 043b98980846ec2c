"""`eventmill up` itself on a disk that fails at its n-th call: it serves, or says why it cannot."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.crash.workload import make_project
from tests.faults.disk import library

STARTS: Final[Mapping[str, Mapping[str, str]]] = {
    f"{call} {fault}": {"DISK_CALL": call, "DISK_FAULT": fault, "DISK_FOR": calls}
    for call, fault, calls in (
        ("open", "EROFS", "1000000"),
        ("open", "EIO", "1"),
        ("write", "ENOSPC", "1"),
        ("write", "ENOSPC", "20"),
        ("sync", "EIO", "1"),
        ("truncate", "EIO", "1"),
    )
}


def start(name: str, number: int, folder: Path) -> bool:
    """Start a server, and stop it as soon as it is ready; returns whether its disk has failed.

    Raises:
        AssertionError: It ended with a traceback, or without saying what is wrong.
    """
    project = make_project(folder / "project", files=())
    hits = folder / "hits"
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library()),
        "DISK_FOLDER": str(project / ".eventmill"),
        "DISK_AT": str(number),
        "DISK_HITS": str(hits),
        **STARTS[name],
    }
    command = [sys.executable, "-m", "eventmill", "up", "--project", str(project), "--port", "0"]
    server = subprocess.Popen(
        [*command, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if '"type":"ready"' in line.replace(" ", ""):
            server.send_signal(signal.SIGTERM)
            break
    _, said = server.communicate(timeout=30)
    assert "Traceback" not in said, said
    assert "internal error" not in said, said
    assert server.returncode in (0, 3), (server.returncode, said)
    if server.returncode == 3:
        assert hits.exists(), said
        assert str(project / ".eventmill") in said, said
        assert "try: " in said, said
    return hits.exists()
