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


@contextmanager
def files(project: Path, events: int) -> Iterator[Files]:
    yield Files(project)
