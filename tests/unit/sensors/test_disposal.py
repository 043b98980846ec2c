"""Moving files on real disks."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventmill.sensors.disposal import move


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("new")
    return path


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to move a file to")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def names(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_moves_into_folders_that_are_made(source: Path, tmp_path: Path) -> None:
    inode = source.stat().st_ino
    assert move(str(source), f"{tmp_path}/done/day/a.csv") == f"{tmp_path}/done/day/a.csv"
    assert not source.exists()
    assert (tmp_path / "done/day/a.csv").stat().st_ino == inode


@pytest.mark.parametrize(
    ("name", "other"),
    [("a.csv", "a.1.csv"), ("a.tar.gz", "a.tar.1.gz"), ("a", "a.1"), (".a", ".a.1")],
)
def test_takes_another_name_rather_than_overwrite(
    source: Path, tmp_path: Path, name: str, other: str
) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / name).write_text("old")
    assert move(str(source), f"{tmp_path}/done/{name}") == f"{tmp_path}/done/{other}"
    assert names(tmp_path / "done") == {name: "old", other: "new"}


def test_moves_to_another_disk_with_its_times(source: Path, other_disk: Path) -> None:
    modified_ns = source.stat().st_mtime_ns
    (other_disk / "a.csv").write_text("old")
    assert move(str(source), f"{other_disk}/a.csv") == f"{other_disk}/a.1.csv"
    assert names(other_disk) == {"a.csv": "old", "a.1.csv": "new"}
    assert not source.exists()
    assert (other_disk / "a.1.csv").stat().st_mtime_ns == modified_ns


def test_a_copy_that_a_crash_left_on_another_disk_is_the_file(
    source: Path, other_disk: Path
) -> None:
    os.link(source, f"{source}.kept")
    move(str(source), f"{other_disk}/a.csv")
    os.rename(f"{source}.kept", source)
    (other_disk / ".a.csv.eventmill-part").write_text("ha")  # of a copy before that
    move(str(source), f"{other_disk}/a.csv")
    assert names(other_disk) == {"a.csv": "new"}
    assert not source.exists()


def test_the_same_bytes_written_at_another_time_are_another_file(
    source: Path, other_disk: Path
) -> None:
    move(str(source), f"{other_disk}/a.csv")
    source.write_text("new")
    os.utime(source, ns=(0, 1))
    move(str(source), f"{other_disk}/a.csv")
    assert names(other_disk) == {"a.csv": "new", "a.1.csv": "new"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of other users")
def test_moves_what_may_have_no_second_name(source: Path, tmp_path: Path) -> None:
    # Linux refuses links to the files of others that one may not write, where it is set up so.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, 65534, 65534)
        source.rename(folder / "a.csv")
        (folder / "taken.csv").write_text("old")
        os.seteuid(65534)
        try:
            move(f"{folder}/a.csv", f"{folder}/taken.csv")
        finally:
            os.seteuid(0)
        assert names(folder) == {"taken.csv": "old", "taken.1.csv": "new"}


def test_what_cannot_be_moved_stays_where_it_is(source: Path, tmp_path: Path) -> None:
    (tmp_path / "done").write_text("in the way")
    with pytest.raises(OSError, match="File exists"):
        move(str(source), f"{tmp_path}/done/a.csv")
    assert source.read_text() == "new"
