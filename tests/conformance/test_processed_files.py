"""Files that are moved or deleted once all executions that they started have ended."""

import os
from pathlib import Path
from typing import Any

import pytest

from eventmill.errors import LogUnavailable
from eventmill.sensors.afterwards import Processed
from eventmill.triggers.filesystem import Disposal
from tests.conformance.watched_folder import Executions, Log, Watch, watching

DONE = Disposal(to="done")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def executions() -> Executions:
    return Executions()


def files(folder: Path) -> dict[str, str]:
    """The files in a folder and below, with what they hold."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


async def told(watch: Watch, path: str, text: str = "x") -> str:
    """Write a file; the id of its event, once that is durable."""
    before = len(watch.log.deliveries)
    watch.write(path, text)
    await watch.log.until(lambda: len(watch.log.deliveries) > before)
    return watch.log.deliveries[-1].event.id


async def forgotten(watch: Watch, path: str) -> None:
    """Wait until nothing is remembered of a file."""
    await watch.log.until(lambda: not {path, f"/{path}"} & watch.log.state.keys())


async def test_a_file_is_moved_when_its_executions_have_succeeded(
    inbox: Path, executions: Executions
) -> None:
    (inbox / "day").mkdir()
    async with watching(
        inbox, executions=executions, after_success=DONE, deletion_events=True
    ) as watch:
        event_id = await told(watch, "day/a.csv", "1,2")
        assert watch.log.state.keys() == {"day/a.csv", "/day/a.csv"}
        await watch.scanned()
        assert files(inbox) == {"day/a.csv": "1,2"}

        executions.end(event_id)
        await forgotten(watch, "day/a.csv")
        assert files(inbox) == {}
        assert files(inbox.parent / "done") == {"day/a.csv": "1,2"}
        await watch.scanned()
        await watch.nothing_is_new()


async def test_a_file_that_failed_stays(inbox: Path, executions: Executions) -> None:
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        executions.end(await told(watch, "a.csv"), Processed.FAILED)
        await watch.log.until(lambda: watch.log.state.keys() == {"a.csv"})

    assert files(inbox.parent) == {"inbox/a.csv": "x"}


async def test_after_a_failure_a_file_goes_where_the_source_says(
    inbox: Path, executions: Executions
) -> None:
    async with watching(
        inbox,
        executions=executions,
        after_success=Disposal(to=None),
        after_failure=Disposal(to="failed"),
    ) as watch:
        failed, succeeded = await told(watch, "a.csv"), await told(watch, "b.csv")
        executions.end(failed, Processed.FAILED)
        await forgotten(watch, "a.csv")
        executions.end(succeeded)
        await forgotten(watch, "b.csv")

    assert files(inbox.parent) == {"failed/a.csv": "x"}


async def test_what_started_nothing_stays(inbox: Path, executions: Executions) -> None:
    executions.otherwise = Processed.NOTHING
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        await told(watch, "a.csv")
        await watch.log.until(lambda: watch.log.state.keys() == {"a.csv"})

    assert files(inbox.parent) == {"inbox/a.csv": "x"}


async def test_a_file_whose_start_is_held_is_looked_after_at_each_scan(
    inbox: Path, executions: Executions
) -> None:
    executions.otherwise = Processed.HELD
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        await told(watch, "a.csv")
        await watch.scanned()
        assert watch.log.state.keys() == {"a.csv", "/a.csv"}

        executions.otherwise = Processed.SUCCEEDED  # nobody tells
        await watch.scanned()
        await forgotten(watch, "a.csv")

    assert files(inbox.parent) == {"done/a.csv": "x"}


async def test_an_execution_that_ended_before_its_event_was_acknowledged_counts(
    inbox: Path, executions: Executions
) -> None:
    executions.otherwise = Processed.SUCCEEDED
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        await told(watch, "a.csv")
        await forgotten(watch, "a.csv")

    assert files(inbox.parent) == {"done/a.csv": "x"}


async def test_a_file_stays_until_its_event_is_acknowledged(
    inbox: Path, executions: Executions
) -> None:
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        watch.log.open.clear()
        watch.write("a.csv")
        await watch.log.until(lambda: watch.log.in_flight == 1)
        executions.end(watch.log.handed_over[0].event.id)
        await watch.scanned()
        assert files(inbox.parent) == {"inbox/a.csv": "x"}
        watch.log.open.set()
        await watch.log.until(lambda: bool(watch.log.deliveries))
        await forgotten(watch, "a.csv")

    assert files(inbox.parent) == {"done/a.csv": "x"}


async def test_what_lies_in_the_folder_of_what_was_processed_is_not_new(
    inbox: Path, executions: Executions
) -> None:
    done = Disposal(to="inbox/done [1]")
    for _ in range(2):
        async with watching(
            inbox, executions=executions, after_success=done, deletion_events=True
        ) as watch:
            executions.end(await told(watch, "a.csv"))
            await forgotten(watch, "a.csv")
            watch.write("done [1]/by hand.csv")
            await watch.scanned()
            await watch.scanned()
            await watch.nothing_is_new()
            assert watch.log.all_told() == {("File Created", "a.csv"), ("File Created", "last")}
            (inbox / "last").unlink()
            (inbox / "done [1]/by hand.csv").unlink()

    assert files(inbox) == {"done [1]/a.csv": "x", "done [1]/a.1.csv": "x"}


async def test_nothing_is_overwritten(inbox: Path, executions: Executions) -> None:
    taken = inbox.parent / "done"
    taken.mkdir()
    (taken / "a.csv").write_text("old")
    (taken / "a.1.csv").symlink_to("nowhere")
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        executions.end(await told(watch, "a.csv", "new"))
        await forgotten(watch, "a.csv")

    assert files(taken) == {"a.csv": "old", "a.2.csv": "new"}


async def test_a_file_that_has_changed_since_is_not_moved(
    inbox: Path, executions: Executions
) -> None:
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        first = await told(watch, "a.csv", "1")
        watch.log.open.clear()
        watch.write("a.csv", "22")
        await watch.log.until(lambda: watch.log.in_flight == 1)
        executions.end(first)
        watch.log.open.set()
        await watch.log.until(lambda: len(watch.log.deliveries) == 2)
        await watch.scanned()
        assert files(inbox.parent) == {"inbox/a.csv": "22"}

        executions.end(watch.log.deliveries[1].event.id)
        await forgotten(watch, "a.csv")
    assert files(inbox.parent) == {"done/a.csv": "22"}


async def test_a_file_changed_at_the_last_moment_is_told_and_not_moved(
    inbox: Path, executions: Executions
) -> None:
    log = Log()
    async with watching(inbox, log=log, executions=executions, after_success=DONE) as watch:
        event_id = await told(watch, "a.csv", "1")
    (inbox / "a.csv").write_text("22")
    executions.end(event_id)

    async with watching(inbox, log=log, executions=executions, after_success=DONE) as watch:
        assert files(inbox.parent) == {"inbox/a.csv": "22"}
        await watch.settled(1_000)
        await log.until(lambda: len(log.deliveries) == 2)
        executions.end(log.deliveries[1].event.id)
        await forgotten(watch, "a.csv")


async def test_what_ended_while_nobody_watched_is_moved_at_the_start(
    inbox: Path, executions: Executions
) -> None:
    log = Log()
    async with watching(inbox, log=log, executions=executions, after_success=DONE) as watch:
        ids = [await told(watch, f"{number}.csv") for number in range(2)]
    executions.end(ids[0])

    async with watching(inbox, log=log, executions=executions, after_success=DONE) as watch:
        assert files(inbox.parent) == {"done/0.csv": "x", "inbox/1.csv": "x"}
        assert log.state.keys() == {"1.csv", "/1.csv"}
        executions.end(ids[1])
        await forgotten(watch, "1.csv")
    assert files(inbox.parent) == {"done/0.csv": "x", "done/1.csv": "x"}


async def test_a_crash_between_the_move_and_its_commit_is_made_up_for(
    inbox: Path, executions: Executions
) -> None:
    log = Log()
    source: dict[str, Any] = {"after_success": DONE, "deletion_events": True}
    async with watching(inbox, log=log, executions=executions, **source) as watch:
        event_id = await told(watch, "a.csv")
        await told(watch, "b.csv")
        log.fails = True
        executions.end(event_id)
        assert isinstance(await watch.failure, LogUnavailable)
    assert log.state.keys() == {"a.csv", "/a.csv", "b.csv", "/b.csv"}
    assert files(inbox.parent) == {"done/a.csv": "x", "inbox/b.csv": "x"}

    log.fails = False
    async with watching(inbox, log=log, executions=executions, **source) as watch:
        assert log.state.keys() == {"b.csv", "/b.csv"}
        await watch.scanned()
        await watch.nothing_is_new()
    assert log.all_told() == {("File Created", path) for path in ("a.csv", "b.csv", "last")}


async def test_a_crash_within_the_move_leaves_one_file(inbox: Path, executions: Executions) -> None:
    log = Log()
    async with watching(inbox, log=log, executions=executions, after_success=DONE) as watch:
        event_id = await told(watch, "a.csv")
    (inbox.parent / "done").mkdir()
    os.link(inbox / "a.csv", inbox.parent / "done/a.csv")
    executions.end(event_id)

    async with watching(inbox, log=log, executions=executions, after_success=DONE):
        assert files(inbox.parent) == {"done/a.csv": "x"}


async def test_what_cannot_be_moved_is_said_and_tried_again(
    inbox: Path, executions: Executions, caplog: pytest.LogCaptureFixture
) -> None:
    (inbox.parent / "done").write_text("in the way")
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        executions.end(await told(watch, "a.csv"))
        await watch.scanned()
        await watch.scanned()
        assert files(inbox) == {"a.csv": "x"}
        assert caplog.messages == [
            f"{inbox}/a.csv is passed over: it cannot be put away: File exists"
        ]
        (inbox.parent / "done").unlink()
        await watch.scanned()
        await forgotten(watch, "a.csv")

    assert files(inbox.parent) == {"done/a.csv": "x"}


async def test_a_file_that_is_deleted_while_its_execution_runs_was_deleted(
    inbox: Path, executions: Executions
) -> None:
    log = Log()
    source: dict[str, Any] = {"after_success": DONE, "deletion_events": True}
    async with watching(inbox, log=log, executions=executions, **source) as watch:
        event_id = await told(watch, "a.csv")
        (inbox / "a.csv").unlink()
        await log.until(lambda: len(log.deliveries) == 2)
        assert log.deliveries[1].event.detail_type == "File Deleted"
        assert log.state == {}
        executions.end(event_id)
        await watch.nothing_is_new()


async def test_the_same_name_may_come_again_and_again(inbox: Path, executions: Executions) -> None:
    executions.otherwise = Processed.SUCCEEDED
    async with watching(inbox, executions=executions, after_success=DONE) as watch:
        for number in range(3):
            await told(watch, "a.csv", str(number))
            await forgotten(watch, "a.csv")

        kinds = {each.event.detail_type for each in watch.log.deliveries}
    assert kinds == {"File Created"}
    assert files(inbox.parent / "done") == {"a.csv": "0", "a.1.csv": "1", "a.2.csv": "2"}
