"""Where the weather pipeline keeps its files. Not a handler."""

import hashlib
from pathlib import Path

from handlers.project_files import project


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
