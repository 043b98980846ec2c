"""The summaries of the example pipeline, on the real files."""

from pathlib import Path

import pytest

from eventmill import HandlerContext, HandlerError
from eventmill.model import Json
from handlers.weather_file import digest
from handlers.weather_summaries import (
    summarise_day_cycle,
    summarise_precipitation,
    summarise_temperature,
)

CONTEXT = HandlerContext(function_name="summarise")
pytestmark = pytest.mark.usefixtures("project")


def month(path: Path, month: str) -> dict[str, Json]:
    return {"path": str(path), "sha256": digest(path.read_bytes()), "month": month}


async def test_temperature_of_a_month_of_days(observations: Path) -> None:
    event = month(observations / "seattle-weather.csv", "2012-01")

    assert await summarise_temperature(event, CONTEXT) == {
        "unit": "°C",
        "mean": 4.3,
        "highest": {"value": 12.8, "date": "2012/01/01"},
        "lowest": {"value": -3.3, "date": "2012/01/15"},
    }


async def test_temperature_of_a_month_of_hours(observations: Path) -> None:
    event = month(observations / "sf-temps.csv", "2010-09")

    assert await summarise_temperature(event, CONTEXT) == {
        "unit": "°F",
        "mean": 62.49,
        "highest": {"value": 72.2, "date": "2010/09/01 14:00:00"},
        "lowest": {"value": 56.4, "date": "2010/09/29 05:00:00"},
    }


async def test_precipitation_wind_and_weather_of_a_month(observations: Path) -> None:
    event = month(observations / "seattle-weather.csv", "2012-01")

    assert await summarise_precipitation(event, CONTEXT) == {
        "precipitation": {
            "unit": "mm",
            "total": 173.3,
            "wet_days": 22,
            "wettest": {"value": 27.7, "date": "2012/01/29"},
        },
        "wind": {"unit": "m/s", "mean": 3.9, "strongest": {"value": 8.2, "date": "2012/01/21"}},
        "days": {"drizzle": 2, "rain": 18, "snow": 7, "sun": 4},
    }


async def test_the_average_day_of_a_month_of_hours(observations: Path) -> None:
    event = month(observations / "seattle-temps.csv", "2010-07")

    assert await summarise_day_cycle(event, CONTEXT) == {
        "unit": "°F",
        "warmest_hour": {"hour": "16:00", "mean": 73.87},
        "coldest_hour": {"hour": "05:00", "mean": 56.53},
    }


async def test_a_file_that_changed_after_its_check_is_not_summarised(inbox: Path) -> None:
    path = inbox / "seattle.csv"
    path.write_text("date,temp\n2010/01/01 00:00,39.4\n")
    event = month(path, "2010-01")
    path.write_text("date,temp\n2010/01/01 00:00,39.5\n")

    with pytest.raises(HandlerError) as caught:
        await summarise_temperature(event, CONTEXT)

    assert caught.value.error == "WeatherFileChanged"
