import asyncio
import threading
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileClosedNoWriteEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

from eventmill.sensors.hints import Hint, Hints, Kind, Listener


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (FileClosedEvent("/in/a"), [Hint(Kind.COMPLETE, "a")]),
        (FileClosedEvent(b"/in/sub/a"), [Hint(Kind.COMPLETE, "sub/a")]),
        (
            FileMovedEvent("/in/a", "/in/b"),
            [Hint(Kind.TOUCHED, "a"), Hint(Kind.COMPLETE, "b")],
        ),
        (FileMovedEvent("/in/a", ""), [Hint(Kind.TOUCHED, "a")]),
        (FileMovedEvent("", "/in/b"), [Hint(Kind.COMPLETE, "b")]),
        (FileDeletedEvent("/in/a"), [Hint(Kind.DELETED, "a")]),
        (FileModifiedEvent("/in/a"), [Hint(Kind.TOUCHED, "a")]),
        (DirCreatedEvent("/in/d"), [Hint(Kind.FOLDER, "d")]),
        (DirMovedEvent("/out/d", "/in/d"), [Hint(Kind.FOLDER, "d")]),
        (FileClosedNoWriteEvent("/in/a"), []),
        (FileClosedEvent("/inside/a"), []),
    ],
)
async def test_translates_what_watchdog_says(event: FileSystemEvent, expected: list[Hint]) -> None:
    hints = Hints("/in")
    Listener(hints, "/in", prompt=True).dispatch(event)
    hints.add(Hint(Kind.TOUCHED, "end"))

    assert await hints.take() == ([*expected, Hint(Kind.TOUCHED, "end")], False)


async def test_hearing_late_of_a_closed_file_does_not_tell_that_it_is_complete() -> None:
    hints = Hints("/in")
    Listener(hints, "/in", prompt=False).dispatch(FileClosedEvent("/in/a"))

    assert await hints.take() == ([Hint(Kind.TOUCHED, "a")], False)


async def test_a_hint_that_is_repeated_counts_from_its_last_time() -> None:
    hints = Hints("/in")
    for path in ("a", "b", "a"):
        hints.add(Hint(Kind.COMPLETE, path))

    assert await hints.take() == ([Hint(Kind.COMPLETE, "b"), Hint(Kind.COMPLETE, "a")], False)


async def test_holds_no_more_than_its_limit_and_says_what_it_lost() -> None:
    hints = Hints("/in", hints_max=2)
    for path in ("a", "b", "c", "d"):
        hints.add(Hint(Kind.COMPLETE, path))

    assert await hints.take() == ([Hint(Kind.COMPLETE, "a"), Hint(Kind.COMPLETE, "b")], True)
    hints.add(Hint(Kind.COMPLETE, "e"))
    assert await hints.take() == ([Hint(Kind.COMPLETE, "e")], False)


async def test_takes_hints_from_other_threads() -> None:
    hints = Hints("/in")
    taking = asyncio.create_task(hints.take())
    await asyncio.to_thread(hints.add, Hint(Kind.COMPLETE, "a"))

    assert await taking == ([Hint(Kind.COMPLETE, "a")], False)


def inotify_threads() -> list[str]:
    names = (type(thread).__name__ for thread in threading.enumerate())
    return [name for name in names if name.startswith("Inotify")]


async def test_goes_on_without_hints_when_the_system_gives_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hints = Hints(f"{tmp_path}/none")
    await asyncio.to_thread(hints.start, recursive=True)

    assert inotify_threads() == []
    assert caplog.messages == [
        f"{tmp_path}/none: changes are found by scanning only: No such file or directory"
    ]


async def test_listens_until_it_is_stopped_and_not_again(tmp_path: Path) -> None:
    hints = Hints(str(tmp_path))
    await asyncio.to_thread(hints.start, recursive=True)
    assert inotify_threads()
    await asyncio.to_thread(hints.stop)
    assert inotify_threads() == []
    await asyncio.to_thread(hints.start, recursive=True)
    assert inotify_threads() == []
