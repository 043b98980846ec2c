"""Summaries of one month of a weather file. Each reads the rows it needs from the file itself."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from eventmill import HandlerContext, handler
from handlers.weather_file import Row, month_of, parse, read_unchanged

Summary: TypeAlias = dict[str, Any]


@handler
async def summarise_temperature(event: dict[str, Any], context: HandlerContext) -> Summary:
    """Mean and extremes of the temperature; daily files are in °C, hourly ones in °F."""
    return await asyncio.to_thread(_summarise, event, _temperature)


@handler
async def summarise_precipitation(event: dict[str, Any], context: HandlerContext) -> Summary:
    """Precipitation, wind and kinds of weather in a month of a daily file."""
    return await asyncio.to_thread(_summarise, event, _precipitation)


@handler
async def summarise_day_cycle(event: dict[str, Any], context: HandlerContext) -> Summary:
    """The warmest and the coldest hour of the average day in a month of an hourly file."""
    return await asyncio.to_thread(_summarise, event, _day_cycle)


def _summarise(event: dict[str, Any], summary: Callable[[list[Row]], Summary]) -> Summary:
    content = read_unchanged(Path(event["path"]), event["sha256"])
    return summary([row for row in parse(content).rows if month_of(row) == event["month"]])


def _temperature(rows: list[Row]) -> Summary:
    hourly = "temp" in rows[0]
    highest, lowest = ("temp", "temp") if hourly else ("temp_max", "temp_min")
    return {
        "unit": "°F" if hourly else "°C",
        "mean": _mean([(float(row[highest]) + float(row[lowest])) / 2 for row in rows]),
        "highest": _extreme(rows, highest, max),
        "lowest": _extreme(rows, lowest, min),
    }


def _precipitation(rows: list[Row]) -> Summary:
    fallen = [float(row["precipitation"]) for row in rows]
    days = Counter(str(row["weather"]) for row in rows)
    return {
        "precipitation": {
            "unit": "mm",
            "total": round(sum(fallen), 1),
            "wet_days": sum(amount > 0 for amount in fallen),
            "wettest": _extreme(rows, "precipitation", max),
        },
        "wind": {
            "unit": "m/s",
            "mean": _mean([float(row["wind"]) for row in rows]),
            "strongest": _extreme(rows, "wind", max),
        },
        "days": {weather: days[weather] for weather in sorted(days)},
    }


def _day_cycle(rows: list[Row]) -> Summary:
    temperatures = defaultdict(list)
    for row in rows:
        temperatures[str(row["date"])[11:13] + ":00"].append(float(row["temp"]))
    means = {hour: _mean(values) for hour, values in temperatures.items()}
    warmest, coldest = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    return {
        "unit": "°F",
        "warmest_hour": {"hour": warmest, "mean": means[warmest]},
        "coldest_hour": {"hour": coldest, "mean": means[coldest]},
    }


def _mean(values: list[float]) -> float:
    return round(fmean(values), 2)


def _extreme(rows: list[Row], column: str, choose: Callable[..., Row]) -> Summary:
    row = choose(rows, key=lambda each: float(each[column]))
    return {"value": row[column], "date": row["date"]}
