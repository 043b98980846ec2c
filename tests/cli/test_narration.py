"""What `eventmill up` tells of executions and of what its parts log."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from eventmill.cli.narration import Follower, Narrator, told_by
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
        (before,) = await system.log.executions()
        follower = Follower(system.log, Narrator(as_json=True, quiet=False))
        await follower.begin(before.id, before.start_ms)
        await run_execution(system, "wait", "after", {}, ends=False)
        await run_execution(system, "refused", "bad", {})
        await follower.look()
        await follower.look()
        first = documents(capsys)
        await system.engine.stop(settings.home.execution("wait", "before"), "Enough", None)
        await follower.look()
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


async def test_tells_of_what_started_or_ended_before_it_could_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(tmp_path, workflows={"refused": REFUSED}, handlers={"sums.py": HANDLERS})
    settings = load_settings(tmp_path)
    async with running(settings, load_project(settings)) as system:
        await run_execution(system, "refused", "long-ago", {})
        await run_execution(system, "refused", "recovered", {})
        _, recovered = reversed(await system.log.executions())
        assert recovered.stop_ms is not None
        await run_execution(system, "refused", "new", {})
        follower = Follower(system.log, Narrator(as_json=True, quiet=False))
        await follower.begin(recovered.id, recovered.stop_ms)
        await follower.look()

    told = [(each["type"], each["name"]) for each in documents(capsys)]
    assert [each for each in told if each[1] != "long-ago"] == [
        ("started", "new"),
        ("ended", "recovered"),
        ("ended", "new"),
    ]


async def test_says_when_more_starts_than_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(write_project(tmp_path, workflows={"wait": WAIT}))
    async with running(settings, load_project(settings)) as system:
        follower = Follower(system.log, Narrator(as_json=True, quiet=False))
        await follower.begin(0, 0)
        for number in range(60):
            await run_execution(system, "wait", str(number), {}, ends=False)
        await follower.look()

    types = [each["type"] for each in documents(capsys)]
    assert types == ["skipped", *["started"] * 50]


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
