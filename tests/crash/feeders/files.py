"""Files that are put into a folder."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventmill.events import TriggerEvent


class Files:
    """Each event is a new file."""

    environment: Mapping[str, str] = {}
    sources: Sequence[Mapping[str, Any]] = (
        {"Type": "filesystem", "Path": "inbox", "StableSeconds": 0, "ScanSeconds": 2},
    )

    def __init__(self, project: Path) -> None:
        self._inbox = project / "inbox"
        self._draft = project / "draft"
        self._inbox.mkdir(parents=True)

    def feed(self, numbers: range) -> None:
        for number in numbers:
            self._draft.write_text(str(number))
            self._draft.rename(self._inbox / f"{number}.txt")

    def number(self, event: TriggerEvent) -> int:
        assert event.detail_type == "File Created"
        return int(str(event.detail["name"]).removesuffix(".txt"))


class ProcessedFiles(Files):
    """The same, moved when their executions have succeeded; none of them is deleted."""

    sources: Sequence[Mapping[str, Any]] = (
        {
            **Files.sources[0],
            "DeletionEvents": True,
            "AfterSuccess": {"Action": "move", "To": "inbox/done"},
        },
    )


@contextmanager
def files(project: Path, events: int) -> Iterator[Files]:
    yield Files(project)


@contextmanager
def processed_files(project: Path, events: int) -> Iterator[ProcessedFiles]:
    yield ProcessedFiles(project)
    # Some were moved, the rest is left to the next server; none is lost, and none is there twice.
    files = sorted(path.name for path in (project / "inbox").rglob("*.txt"))
    assert files == sorted(f"{number}.txt" for number in range(events))
