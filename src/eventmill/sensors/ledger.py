"""What a sensor has published of a folder, and which of its files are waiting to be."""

import heapq
from collections.abc import Mapping
from itertools import islice


class Ledger:
    """The versions published, by path, as the event log remembers them too.

    A file that is gone stays in the ledger until the log has forgotten it, which it does along
    with the next event. Until then the same version of it is nothing new when it comes back.
    """

    def __init__(self, published: Mapping[str, bytes]) -> None:
        self._versions = dict(published)
        self._gone: set[str] = set()
        self._forgettable: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path in self._versions

    def is_news(self, path: str, version: bytes) -> bool:
        """Whether this version was not published yet, or the file was thought to be gone."""
        return self._versions.get(path) != version or path in self._gone

    def holds(self, path: str, version: bytes) -> bool:
        """Whether this version was published."""
        return self._versions.get(path) == version

    def is_there(self, path: str) -> bool:
        """Whether the file was published and has not been gone since."""
        return path in self._versions and path not in self._gone

    def back(self, path: str) -> None:
        """Take note that a file is there, in a version that was published."""
        self._gone.discard(path)
        self._forgettable.discard(path)

    def gone(self, path: str, *, forget: bool) -> None:
        """Take note that a file is not there; `forget` says whether that is certain."""
        if path in self._versions:
            self._gone.add(path)
            if forget:
                self._forgettable.add(path)

    def lacks(self, seen: int) -> bool:
        """Whether files must be gone when `seen` of those in the ledger were there."""
        return seen + len(self._forgettable) < len(self._versions)

    def versions(self) -> dict[str, bytes]:
        """A copy of what was published, for another thread."""
        return dict(self._versions)

    def version(self, path: str) -> bytes | None:
        """The version that was published."""
        return self._versions.get(path)

    def is_surely_gone(self, path: str) -> bool:
        """Whether the log may forget the file."""
        return path in self._forgettable

    def forgettable(self, paths_max: int) -> list[str]:
        """Take files that the log may forget now."""
        taken = list(islice(self._forgettable, paths_max))
        self._forgettable.difference_update(taken)
        return taken

    def published(self, path: str, version: bytes, forgotten: list[str]) -> None:
        """Take note of what the log has stored."""
        for each in forgotten:
            # It may have come back while the log was being written.
            if each in self._gone:
                self._gone.remove(each)
                del self._versions[each]
        self._versions[path] = version
        self.back(path)

    def forgotten(self, path: str) -> None:
        """Take note that the log has forgotten a file."""
        self._versions.pop(path, None)
        self.back(path)


class _Waiting:
    __slots__ = ("complete", "due_ms", "since_ms", "version")

    def __init__(self, version: bytes, since_ms: int) -> None:
        self.version = version
        self.since_ms = since_ms
        self.due_ms: int | None = None
        self.complete = False


class Settling:
    """Files that are watched until they have not changed for a while.

    Those that their writer is known to have completed need `stable_ms`, the others `unclosed_ms`.
    """

    def __init__(self, *, stable_ms: int, unclosed_ms: int) -> None:
        self._stable_ms = stable_ms
        self._unclosed_ms = unclosed_ms
        self._waiting: dict[str, _Waiting] = {}
        self._due: list[tuple[int, str]] = []

    def see(self, path: str, version: bytes, *, complete: bool, now_ms: int) -> bool:
        """Take note of what was seen; True when the file has been the same for long enough.

        Otherwise it will be due at the end of its time, to be seen again.
        """
        waiting = self._waiting.get(path)
        if waiting is None or waiting.version != version:
            waiting = self._waiting[path] = _Waiting(version, now_ms)
        waiting.complete = waiting.complete or complete
        due_ms = waiting.since_ms + (self._stable_ms if waiting.complete else self._unclosed_ms)
        if due_ms <= now_ms:
            return True
        if waiting.due_ms != due_ms:
            waiting.due_ms = due_ms
            heapq.heappush(self._due, (due_ms, path))
        return False

    def drop(self, path: str) -> None:
        """Wait for this file no longer."""
        self._waiting.pop(path, None)

    def next_due_ms(self) -> int | None:
        """When the first file is due."""
        while self._due and not self._is_current(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def take_due(self, now_ms: int, paths_max: int) -> list[str]:
        """Files that are due, to be looked at and seen again."""
        paths: list[str] = []
        while len(paths) < paths_max:
            due_ms = self.next_due_ms()
            if due_ms is None or due_ms > now_ms:
                break
            path = heapq.heappop(self._due)[1]
            self._waiting[path].due_ms = None
            paths.append(path)
        return paths

    def _is_current(self, due_ms: int, path: str) -> bool:
        waiting = self._waiting.get(path)
        return waiting is not None and waiting.due_ms == due_ms
