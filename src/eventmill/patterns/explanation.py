"""Why a pattern does not hold for an event: which fields fail, and what they are instead."""

from typing import Final

from eventmill.model import Json, encode_json
from eventmill.patterns.matcher import Alternative, Fields, FieldTest, Matcher, fields_of, ways_to
from eventmill.record import record

_VALUES_SHOWN_MAX: Final = 3
_CHARACTERS_SHOWN_MAX: Final = 80


@record
class Miss:
    """A field that a pattern refuses: the values that would do, and those that it has."""

    field: str  # a dotted name
    wanted: tuple[Json, ...]  # literals and match expressions, as the pattern has them
    found: tuple[Json, ...]  # none when the event has no such field


@record
class Mismatch:
    """Why a pattern does not hold: the `misses` of the way in which it would hold most nearly.

    Without any, each field would do, but not together: the fields in `apart` have what is wanted
    in different elements of an array.
    """

    misses: tuple[Miss, ...]
    apart: tuple[str, ...] = ()
    ways: int = 1  # in how many ways the pattern can hold

    def __str__(self) -> str:
        """The reason in words.

        >>> str(Mismatch(misses=(Miss(field="detail.size", wanted=(3,), found=(4,)),)))
        'detail.size is 4, wanted: 3'
        """
        if not self.misses:
            return f"no element of an array has all of {', '.join(self.apart)}"
        text = "; ".join(map(_told, self.misses))
        return text if self.ways == 1 else f"nearest of {self.ways:,} ways: {text}"


def explain(matcher: Matcher, envelope: dict[str, Json]) -> Mismatch | None:
    """Why the pattern does not hold for an event in its EventBridge form; None when it does."""
    if matcher.matches(envelope):
        return None
    names = {test.name for tests in matcher.alternatives for test in tests}
    fields, _ = fields_of(envelope, ways_to(names))
    ways = [_missed(tests, fields) for tests in matcher.alternatives]
    nearest = min(range(len(ways)), key=lambda number: len(ways[number]), default=None)
    if nearest is None:
        return Mismatch(misses=(), ways=0)
    apart: tuple[str, ...] = ()
    if not ways[nearest]:
        apart = tuple(
            test.name
            for test in matcher.alternatives[nearest]
            if any(place for _, place in fields.get(test.name, ()))
        )
    return Mismatch(misses=ways[nearest], apart=apart, ways=len(ways))


def _missed(tests: Alternative, fields: Fields) -> tuple[Miss, ...]:
    return tuple(
        Miss(
            field=test.name,
            wanted=tuple(test.wanted),
            # They were collected from the last to the first.
            found=tuple(value for value, _ in reversed(fields.get(test.name, []))),
        )
        for test in tests
        if not _passes(test, fields)
    )


def _passes(test: FieldTest, fields: Fields) -> bool:
    found = fields.get(test.name)
    if found is None:
        return test.may_be_absent
    return any(test.accepts(value) for value, _ in found)


def _told(miss: Miss) -> str:
    is_what = f"is {_shown(miss.found)}" if miss.found else "is not there"
    return f"{miss.field} {is_what}, wanted: {_shown(miss.wanted)}"


def _shown(values: tuple[Json, ...]) -> str:
    texts = [encode_json(value).decode() for value in values[:_VALUES_SHOWN_MAX]]
    cut = [
        text if len(text) <= _CHARACTERS_SHOWN_MAX else f"{text[: _CHARACTERS_SHOWN_MAX - 1]}…"
        for text in texts
    ]
    more = len(values) - len(cut)
    return " or ".join(cut) + (f" or {more:,} more" if more > 0 else "")
