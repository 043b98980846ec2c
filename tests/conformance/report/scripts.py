"""Cases that are scripts of API calls, with checks of the answers."""

import asyncio
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from eventmill.api.step_functions import OPERATIONS
from tests.conformance.recorded import FOLDER, Case, checker, recorded_day
from tests.conformance.report.api_calls import Api, ApiAnswer, api, operation_name
from tests.conformance.report.definitions import errors, not_offered
from tests.conformance.report.engine_runs import put_object, unknown_behaviour
from tests.conformance.report.verdict import NO_CHECKER, NotRun, Verdict, equal_unless

_SERVICE: Final = "stepfunctions"
_PUT_OBJECT: Final = "s3.put_object"
_EXCEPTION: Final = "<exception>"
# Asked again while the answer is not yet the recorded one: who recorded waited for it.
_READING: Final = ("Describe", "List", "GetExecutionHistory")
_ASKED_MAX: Final = 1_000
# Members of answers that AWS has since a day; an older recording cannot have them.
_ADDED: Final = {
    "encryptionConfiguration": "2024-07-25",
    "failuresNotRedrivable": "2023-11-15",
    "pendingRedrive": "2023-11-15",
}


def run(case: Case) -> Verdict:
    """Make the calls in order and compare what the checks name."""
    reason = not_run(case)
    if reason is not None:
        return NotRun(reason)
    with TemporaryDirectory(prefix="conformance-") as folder:
        return equal_unless(asyncio.run(_differences(case, Path(folder))))


def not_run(case: Case) -> str | None:
    """Why a script cannot be run here, if so."""
    if not (FOLDER / "check.py").is_file():
        return NO_CHECKER
    named = [step["call"] for step in case["steps"] if "call" in step]
    calls = [each.partition(".") for each in named if each != _PUT_OBJECT]
    foreign = sorted({service for service, _, _ in calls if service != _SERVICE})
    if foreign:
        return f"calls {', '.join(foreign)}"
    missing = sorted({operation_name(name) for _, _, name in calls} - OPERATIONS.keys())
    if missing:
        # One is enough to say why, and groups the cases by what is missing first.
        return f"{_first_of(calls, missing)} is not offered yet"
    refusal = next(filter(None, map(_refusal, case["steps"])), None)
    if refusal is not None:
        return refusal
    unknown = unknown_behaviour(case)
    if unknown is not None:
        return unknown
    if any(each["kind"] == "helper" for each in case.get("resources") or ()):
        return "needs an activity worker"
    if any("check" in step and "of" not in step for step in case["steps"]):
        return "checks what the test made of the answers, not an answer"
    return None


def _refusal(step: Mapping[str, Any]) -> str | None:
    """What the definition that a call sends uses and does not run here yet."""
    definition = step.get("params", {}).get("definition")
    if not isinstance(definition, str):
        return None
    return not_offered(errors(definition, step["params"].get("type", "STANDARD")))


def _first_of(calls: list[tuple[str, str, str]], missing: list[str]) -> str:
    return next(each for _, _, call in calls if (each := operation_name(call)) in missing)


async def _differences(case: Case, folder: Path) -> list[str]:
    async with api(case, folder) as client:
        script = _Script(case, client)
        for number, step in enumerate(case["steps"]):
            if "sleep" in step:
                await script.sleep(step["sleep"])
            elif step.get("call") == _PUT_OBJECT:
                members = step["params"]
                put_object(client.world.objects, members["Bucket"], members["Key"], members["Body"])
            elif "call" in step:
                await script.call(number, step)
        return script.differences


class _Script:
    """The run of a script: the answers so far, by step, and what differs."""

    def __init__(self, case: Case, client: Api) -> None:
        self.differences: list[str] = []
        self._case = case
        self._client = client
        self._answers: dict[int, ApiAnswer] = {}
        placeholders = case.get("placeholders") or {}
        listed = (*placeholders.get("bracketed", ()), *placeholders.get("bare", ()))
        self._placeholders = (*listed, "timestamp", "date", "datetime")
        day = recorded_day(case) or max(_ADDED.values())
        self._unknown = {name for name, since in _ADDED.items() if day < since}

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        clock = self._client.world.clock
        await self._client.world.settled()
        until_ms = clock.now_ms() + int(seconds * 1_000)
        while clock.go_on(until_ms):
            await self._client.world.settled()

    async def call(self, number: int, step: Mapping[str, Any]) -> None:
        """Make the call of a step, again where who recorded it must have waited."""
        operation = operation_name(step["call"].partition(".")[2])
        members = {**step["params"], **self._value(step.get("params_from") or {"dict": {}})}
        where = f"step {number}, {operation}"
        found: list[str] = []
        for _ in range(_ASKED_MAX):
            answer = await self._client.call(operation, members)
            if answer is None:
                self.differences.append(f"{where}: no answer would ever come")
                return
            self._answers[number] = answer
            found = [f"{where}: {each}" for each in self._judged(number, step, answer)]
            if not found or not operation.startswith(_READING) or not self._goes_on():
                break
            await self._client.world.settled()
        self.differences += found

    def _goes_on(self) -> bool:
        return self._client.world.clock.go_on()

    def _judged(self, number: int, step: Mapping[str, Any], answer: ApiAnswer) -> Iterator[str]:
        """What differs in the answer to a step."""
        if answer.failed != step.get("expects_error", False):
            told = answer.exception() if answer.failed else "an answer"
            yield f"{'an answer' if answer.failed else 'an error'} expected, got {told}"
        for check in self._case["steps"][number + 1 :]:
            if "check" in check and _latest_step(check["of"]) == number:
                expected, got = check["expected"], self._value(check["of"])
                if isinstance(expected, dict) and "exception_typename" in expected:
                    got["exception_typename"] = answer.error()["code"] if answer.failed else None
                yield from checker().diff(expected, got, self._placeholders, check["check"])

    def _value(self, form: Any) -> Any:
        """A form with the values in it that are taken from answers."""
        if not isinstance(form, dict):
            return form
        if "dict" in form:
            return {name: self._value(each) for name, each in form["dict"].items()}
        if "list" in form:
            return [self._value(each) for each in form["list"]]
        if "step" not in form:
            return form
        answer = self._answers.get(form["step"])
        value = without(answer.body if answer is not None else {}, self._unknown)
        for part in form["path"]:
            if part == _EXCEPTION:
                value = answer.exception() if answer is not None and answer.failed else None
            elif isinstance(value, list):
                value = value[part] if part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value


def without(value: Any, names: Set[str]) -> Any:
    """A value without the members of these names, at any depth."""
    if isinstance(value, list):
        return [without(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: without(value[name], names) for name in value if name not in names}


def _latest_step(form: Any) -> int:
    """The last step whose answer a check looks at."""
    if isinstance(form, dict) and "step" in form:
        return int(form["step"])
    nested = form.values() if isinstance(form, dict) else form if isinstance(form, list) else ()
    return max(map(_latest_step, nested), default=-1)
