"""What a trial led to, as the answer of TestState."""

from eventmill.asl.retry import first_match
from eventmill.asl.syntax import Map, Parallel, Task
from eventmill.inspection.request import Level
from eventmill.inspection.trial import Trial
from eventmill.machine.history import RETRY_SCHEDULED
from eventmill.model import Failure, Json, Payload


def answer(trial: Trial, level: Level) -> dict[str, Json]:
    """The members of the answer; those that do not apply are left out."""
    details: dict[str, Json] = {}
    told: dict[str, Json] = {}
    if trial.execution.failure is not None:
        status, failure = "FAILED", trial.execution.failure
        told = _error(Failure(error=failure.error, cause=_without_place(trial, failure.cause)))
    elif trial.failure is None:
        status, told = "SUCCEEDED", _way_on(trial)
    elif trial.frame.retrying:
        status, told, details = "RETRIABLE", _error(trial.failure), _retry(trial)
    else:
        status, told = "CAUGHT_ERROR", _error(trial.failure) | _way_on(trial)
        details = _catch(trial, trial.failure)
    if level == "INFO":
        return {**told, "status": status}
    return {**told, "status": status, "inspectionData": _inspection_data(trial, details)}


def _inspection_data(trial: Trial, details: dict[str, Json]) -> dict[str, Json]:
    shown = dict(trial.stages)
    variables = {name: each.value for name, each in trial.frame.variables.items()}
    if variables:
        shown["variables"] = Payload.of(variables).text.decode()
    if details:
        shown["errorDetails"] = details
    return shown


def _way_on(trial: Trial) -> dict[str, Json]:
    way: dict[str, Json] = {"output": trial.frame.data.text.decode()}
    if trial.frame.next is not None:
        way["nextState"] = trial.frame.next
    return way


def _error(failure: Failure) -> dict[str, Json]:
    pairs = {"error": failure.error, "cause": failure.cause}
    return {name: text for name, text in pairs.items() if text is not None}


def _retry(trial: Trial) -> dict[str, Json]:
    event = trial.decision.events[-1]
    assert event.type == RETRY_SCHEDULED
    delay_ms = event.noted("due_ms") - trial.decision.now_ms
    return {
        "retryIndex": event.noted("retrier"),
        "retryBackoffIntervalSeconds": round(delay_ms / 1000),
    }


def _catch(trial: Trial, failure: Failure) -> dict[str, Json]:
    state = trial.state
    assert isinstance(state, (Task, Parallel, Map))
    if state.language == "JSONPath":
        trial.show("afterResultPath", trial.frame.data)
    return {"catchIndex": first_match(state.catch, failure.error)}


def _without_place(trial: Trial, cause: str | None) -> str | None:
    """A cause as TestState tells it: an execution says which state it was in, at which event."""
    where = f"'{trial.state.name}' (entered at the event id #{trial.frame.entered_id})"
    place = f"An error occurred while executing the state {where}. "
    return None if cause is None else cause.removeprefix(place)
