"""What `eventmill up` tells of executions and of what its parts log."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from eventmill.cli.narration import Follower, Narrator, told_by
from eventmill.log.memory import MemoryEventLog
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import running
from tests.cli.projects import HANDLERS, REFUSED, WAIT, run_execution, write_project


def documents(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_tells_each_start_and_each_end_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflows = {"wait": WAIT, "refused": REFUSED}
    write_project(tmp_path, workflows=workflows, handlers={"sums.py": HANDLERS})
    settings = load_settings(tmp_path)
    async with running(settings, load_project(settings)) as system:
        await run_execution(system, "wait", "before", {}, ends=False)
    follower = Follower(Narrator(as_json=True, quiet=False))
    async with running(settings, load_project(settings), follower) as system:
        await run_execution(system, "wait", "after", {}, ends=False)
        await run_execution(system, "refused", "bad", {})
        await follower.tell(system.log)
        await follower.tell(system.log)
        first = documents(capsys)
        await system.engine.stop(settings.home.execution("wait", "before"), "Enough", None)
        await follower.tell(system.log)
        second = documents(capsys)

    assert [(each["type"], each["name"], each["status"]) for each in first] == [
        ("started", "after", "RUNNING"),
        ("started", "bad", "FAILED"),
        ("ended", "bad", "FAILED"),
    ]
    assert first[2]["error"] == "ValueError"
    assert [(each["type"], each["name"], each.get("error")) for each in second] == [
        ("ended", "before", "Enough")
    ]


async def test_tells_by_itself_and_touches_nothing_while_nothing_happens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(write_project(tmp_path, workflows={"wait": WAIT}))
    follower = Follower(Narrator(as_json=True, quiet=False))
    async with running(settings, load_project(settings), follower) as system:
        telling = asyncio.create_task(follower.run(MemoryEventLog()))
        await run_execution(system, "wait", "new", {}, ends=False)
        for _ in range(3):
            await asyncio.sleep(0)
        told = documents(capsys)
        await system.engine.stop(settings.home.execution("wait", "new"), None, None)
        assert documents(capsys) == []  # what happens within the pause is told after it
        await follower.tell(system.log)
        told += documents(capsys)
        telling.cancel()

    assert [(each["type"], each["status"]) for each in told] == [
        ("started", "RUNNING"),
        ("ended", "ABORTED"),
    ]


async def test_says_when_more_starts_than_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(write_project(tmp_path, workflows={"wait": WAIT}))
    follower = Follower(Narrator(as_json=True, quiet=False))
    async with running(settings, load_project(settings), follower) as system:
        for number in range(60):
            await run_execution(system, "wait", str(number), {}, ends=False)
        await follower.tell(system.log)
        types = [each["type"] for each in documents(capsys)]
        for name in ("0", "59"):
            await system.engine.stop(settings.home.execution("wait", name), None, None)
        await follower.tell(system.log)
        ended = [each["name"] for each in documents(capsys)]

    assert types == ["skipped", *["started"] * 50]
    assert ended == ["0"]


@pytest.mark.parametrize(
    ("quiet", "out"),
    [(False, ["all is well", "double: counted \\x07"]), (True, [])],
)
def test_passes_on_what_parts_and_handlers_log(
    quiet: bool, out: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with told_by(Narrator(as_json=False, quiet=quiet)):
        logging.getLogger("eventmill.runtime").info("all is well")
        logging.getLogger("eventmill.runtime").warning("the disk is %s", "full")
        logging.getLogger("eventmill.handlers.double").info("counted \x07")
        logging.getLogger("others").warning("not ours")
    logging.getLogger("eventmill.runtime").info("nobody listens")

    said = capsys.readouterr()
    lines = [line[10:].removeprefix("says       ") for line in said.out.splitlines()]
    assert lines == out
    assert said.err == "Warning: the disk is full\n"


@pytest.mark.parametrize("debug", [False, True])
def test_mistakes_of_ours_in_a_part_that_goes_on_are_told_in_short(
    debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with told_by(Narrator(as_json=False, quiet=True, debug=debug)):
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("eventmill.api").exception("request 7 failed")

    said = capsys.readouterr().err
    assert said.startswith(
        "Warning: request 7 failed: "
        + ("Traceback" if debug else "internal error: KeyError: 'x'\n  at ")
    )
    assert ("Traceback" in said) is debug


def test_passes_on_what_parts_log_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with told_by(Narrator(as_json=True, quiet=False)):
        logging.getLogger("eventmill.runtime").warning("the disk is %s", "full")

    assert documents(capsys) == [
        {
            "type": "log",
            "level": "warning",
            "logger": "eventmill.runtime",
            "message": "the disk is full",
        }
    ]
