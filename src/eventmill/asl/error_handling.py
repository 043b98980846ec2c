"""The Retry and Catch of a state, from its fields to retriers and catchers."""

from typing import Any, Final

from eventmill.asl.error_names import ALL
from eventmill.asl.fields import Fields
from eventmill.asl.grammar import CATCHER_FIELDS, OF_ERROR, RETRIER_FIELDS
from eventmill.asl.retry import Catcher, Retrier

_INTERVAL_SECONDS_MAX: Final = 99_999_999
_ATTEMPTS_MAX: Final = 99_999_999
_DELAY_SECONDS_MAX: Final = 31_622_400


def compile_retriers(fields: Fields) -> tuple[Retrier, ...]:
    """The entries of `Retry`, whose numbers are literals in both query languages."""
    retriers = []
    entries = list(fields.objects("Retry"))
    for entry in entries:
        entry.allow(RETRIER_FIELDS)
        entry.text("Comment")
        given: dict[str, Any] = {
            "interval_seconds": entry.integer("IntervalSeconds", 0, _INTERVAL_SECONDS_MAX),
            "max_attempts": entry.integer("MaxAttempts", 0, _ATTEMPTS_MAX),
            "jitter_strategy": entry.one_of("JitterStrategy", "NONE", "FULL"),
            "error_equals": _error_equals(entry, last=entry is entries[-1]),
            "backoff_rate": entry.number("BackoffRate", 1.0),
            "max_delay_seconds": entry.integer("MaxDelaySeconds", 1, _DELAY_SECONDS_MAX),
        }
        given = {name: value for name, value in given.items() if value is not None}
        retriers.append(Retrier(**given))
    return tuple(retriers)


def compile_catchers(fields: Fields) -> tuple[Catcher, ...]:
    """The entries of `Catch`."""
    catchers = []
    entries = list(fields.objects("Catch"))
    for entry in entries:
        entry.require("Next")
        entry.allow(CATCHER_FIELDS)
        entry.check_language()
        entry.text("Comment")
        catcher = Catcher(
            error_equals=_error_equals(entry, last=entry is entries[-1]),
            next=entry.text("Next") or "",
            result_path=entry.result_path("ResultPath"),
            assign=entry.assign(OF_ERROR),
            output=entry.output(OF_ERROR),
        )
        catchers.append(catcher)
    return tuple(catchers)


def _error_equals(entry: Fields, *, last: bool) -> tuple[str, ...]:
    entry.require("ErrorEquals")
    place = entry.place.field("ErrorEquals")
    names = entry.array("ErrorEquals", filled=True)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            entry.report.schema(place.item(index), "Expected value of type String")
        elif name == ALL and not (last and len(names) == 1):
            message = "States.ALL must appear alone and at end of list"
            entry.report.schema(place.item(index), message)
    return tuple(name for name in names if isinstance(name, str))
