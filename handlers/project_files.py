"""The files of the project that handlers read and write. Not a handler."""

import os
from pathlib import Path


def project() -> Path:
    """The root of the project: `EVENTMILL_PROJECT`, else the current folder."""
    return Path(os.environ.get("EVENTMILL_PROJECT") or os.getcwd()).resolve()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, and return once it is on the disk; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
