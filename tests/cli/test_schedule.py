"""`eventmill schedule next` and `eventmill backfill`, the latter on a real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.projects import DOUBLE, HANDLERS, PASS, write_project
from tests.cli.servers import server

HOURLY = {
    "Source": {"Type": "schedule", "ScheduleExpression": "0 * * * *", "Name": "hourly"},
    "Target": {"StateMachine": "plain"},
}


def make(folder: Path, **triggers: Any) -> Path:
    project = write_project(
        folder, workflows={"plain": PASS, "double": DOUBLE}, handlers={"sums.py": HANDLERS}
    )
    (project / "triggers").mkdir(exist_ok=True)
    for name, trigger in triggers.items():
        (project / f"triggers/{name}.json").write_text(json.dumps(trigger))
    return project


def schedule(expression: str, **fields: Any) -> dict[str, Any]:
    return {
        "Source": {"Type": "schedule", "ScheduleExpression": expression, **fields},
        "Target": {"StateMachine": "plain"},
    }


# schedule next


def test_shows_when_a_schedule_is_due_in_its_zone(run: Run, tmp_path: Path) -> None:
    daily = schedule("cron(30 9 * * ? *)", ScheduleExpressionTimezone="Asia/Kolkata")
    project = make(tmp_path, daily=daily)

    result = run("schedule", "next", "daily", "-n", "3", "--project", project)

    assert (result.exit_code, result.stderr) == (0, "")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["SCHEDULED", "IN", "TRIGGER"]
    assert len(rows) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\d 09:30:00\+05:30 Asia/Kolkata ", row) for row in rows)
    assert rows == sorted(rows)


def test_shows_all_schedules_together_and_those_of_disabled_triggers_only_when_asked(
    run: Run, tmp_path: Path
) -> None:
    often, never = schedule("*/30 * * * *"), {**schedule("* * * * *"), "Enabled": False}
    project = make(tmp_path, hourly=HOURLY, often=often, never=never)

    result = run("schedule", "next", "-n", "6", "--project", project, "--json")
    times = json.loads(result.stdout)["times"]

    assert [each["trigger"] for each in times].count("hourly") == 2
    assert [each["scheduledTime"] for each in times] == sorted(
        each["scheduledTime"] for each in times
    )
    asked = run("schedule", "next", "never", "-n", "1", "--project", project)
    assert asked.stdout.rstrip().endswith("never (disabled)")


def test_shows_the_moment_within_a_window_and_another_zone(run: Run, tmp_path: Path) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60}
    project = make(tmp_path, daily=schedule("@daily", FlexibleTimeWindow=window))

    arguments = ("schedule", "next", "--project", project, "-n", "1")
    shown = run(*arguments, "--timezone", "Asia/Tokyo").stdout
    (time,) = json.loads(run(*arguments, "--json").stdout)["times"]

    assert "STARTS" in shown
    assert " 09:00:00+09:00 Asia/Tokyo" in shown
    assert time["scheduledTime"] < time["startTime"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "the project has no trigger 'nobody'"),
        (["files"], "the trigger 'files' has no schedule"),
        (["--timezone", "Mars"], "there is no time zone 'Mars'"),
    ],
)
def test_says_what_there_is_not(
    arguments: list[str], message: str, run: Run, tmp_path: Path
) -> None:
    files = {
        "Source": {"Type": "filesystem", "Path": "."},
        "Target": {"StateMachine": "plain"},
    }
    result = run("schedule", "next", *arguments, "--project", make(tmp_path, files=files))

    assert result.exit_code != 0
    assert message in result.stderr


def test_says_when_nothing_comes(run: Run, tmp_path: Path) -> None:
    assert "no schedules" in run("schedule", "next", "--project", make(tmp_path)).stdout
    once = make(tmp_path, once=schedule("at(2020-01-01T00:00:00)"))
    assert "Nothing is due" in run("schedule", "next", "--project", once).stdout


# backfill


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    failing = {**HOURLY, "Target": {"StateMachine": "double", "Input": {"wrong": 1}}}
    project = make(tmp_path_factory.mktemp("served"), hourly=HOURLY, failing=failing)
    with server(project, "--port", "0") as running:
        running.told("ready")
        yield project


SPAN = ("--from", "2026-03-01T00:00:00", "--to", "2026-03-01T04:30:00")


def outcomes(text: str) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [(each["scheduledTime"][11:16], each["outcome"]) for each in lines]


def test_a_dry_run_lists_and_starts_nothing(run: Run, tmp_path: Path) -> None:
    project = make(tmp_path, hourly=HOURLY)

    result = run("backfill", "hourly", *SPAN, "--dry-run", "--project", project)

    assert result.exit_code == 0
    assert [line[11:16] for line in result.stdout.splitlines()[:-1]] == [
        *("00:00", "01:00", "02:00", "03:00", "04:00")
    ]
    assert result.stdout.endswith("5 executions would be started\n")


def test_starts_each_time_once_and_goes_on_where_it_ended(run: Run, served: Path) -> None:
    first = run("backfill", "hourly", "--from", "2026-03-01", "--to", "2026-03-01T01:00:00Z",
                "--project", served, "--json")  # fmt: skip
    second = run("backfill", "hourly", *SPAN, "--project", served, "--json", "--concurrency", "3")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert outcomes(first.stdout) == [("00:00", "SUCCEEDED"), ("01:00", "SUCCEEDED")]
    assert sorted(outcomes(second.stdout)) == [
        ("00:00", "SUCCEEDED before"),
        ("01:00", "SUCCEEDED before"),
        ("02:00", "SUCCEEDED"),
        ("03:00", "SUCCEEDED"),
        ("04:00", "SUCCEEDED"),
    ]
    summary = run("backfill", "hourly", *SPAN, "--project", served).stdout.splitlines()[-1]
    assert summary == "5 SUCCEEDED, 5 of these were there before"


def test_stops_after_a_failure_or_keeps_going(run: Run, served: Path) -> None:
    stopped = run("backfill", "failing", *SPAN, "--project", served)
    going = run("backfill", "failing", *SPAN, "--project", served, "--keep-going", "--json")

    assert (stopped.exit_code, going.exit_code) == (1, 1)
    assert stopped.stdout.splitlines()[-1] == "1 FAILED, 4 not started"
    assert [outcome for _, outcome in outcomes(going.stdout)] == ["FAILED before", *["FAILED"] * 4]


@pytest.mark.parametrize(
    ("trigger", "arguments", "message"),
    [
        (schedule("rate(1 hour)"), ["--from", "2026-03-01"], "has no StartDate and never ran"),
        (schedule("* * * * *"), ["--from", "2020-01-01"], "more than 100,000 times"),
        (schedule("* * * * *"), ["--from", "yesterday"], "is not a date-time"),
    ],
)
def test_refuses(
    trigger: dict[str, Any], arguments: list[str], message: str, run: Run, tmp_path: Path
) -> None:
    result = run("backfill", "t", *arguments, "--project", make(tmp_path, t=trigger))

    assert result.exit_code != 0
    assert message in result.stderr
