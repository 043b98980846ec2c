"""The gate of the weather pipeline: is a dropped file good, and where does it go if not?"""

import asyncio
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from eventmill import HandlerContext, handler
from handlers.project_files import write_durably
from handlers.weather_file import (
    Problem,
    WeatherFileInvalid,
    WeatherTable,
    check,
    digest,
    month_of,
    parse,
    read_content,
)
from handlers.weather_folders import draft_of, place

# Payloads are limited to 262,144 bytes; nobody mends a file by its thousandth problem anyway.
PROBLEMS_LISTED_MAX: Final = 100


@handler
async def check_weather_file(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Hold the file at `path` against its schema; say which months it has, or what is wrong."""
    return await asyncio.to_thread(_check, Path(event["path"]))


@handler
async def quarantine_weather_file(event: dict[str, Any], context: HandlerContext) -> dict[str, Any]:
    """Move the file at `path` to data/quarantine, with `reason` beside it.

    A file of the same name that is there already keeps its name; this one gets a number. The
    reason is there before the file, so no file is ever in quarantine without one.
    """
    path = Path(event["path"])
    return await asyncio.to_thread(_quarantine, path, event["reason"], context.idempotency_key)


def _check(path: Path) -> dict[str, Any]:
    try:
        content = read_content(path)
        table = parse(content)
        problems = check(table)
    except WeatherFileInvalid as invalid:
        return _bad(path, invalid.problems)
    return _bad(path, problems) if problems else _good(path, content, table)


def _good(path: Path, content: bytes, table: WeatherTable) -> dict[str, Any]:
    months = Counter(month_of(row) for row in table.rows)
    return {
        "valid": True,
        "name": path.name,
        "kind": table.kind,
        "sha256": digest(content),
        "rows": len(table.rows),
        "months": [{"month": month, "rows": months[month]} for month in sorted(months)],
    }


def _bad(path: Path, problems: list[Problem] | tuple[Problem, ...]) -> dict[str, Any]:
    return {
        "valid": False,
        "name": path.name,
        "problem_count": len(problems),
        "problems": [asdict(problem) for problem in problems[:PROBLEMS_LISTED_MAX]],
    }


def _quarantine(path: Path, reason: Any, key: str) -> dict[str, Any]:
    first = place("quarantine", path)
    note = {"file": str(path), "reason": reason, "idempotency_key": key}
    draft = draft_of(first, key)
    write_durably(draft, json.dumps(note, indent=2, ensure_ascii=False).encode() + b"\n")
    try:
        target, beside = _claim(first, draft, key)
    finally:
        draft.unlink()
    if path.exists():  # When this is a repetition, the file has moved already.
        os.replace(path, target)
    return {"name": path.name, "path": str(target), "reason": str(beside)}


def _claim(first: Path, draft: Path, key: str) -> tuple[Path, Path]:
    """Put the draft of a reason in place under the first name that is free, or is ours already."""
    target, number = first, 1
    while True:
        beside = target.with_name(f"{target.name}.reason.json")
        try:
            os.link(draft, beside)  # Fails when it is there; a rename would replace it.
        except FileExistsError:
            if json.loads(beside.read_text(encoding="utf-8"))["idempotency_key"] != key:
                number += 1
                target = first.with_name(f"{first.stem}-{number}{first.suffix}")
                continue
        return target, beside
