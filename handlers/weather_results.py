"""The end of the weather pipeline: one result for each file."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from eventmill import HandlerContext, handler
from handlers.project_files import write_durably
from handlers.weather_file import read_unchanged
from handlers.weather_folders import draft_of, place


@handler
async def write_weather_result(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Write `result` for the file at `path` to data/results, whole or not at all.

    Repeating it is harmless: the same execution writes the same bytes, and an execution whose
    file has changed meanwhile writes nothing over the result of the newer version.

    Raises:
        HandlerError: WeatherFileChanged, WeatherFileUnreadable.
    """
    return await asyncio.to_thread(_write, event, context.idempotency_key)


def _write(event: dict[str, Any], key: str) -> dict[str, Any]:
    path, result = Path(event["path"]), event["result"]
    read_unchanged(path, event["sha256"])
    target = place("results", path).with_suffix(".json")
    draft = draft_of(target, key)
    content = json.dumps({**result, "idempotency_key": key}, indent=2, ensure_ascii=False)
    write_durably(draft, content.encode() + b"\n")
    os.replace(draft, target)
    return {"path": str(target), "title": result["title"]}
