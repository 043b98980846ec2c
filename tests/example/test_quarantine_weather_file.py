"""The quarantine of the example pipeline: the file, with the reason beside it."""

import json
from pathlib import Path

from eventmill import HandlerContext
from handlers.weather_intake import quarantine_weather_file

REASON = {"Error": "WeatherFileInvalid", "Cause": "dröge"}


def context(key: str) -> HandlerContext:
    return HandlerContext(function_name="quarantine_weather_file", idempotency_key=key)


def dropped(inbox: Path, content: str = "bad") -> Path:
    path = inbox / "seattle.csv"
    path.write_text(content)
    return path


def reason(path: Path, key: str) -> str:
    note = {"file": str(path), "reason": REASON, "idempotency_key": key}
    return json.dumps(note, indent=2, ensure_ascii=False) + "\n"


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


async def test_moves_the_file_and_writes_the_reason(project: Path, inbox: Path) -> None:
    path = dropped(inbox)

    answer = await quarantine_weather_file({"path": str(path), "reason": REASON}, context("a"))

    folder = project / "data" / "quarantine"
    assert answer == {
        "name": "seattle.csv",
        "path": str(folder / "seattle.csv"),
        "reason": str(folder / "seattle.csv.reason.json"),
    }
    assert files(project / "data" / "quarantine") == {
        "seattle.csv": "bad",
        "seattle.csv.reason.json": reason(path, "a"),
    }
    assert files(inbox) == {}


async def test_a_repetition_finds_its_own_work(project: Path, inbox: Path) -> None:
    event = {"path": str(dropped(inbox)), "reason": REASON}

    first = await quarantine_weather_file(event, context("a"))
    before = files(project / "data" / "quarantine")

    assert await quarantine_weather_file(event, context("a")) == first
    assert files(project / "data" / "quarantine") == before


async def test_a_crash_between_reason_and_move_is_made_good(project: Path, inbox: Path) -> None:
    path = dropped(inbox)
    folder = project / "data" / "quarantine"
    folder.mkdir()
    (folder / "seattle.csv.reason.json").write_text(reason(path, "a"), encoding="utf-8")

    await quarantine_weather_file({"path": str(path), "reason": REASON}, context("a"))

    assert files(project / "data" / "quarantine") == {
        "seattle.csv": "bad",
        "seattle.csv.reason.json": reason(path, "a"),
    }


async def test_another_file_of_the_same_name_gets_a_number(project: Path, inbox: Path) -> None:
    for content in ("first", "second", "third"):
        path = dropped(inbox, content)
        await quarantine_weather_file({"path": str(path), "reason": REASON}, context(content))

    assert files(project / "data" / "quarantine") == {
        "seattle.csv": "first",
        "seattle.csv.reason.json": reason(path, "first"),
        "seattle-2.csv": "second",
        "seattle-2.csv.reason.json": reason(path, "second"),
        "seattle-3.csv": "third",
        "seattle-3.csv.reason.json": reason(path, "third"),
    }


async def test_the_reason_is_kept_when_the_file_is_gone(project: Path, inbox: Path) -> None:
    path = inbox / "gone.csv"

    await quarantine_weather_file({"path": str(path), "reason": REASON}, context("a"))

    assert files(project / "data" / "quarantine") == {"gone.csv.reason.json": reason(path, "a")}
