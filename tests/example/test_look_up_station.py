"""The unreliable service of the example: what its retry sees."""

import pytest

from eventmill import HandlerContext, HandlerError
from handlers.weather_stations import look_up_station


def attempt(number: int) -> HandlerContext:
    return HandlerContext(function_name="look_up_station", attempt=number, idempotency_key="k")


async def test_the_first_attempt_is_refused_every_time() -> None:
    for _ in range(2):
        with pytest.raises(HandlerError) as caught:
            await look_up_station({"name": "seattle-weather.csv"}, attempt(1))
        assert caught.value.error == "StationDirectoryUnavailable"


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(
    ("name", "station"),
    [
        ("seattle-weather.csv", "Seattle"),
        ("SF-temps.csv", "San Francisco"),
        ("sf.csv", "San Francisco"),
    ],
)
async def test_later_attempts_are_answered(number: int, name: str, station: str) -> None:
    found = await look_up_station({"name": name}, attempt(number))

    assert found == {"name": station, "timezone": "America/Los_Angeles"}


async def test_an_unknown_station_fails_under_a_name_that_is_not_retried() -> None:
    with pytest.raises(HandlerError) as caught:
        await look_up_station({"name": "atlantis-weather.csv"}, attempt(2))

    assert caught.value.error == "StationUnknown"
    assert caught.value.cause == "No station is called 'atlantis'; known are seattle, sf."
