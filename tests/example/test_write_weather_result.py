"""The result of the example pipeline: one whole file, whatever is repeated."""

import json
from pathlib import Path

import pytest

from eventmill import HandlerContext, HandlerError
from handlers.project_files import write_durably
from handlers.weather_file import digest
from handlers.weather_folders import draft_of
from handlers.weather_results import write_weather_result

CONTEXT = HandlerContext(function_name="write_weather_result", idempotency_key="key-1")
CONTENT = b"date,temp\n2010/01/01 00:00,39.4\n"
RESULT = {"title": "daily weather of Seattle: 1 month(s)", "months": [{"unit": "°C"}]}


def dropped(inbox: Path, name: str = "seattle.csv") -> Path:
    path = inbox / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(CONTENT)
    return path


async def write(path: Path, context: HandlerContext = CONTEXT) -> object:
    event = {"path": str(path), "sha256": digest(CONTENT), "result": RESULT}
    return await write_weather_result(event, context)


def files(project: Path) -> dict[str, str]:
    folder = project / "data" / "results"
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def written(key: str) -> str:
    return json.dumps({**RESULT, "idempotency_key": key}, indent=2, ensure_ascii=False) + "\n"


async def test_a_result_lies_where_the_file_lay_in_the_inbox(project: Path, inbox: Path) -> None:
    answer = await write(dropped(inbox, "west/seattle.csv"))

    assert files(project) == {"west/seattle.json": written("key-1")}
    path = project / "data" / "results" / "west" / "seattle.json"
    assert answer == {"path": str(path), "title": RESULT["title"]}


async def test_the_result_of_a_file_from_elsewhere_lies_at_the_top(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await write(dropped(tmp_path_factory.mktemp("elsewhere")))

    assert files(project) == {"seattle.json": written("key-1")}


async def test_a_repetition_takes_over_what_a_crash_left_behind(project: Path, inbox: Path) -> None:
    path = dropped(inbox)
    target = project / "data" / "results" / "seattle.json"
    write_durably(draft_of(target, "key-1"), b'{"title": "half wri')

    first = await write(path)
    assert await write(path) == first

    assert files(project) == {"seattle.json": written("key-1")}


async def test_a_newer_execution_replaces_the_result(project: Path, inbox: Path) -> None:
    path = dropped(inbox)

    await write(path)
    await write(path, HandlerContext(function_name="write", idempotency_key="key-2"))

    assert files(project) == {"seattle.json": written("key-2")}


async def test_an_overtaken_execution_writes_nothing(project: Path, inbox: Path) -> None:
    path = dropped(inbox)
    event = {"path": str(path), "sha256": "of an older version", "result": RESULT}

    with pytest.raises(HandlerError) as caught:
        await write_weather_result(event, CONTEXT)

    assert caught.value.error == "WeatherFileChanged"
    assert files(project) == {}
