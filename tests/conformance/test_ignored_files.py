"""Files that the rules in a watched folder leave out."""

from pathlib import Path

import pytest

from eventmill.errors import SensorError
from tests.conformance.watched_folder import FOREVER_MS, NOW_MS, SCAN_MS, Log, watching


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


async def test_ignored_files_are_not_told_by_scans_nor_by_hints(inbox: Path) -> None:
    (inbox / ".eventmillignore").write_bytes(b"\xef\xbb\xbf*.part\r\n/tmp/\r\n")
    (inbox / "tmp").mkdir()
    for name in ("a.part", "tmp/b"):
        (inbox / name).write_text("x")

    async with watching(inbox) as watch:
        for name in ("c.part", "tmp/d"):
            watch.write(name)
        await watch.nothing_is_new()
        watch.clock.hurry_until(NOW_MS + 3 * SCAN_MS)
        await watch.clock.passes(NOW_MS + 3 * SCAN_MS)
        assert watch.log.all_told() == {("File Created", "last")}


async def test_new_rules_hold_at_once(inbox: Path) -> None:
    (inbox / ".eventmillignore").write_text("*.csv")
    async with watching(inbox) as watch:
        watch.write("a.csv")
        await watch.nothing_is_new()
        # Time stops before the next scan would be due.
        watch.clock.hurry_until(NOW_MS + SCAN_MS - 1)
        watch.write(".eventmillignore", "*.part")
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)
        watch.write("b.part")
        watch.write("c")
        await watch.log.until(lambda: len(watch.log.deliveries) == 3)

    assert watch.log.all_told() == {("File Created", path) for path in ("last", "a.csv", "c")}


async def test_a_file_that_is_ignored_from_now_on_was_not_deleted(inbox: Path) -> None:
    log = Log()
    async with watching(inbox, log=log, deletion_events=True) as watch:
        watch.write("a.csv")
        await log.told()
    (inbox / ".eventmillignore").write_text("a.csv")

    async with watching(inbox, log=log, deletion_events=True) as watch:
        watch.clock.hurry_until(FOREVER_MS)
        await watch.clock.passes(NOW_MS + 3 * SCAN_MS)
        await watch.nothing_is_new()
    assert len(log.deliveries) == 2
    assert "a.csv" in log.state


async def test_rules_that_cannot_be_read_are_an_error(inbox: Path) -> None:
    (inbox / ".eventmillignore").mkdir()
    (inbox / "a.csv").write_text("x")

    with pytest.raises(SensorError, match=r"/\.eventmillignore cannot be read: Is a directory$"):
        async with watching(inbox):
            pass
