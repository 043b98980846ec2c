"""Where the weather pipeline keeps its files, and how it writes one whole. Not a handler."""

import hashlib
import os
from pathlib import Path


def project() -> Path:
    """The root of the project: `EVENTMILL_PROJECT`, else the current folder."""
    return Path(os.environ.get("EVENTMILL_PROJECT") or os.getcwd()).resolve()


def inbox() -> Path:
    """The folder that triggers/weather-intake.yaml watches."""
    return project() / "data" / "inbox"


def place(folder: str, path: Path) -> Path:
    """Where under data/`folder` the file `path` belongs: at the same place as in the inbox.

    A file from elsewhere goes to the top of the folder.
    """
    path = path.resolve()
    inside = path.relative_to(inbox()) if path.is_relative_to(inbox()) else Path(path.name)
    return project() / "data" / folder / inside


def draft_of(target: Path, key: str) -> Path:
    """The name under which `target` is written before it appears under its own.

    It follows from the idempotency key, so a repetition takes over what a crash left behind.
    """
    return target.with_name(f".{target.name}.{hashlib.sha256(key.encode()).hexdigest()[:16]}")


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, and return once it is on the disk; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
