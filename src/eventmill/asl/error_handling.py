"""The Retry and Catch of a state, from its fields to retriers and catchers."""

from collections.abc import Iterator
from typing import Final

from eventmill.asl.error_names import ALL
from eventmill.asl.fields import Fields
from eventmill.asl.grammar import CATCHER_FIELDS, OF_ERROR, RETRIER_FIELDS
from eventmill.asl.retry import (
    BACKOFF_RATE_DEFAULT,
    INTERVAL_SECONDS_DEFAULT,
    MAX_ATTEMPTS_DEFAULT,
    Catcher,
    Retrier,
)

_INTERVAL_SECONDS_MAX: Final = 99_999_999
_ATTEMPTS_MAX: Final = 99_999_999
_DELAY_SECONDS_MAX: Final = 31_622_400


def compile_retriers(fields: Fields) -> tuple[Retrier, ...]:
    """The entries of `Retry`, whose numbers are literals in both query languages."""
    return tuple(_retriers(fields))


def compile_catchers(fields: Fields) -> tuple[Catcher, ...]:
    """The entries of `Catch`."""
    return tuple(_catchers(fields))


def _retriers(fields: Fields) -> Iterator[Retrier]:
    entries = list(fields.objects("Retry"))
    for index, entry in enumerate(entries):
        entry.allow(RETRIER_FIELDS)
        entry.text("Comment")
        interval = entry.integer("IntervalSeconds", 0, _INTERVAL_SECONDS_MAX)
        attempts = entry.integer("MaxAttempts", 0, _ATTEMPTS_MAX)
        jitter = entry.one_of("JitterStrategy", "NONE", "FULL")
        yield Retrier(
            error_equals=_error_equals(entry, last=index == len(entries) - 1),
            interval_seconds=INTERVAL_SECONDS_DEFAULT if interval is None else interval,
            max_attempts=MAX_ATTEMPTS_DEFAULT if attempts is None else attempts,
            backoff_rate=entry.number("BackoffRate", 1.0) or BACKOFF_RATE_DEFAULT,
            max_delay_seconds=entry.integer("MaxDelaySeconds", 1, _DELAY_SECONDS_MAX),
            jitter_strategy="FULL" if jitter == "FULL" else "NONE",
        )


def _catchers(fields: Fields) -> Iterator[Catcher]:
    entries = list(fields.objects("Catch"))
    for index, entry in enumerate(entries):
        entry.require("Next")
        entry.allow(CATCHER_FIELDS)
        entry.check_language()
        entry.text("Comment")
        yield Catcher(
            error_equals=_error_equals(entry, last=index == len(entries) - 1),
            next=entry.text("Next") or "",
            result_path=entry.result_path("ResultPath"),
            assign=entry.assign(OF_ERROR),
            output=entry.output(OF_ERROR),
        )


def _error_equals(entry: Fields, *, last: bool) -> tuple[str, ...]:
    entry.require("ErrorEquals")
    place = entry.place.field("ErrorEquals")
    names = entry.array("ErrorEquals", filled=True)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            entry.report.schema(place.item(index), "Expected value of type String")
        elif name == ALL and not (last and len(names) == 1):
            entry.report.schema(
                place.item(index), "States.ALL must appear alone and at end of list"
            )
    return tuple(name for name in names if isinstance(name, str))
