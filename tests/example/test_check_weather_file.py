"""The gate of the example pipeline: real files pass, and a bad one hears all that is wrong."""

import json
from pathlib import Path

import pytest

from eventmill import HandlerContext, HandlerError
from eventmill.model import AWS_QUOTAS, Json
from handlers.weather_intake import PROBLEMS_LISTED_MAX, check_weather_file

CONTEXT = HandlerContext(function_name="check_weather_file")
DAILY = "date,precipitation,temp_max,temp_min,wind,weather"
DAY = "a day of the calendar, written 2012/01/31"
RAIN = "an amount of rain and melted snow in millimetres, 0 to 2000"
COLD = "a temperature in degrees Celsius, -90 to 60"
TOLD = "a file of daily weather has date, precipitation, temp_max, temp_min, wind, weather"


async def check(inbox: Path, content: str | bytes) -> dict[str, Json]:
    path = inbox / "seattle.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found: dict[str, Json] = await check_weather_file({"path": str(path)}, CONTEXT)
    return found


def bad(*problems: tuple[int | None, str | None, str]) -> dict[str, Json]:
    """What the check says of a file with these problems: row, column, message."""
    return {
        "valid": False,
        "name": "seattle.csv",
        "problem_count": len(problems),
        "problems": [
            {"message": message, "row": row, "column": column} for row, column, message in problems
        ],
    }


@pytest.mark.parametrize(
    ("name", "kind", "rows", "months", "first", "sha256"),
    [
        ("seattle-weather.csv", "daily", 1461, 48, {"month": "2012-01", "rows": 31}, "62f0609f"),
        ("seattle-temps.csv", "hourly", 8759, 12, {"month": "2010-01", "rows": 744}, "c2206665"),
        ("sf-temps.csv", "hourly", 8759, 12, {"month": "2010-01", "rows": 744}, "3f916997"),
    ],
)
async def test_accepts_the_real_files(
    project: Path,
    observations: Path,
    name: str,
    kind: str,
    rows: int,
    months: int,
    first: Json,
    sha256: str,
) -> None:
    found = await check_weather_file({"path": str(observations / name)}, CONTEXT)

    assert (found["valid"], found["name"], found["kind"], found["rows"]) == (True, name, kind, rows)
    assert (len(found["months"]), found["months"][0]) == (months, first)
    assert sum(month["rows"] for month in found["months"]) == rows
    assert found["sha256"].startswith(sha256)
    assert len(json.dumps(found)) < AWS_QUOTAS.payload_bytes_max // 50


async def test_groups_rows_of_any_order_by_month(inbox: Path) -> None:
    rows = ["2012/02/01,0,1,0,1,sun", "2012/01/31,0,1,0,1,sun", "2012/02/02,0,1,0,1,sun"]

    found = await check(inbox, "\n".join([DAILY, *rows]))

    assert found["months"] == [{"month": "2012-01", "rows": 1}, {"month": "2012-02", "rows": 2}]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
async def test_reads_other_delimiters_a_byte_order_mark_and_quotes(
    inbox: Path, delimiter: str
) -> None:
    text = f'{DAILY}\r\n"2012/01/01",0.0,12.8,-5.0,4.7,"drizzle"\r\n\r\n'

    found = await check(inbox, b"\xef\xbb\xbf" + text.replace(",", delimiter).encode())

    assert (found["valid"], found["kind"], found["rows"]) == (True, "daily", 1)


async def test_names_a_missing_column(inbox: Path) -> None:
    content = "date,precipitation,temp_max,temp_min,weather\n2012/01/01,0,12.8,5,drizzle\n"

    assert await check(inbox, content) == bad((1, "wind", f"the column is missing; {TOLD}"))


async def test_names_unknown_and_repeated_columns(inbox: Path) -> None:
    assert await check(inbox, f"{DAILY},wind,sunshine\n") == bad(
        (1, "sunshine", f"the column is unknown; {TOLD}"),
        (1, "wind", f"the column is there twice; {TOLD}"),
    )


async def test_reports_every_bad_cell_with_row_and_column(inbox: Path) -> None:
    rows = [
        "2012/01/01,0.0,12.8,5.0,4.7,drizzle",
        "2012/02/30,0.0,12.8,5.0,4.7,drizzle",
        "2012/01/03,none,12.8,,4.7,drizzle",
        "2012/01/04,0.0,12.8,5.0",
        "2012/01/05,-1.0,12.8,5.0,NaN,hail",
    ]

    assert await check(inbox, "\n".join([DAILY, *rows])) == bad(
        (3, "date", f'"2012/02/30" is not {DAY}'),
        (4, "precipitation", f'"none" is not {RAIN}'),
        (4, "temp_min", f'"" is not {COLD}'),
        (5, None, "the row has 4 fields, the header 6"),
        (6, "precipitation", f"-1.0 is not {RAIN}"),
        (6, "wind", '"NaN" is not a wind speed in metres per second, 0 to 120'),
        (6, "weather", '"hail" is not one of drizzle, fog, rain, snow, sun'),
    )


async def test_refuses_a_date_in_another_form(inbox: Path) -> None:
    hour = "an hour of a day of the calendar, written 2010/01/31 23:00, with or without seconds"

    assert await check(inbox, "date,temp\n2010-01-01 00:00,39.4\nmonday,39.4\n") == bad(
        (2, "date", f'"2010-01-01 00:00" is not {hour}'),
        (3, "date", f'"monday" is not {hour}'),
    )


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
async def test_says_that_a_file_is_empty(inbox: Path, content: str) -> None:
    assert await check(inbox, content) == bad((None, None, "the file is empty"))


async def test_says_that_a_file_has_a_header_only(inbox: Path) -> None:
    expected = bad((None, None, "there is nothing below the header"))

    assert await check(inbox, f"{DAILY}\n") == expected


async def test_says_where_a_file_is_not_utf_8(inbox: Path) -> None:
    content = DAILY.encode() + b"\n2012/01/01,0.0,12.8,5.0,4.7,dr\xefzzle\n"
    message = "the file is not UTF-8: byte 0xef at 80"

    assert await check(inbox, content) == bad((2, None, message))


async def test_says_where_a_quote_is_left_open(inbox: Path) -> None:
    content = f'{DAILY}\n2012/01/01,0.0,12.8,5.0,4.7,"drizzle\n'

    assert await check(inbox, content) == bad((2, None, "no CSV: unexpected end of data"))


async def test_counts_all_problems_but_lists_no_more_than_a_payload_holds(inbox: Path) -> None:
    rows = [f"2010/01/01 00:00,{'x' * 10_000}"] * 5000

    found = await check(inbox, "\n".join(["date,temp", *rows]))

    assert found["problem_count"] == 5000
    assert isinstance(found["problems"], list)
    assert len(found["problems"]) == PROBLEMS_LISTED_MAX
    assert len(json.dumps(found)) < AWS_QUOTAS.payload_bytes_max


async def test_fails_by_name_when_the_file_is_gone(inbox: Path) -> None:
    path = inbox / "gone.csv"

    with pytest.raises(HandlerError) as caught:
        await check_weather_file({"path": str(path)}, CONTEXT)

    assert caught.value.error == "WeatherFileUnreadable"
    assert caught.value.cause == f"{path} cannot be read: No such file or directory"
