from typing import Any

import pytest

from eventmill.model import Json
from eventmill.schedules.zone import HOUR_MS, UTC, zone
from eventmill.triggers.schedule import ScheduleSource
from eventmill.triggers.trigger import InvalidTrigger, parse_trigger


def read(**fields: Json) -> Any:
    source: Json = {"Type": "schedule", **fields}
    return parse_trigger("t", {"Source": source, "Target": {"StateMachine": "m"}}).source


def mistakes_in(**fields: Json) -> list[tuple[str, str]]:
    with pytest.raises(InvalidTrigger) as raised:
        read(**fields)
    return list(raised.value.mistakes)


def test_reads_every_field() -> None:
    assert read(
        Name="nightly",
        ScheduleExpression=" cron(0  9 * * ? *) ",
        ScheduleExpressionTimezone="Europe/Berlin",
        StartDate="2026-11-20T00:00:00",
        EndDate="2027-11-20T00:00:00Z",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        CatchUp="all",
    ) == ScheduleSource(
        expression="cron(0 9 * * ? *)",
        timezone="Europe/Berlin",
        title="nightly",
        start_ms=zone(UTC).read("2026-11-19T23:00:00"),
        end_ms=zone(UTC).read("2027-11-20T00:00:00"),
        window_minutes=15,
        catch_up="all",
    )


def test_what_is_left_out_has_a_default() -> None:
    source = read(ScheduleExpression="@daily")

    assert source == ScheduleSource(expression="@daily")
    assert (source.timezone, source.catch_up, source.window_minutes) == ("UTC", "last", 0)
    assert read(ScheduleExpression="@daily", FlexibleTimeWindow={"Mode": "OFF"}) == source


def test_the_name_follows_from_what_is_due_and_when_it_begins_and_from_nothing_else() -> None:
    plain = ScheduleSource(expression="@daily")
    same = ScheduleSource(expression="@daily", end_ms=5, window_minutes=3, catch_up="all")
    others = [
        ScheduleSource(expression="@hourly"),
        ScheduleSource(expression="@daily", timezone="Europe/Berlin"),
        ScheduleSource(expression="@daily", start_ms=1),
        ScheduleSource(expression="@daily", title="mine"),
        ScheduleSource(expression="@hourly", title="mine"),
    ]

    assert same.name == plain.name
    assert len({each.name for each in (plain, *others)}) == 6
    assert others[3].name.startswith("schedule:mine#")


def test_a_rate_runs_from_its_start() -> None:
    source = read(ScheduleExpression="rate(2 hours)", StartDate="2026-11-20T01:00:00")

    assert source.schedule.next_after(0) == source.start_ms
    assert source.schedule.next_after(source.start_ms) == source.start_ms + 2 * HOUR_MS


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({}, "ScheduleExpression", "is missing"),
        ({"ScheduleExpression": "rate(5 weeks)"}, "ScheduleExpression", "'5 weeks' is no rate"),
        ({"ScheduleExpression": "cron(0 0 30 2 ? *)"}, "ScheduleExpression", "no time that ever"),
        (
            {"ScheduleExpression": "@daily", "ScheduleExpressionTimezone": "Europe/Berln"},
            "ScheduleExpressionTimezone",
            "there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'",
        ),
        (
            {"ScheduleExpression": "@daily", "StartDate": "2026-11-20"},
            "StartDate",
            "write it like 2026-11-20T13:00:00",
        ),
        (
            {
                "ScheduleExpression": "@daily",
                "StartDate": "2026-11-20T00:00:00",
                "EndDate": "2026-11-19T00:00:00",
            },
            "EndDate",
            "lies before StartDate",
        ),
        (
            {"ScheduleExpression": "at(2026-11-20T00:00:00)", "EndDate": "2026-11-19T00:00:00"},
            "EndDate",
            "needs no StartDate",
        ),
        (
            {"ScheduleExpression": "@daily", "FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
            "FlexibleTimeWindow/MaximumWindowInMinutes",
            "whole number, 1 to 1440",
        ),
        (
            {
                "ScheduleExpression": "@daily",
                "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": True},
            },
            "FlexibleTimeWindow/MaximumWindowInMinutes",
            "whole number",
        ),
        (
            {
                "ScheduleExpression": "@daily",
                "FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5},
            },
            "FlexibleTimeWindow/MaximumWindowInMinutes",
            "only with Mode FLEXIBLE",
        ),
        (
            {"ScheduleExpression": "@daily", "FlexibleTimeWindow": {"Mode": "ON"}},
            "FlexibleTimeWindow/Mode",
            "is OFF or FLEXIBLE, not 'ON'",
        ),
        ({"ScheduleExpression": "@daily", "CatchUp": "some"}, "CatchUp", "one of all, last, none"),
        ({"ScheduleExpression": "@daily", "Name": "a b"}, "Name", "cannot name a schedule"),
        ({"ScheduleExpression": "@daily", "Path": "x"}, "Path", "there is no such field"),
    ],
)
def test_mistakes(fields: dict[str, Json], place: str, message: str) -> None:
    (mistake,) = mistakes_in(**fields)

    assert mistake[0] == f"/Source/{place}"
    assert message in mistake[1]
