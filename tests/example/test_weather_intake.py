"""The whole example pipeline: the real definition, machine and handlers, in virtual time."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from eventmill import HandlerContext, HandlerError
from eventmill.arn import function_name
from eventmill.asl.parser import check, parse
from eventmill.machine.commands import RunTask
from eventmill.machine.execution import RUNNING, Execution, Identity
from eventmill.machine.facts import Fact, StartExecution, TaskFailed, TaskSucceeded, TimeReached
from eventmill.machine.history import HistoryEvent
from eventmill.machine.transition import advance
from eventmill.model import AWS_QUOTAS, Failure, Payload
from handlers.weather_intake import check_weather_file, quarantine_weather_file
from handlers.weather_results import write_weather_result
from handlers.weather_stations import look_up_station
from handlers.weather_summaries import (
    summarise_day_cycle,
    summarise_precipitation,
    summarise_temperature,
)

Handler = Callable[[dict[str, Any], HandlerContext], Awaitable[Any]]

ROOT: Final = Path(__file__).resolve().parents[2]
DEFINITION: Final = (ROOT / "workflows" / "weather-intake.asl.json").read_text(encoding="utf-8")
IDENTITY: Final = Identity(
    arn="arn:aws:states:local:000000000000:execution:weather-intake:run",
    name="run",
    state_machine_arn="arn:aws:states:local:000000000000:stateMachine:weather-intake",
    state_machine_name="weather-intake",
    region="local",
)
HANDLERS: Final[Mapping[str, Handler]] = {
    function.__name__: function
    for function in (
        check_weather_file,
        look_up_station,
        quarantine_weather_file,
        summarise_day_cycle,
        summarise_precipitation,
        summarise_temperature,
        write_weather_result,
    )
}


class Run:
    """One execution of the pipeline from start to end; time goes by only when all else waits."""

    def __init__(self, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        self.execution = Execution(IDENTITY, parse(DEFINITION).machine)
        self.history: list[HistoryEvent] = []
        self.now_ms = 0
        self._handlers = handlers

    async def take_in(self, path: Path) -> Execution:
        """Run the pipeline as the event of the file `path` would."""
        given = Payload.of({"path": str(path), "name": path.name})
        todo = self._advance(StartExecution(input=given, seed=1, role_arn="role"))
        while self.execution.status == RUNNING:
            if todo:
                todo += self._advance(await self._carry_out(todo.pop(0)))
            else:
                self.now_ms = self.execution.next_due_ms() or self.now_ms
                todo += self._advance(TimeReached())
        return self.execution

    def types(self, *wanted: str) -> list[str]:
        """The types of the history's events that are among `wanted`."""
        return [event.type for event in self.history if event.type in wanted]

    def _advance(self, fact: Fact) -> list[RunTask]:
        step = advance(self.execution, fact, self.now_ms)
        self.history += step.events
        return [command for command in step.commands if isinstance(command, RunTask)]

    async def _carry_out(self, task: RunTask) -> Fact:
        given: Any = task.parameters.value
        plain = task.resource.kind == "function"
        name = function_name(task.resource.text) if plain else given["FunctionName"]
        context = HandlerContext(
            function_name=name, attempt=task.attempt, idempotency_key=task.idempotency_key
        )
        try:
            answer = await self._handlers[name](given if plain else given["Payload"], context)
        except HandlerError as error:
            return TaskFailed(task=task.task, error=error.error, cause=error.cause)
        output = Payload.of(answer if plain else {"Payload": answer, "StatusCode": 200})
        return TaskSucceeded(task=task.task, output=output)


def dropped(observations: Path, inbox: Path, name: str) -> Path:
    path = inbox / name
    path.write_bytes((observations / name).read_bytes())
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_definition_is_free_of_errors_and_warnings() -> None:
    assert check(DEFINITION) == ()


async def test_takes_in_four_years_of_days(project: Path, inbox: Path, observations: Path) -> None:
    run = Run()

    execution = await run.take_in(dropped(observations, inbox, "seattle-weather.csv"))

    path = project / "data" / "results" / "seattle-weather.json"
    title = "daily weather of Seattle: 48 month(s)"
    assert execution.status == "SUCCEEDED"
    assert execution.output == Payload.of({"result": str(path), "title": title})
    result = read(path)
    assert (result["title"], result["file"], result["rows"]) == (title, "seattle-weather.csv", 1461)
    assert [month["month"] for month in result["months"]] == [
        f"{year}-{month:02}" for year in range(2012, 2016) for month in range(1, 13)
    ]
    assert result["months"][0]["temperature"]["highest"] == {"value": 12.8, "date": "2012/01/01"}
    assert result["months"][0]["conditions"]["precipitation"]["total"] == 173.3


async def test_takes_in_a_year_of_hours(project: Path, inbox: Path, observations: Path) -> None:
    run = Run()

    execution = await run.take_in(dropped(observations, inbox, "sf-temps.csv"))

    result = read(project / "data" / "results" / "sf-temps.json")
    assert (execution.status, result["title"]) == (
        "SUCCEEDED",
        "hourly weather of San Francisco: 12 month(s)",
    )
    assert sum(month["rows"] for month in result["months"]) == 8759
    assert result["months"][8]["conditions"]["unit"] == "°F"


async def test_rows_do_not_travel_through_payloads(
    project: Path, inbox: Path, observations: Path
) -> None:
    run = Run()

    await run.take_in(dropped(observations, inbox, "seattle-weather.csv"))

    sizes = [
        len(value)
        for event in run.history
        for value in (event.details or {}).values()
        if isinstance(value, Payload)
    ]
    assert max(sizes) < AWS_QUOTAS.payload_bytes_max // 5
    assert len(run.history) < AWS_QUOTAS.history_events_max // 20


async def test_asks_the_station_directory_again_after_a_second(
    project: Path, inbox: Path, observations: Path
) -> None:
    run = Run()

    await run.take_in(dropped(observations, inbox, "sf-temps.csv"))

    assert run.types("TaskFailed", "LambdaFunctionFailed") == ["TaskFailed"]
    assert run.now_ms == 1000


async def test_a_bad_file_goes_to_quarantine_with_all_its_problems(
    project: Path, inbox: Path
) -> None:
    path = inbox / "seattle.csv"
    path.write_text("date,temp\n2010/02/30 00:00,39.4\n2010/01/01 01:00,warm\n")

    execution = await Run().take_in(path)

    there = project / "data" / "quarantine" / "seattle.csv"
    cause = f"seattle.csv is in quarantine: {there}. The reason is beside it."
    assert execution.status == "FAILED"
    assert execution.failure == Failure(error="WeatherFileQuarantined", cause=cause)
    assert (path.exists(), there.exists()) == (False, True)
    reason = read(there.with_name("seattle.csv.reason.json"))["reason"]
    assert reason["Error"] == "WeatherFileInvalid"
    assert reason["Cause"] == "seattle.csv has 2 problem(s); the first 2 are listed."
    assert [(each["row"], each["column"]) for each in reason["problems"]] == [
        (2, "date"),
        (3, "temp"),
    ]


async def test_a_station_directory_that_stays_away_sends_the_file_to_quarantine(
    project: Path, inbox: Path, observations: Path
) -> None:
    async def away(event: dict[str, Any], context: HandlerContext) -> Any:
        raise HandlerError("StationDirectoryUnavailable", f"attempt {context.attempt}")

    run = Run({**HANDLERS, "look_up_station": away})
    execution = await run.take_in(dropped(observations, inbox, "sf-temps.csv"))

    there = project / "data" / "quarantine" / "sf-temps.csv"
    assert (execution.status, run.now_ms) == ("FAILED", 15_000)
    assert read(there.with_name("sf-temps.csv.reason.json"))["reason"] == {
        "Error": "StationDirectoryUnavailable",
        "Cause": "attempt 5",
    }


async def test_a_file_that_vanished_leaves_its_reason_in_quarantine(
    project: Path, inbox: Path
) -> None:
    execution = await Run().take_in(inbox / "gone.csv")

    note = read(project / "data" / "quarantine" / "gone.csv.reason.json")
    assert (execution.status, note["reason"]["Error"]) == ("FAILED", "WeatherFileUnreadable")


async def test_a_file_that_changes_meanwhile_is_left_to_its_newer_version(
    project: Path, inbox: Path, observations: Path
) -> None:
    path = dropped(observations, inbox, "sf-temps.csv")

    async def edited_meanwhile(event: dict[str, Any], context: HandlerContext) -> Any:
        path.write_text("temp,date\n47.8,2010/01/01 00:00:00\n")
        return {"name": "San Francisco", "timezone": "America/Los_Angeles"}

    execution = await Run({**HANDLERS, "look_up_station": edited_meanwhile}).take_in(path)

    assert execution.status == "SUCCEEDED"
    assert execution.output is not None
    assert execution.output.value == {
        "Error": "WeatherFileChanged",
        "Cause": f"{path} changed after it was checked; its new version is taken in separately",
    }
    assert sorted(each.name for each in (project / "data").iterdir()) == ["inbox"]
    assert path.exists()
