"""One server for each log: a lock that the kernel releases however its holder ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventmill.errors import LogInUse, LogUnavailable


@contextmanager
def held(log: Path) -> Iterator[None]:
    """Hold the lock of `log`: the file `<log>.lock` beside it, which names the holder's process.

    The file stays when the lock is released; what counts is the lock on it. Children that run
    another program do not inherit it; one that is only forked does, and keeps it while it lives.

    Raises:
        LogInUse: Another process holds the lock; the message names it.
        LogUnavailable: The file cannot be created or locked.
    """
    path = log.with_name(f"{log.name}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LogUnavailable(f"cannot open {path}: {error.strerror}") from error
    try:
        _lock(descriptor, path, log)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, log: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise LogInUse(f"the log {log} is in use by the process {holder}") from error
    except OSError as error:
        raise LogUnavailable(f"cannot lock {path}: {error.strerror}") from error
