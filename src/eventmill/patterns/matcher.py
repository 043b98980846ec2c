"""Matching one event against a compiled event pattern.

An event is seen as EventBridge sees it: as a flat list of fields, each a dotted name and one
value. Elements of arrays are values of the array's own name. Two fields that come from objects in
the same array belong together only when they come from the same element ("array consistency").
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.patterns.anchors import Anchor
from eventmill.patterns.operators import ValueTest
from eventmill.record import record

# Which element of which array a field lies in: array number -> index, one entry for each level.
_Place: TypeAlias = Mapping[int, int]
Fields: TypeAlias = dict[str, list[tuple[Json, _Place]]]

_NOWHERE: _Place = {}

Ways: TypeAlias = Mapping[str, Mapping[str, str]]
"""The name of an object to the keys that lead on from it, each with the name that it leads to."""

_NO_WAY: Mapping[str, str] = {}


@record
class FieldTest:
    """What a pattern asks of one field: a value that passes `accepts`, or no value at all.

    Whatever passes has one of the `anchors`; None says that nothing of that kind is known.
    """

    name: str
    accepts: ValueTest
    may_be_absent: bool
    anchors: Sequence[Anchor] | None = None
    wanted: Sequence[Json] = ()  # as the pattern has it


Alternative: TypeAlias = Sequence[FieldTest]
"""Tests that must all hold, ordered by name; a pattern with `$or` has several of these."""


class Matcher:
    """A compiled event pattern."""

    __slots__ = ("_ways", "alternatives")

    def __init__(self, alternatives: Sequence[Alternative]) -> None:
        self.alternatives: Final = alternatives
        self._ways = ways_to({test.name for tests in alternatives for test in tests})

    def matches(self, envelope: dict[str, Json]) -> bool:
        """Whether the pattern holds for this event, in its EventBridge form."""
        fields, has_places = fields_of(envelope, self._ways)
        if has_places:
            return any(_hold_together(tests, fields) for tests in self.alternatives)
        return any(_hold(tests, fields) for tests in self.alternatives)


def ways_to(names: Iterable[str]) -> Ways:
    """What leads from the whole event to the fields with these dotted names."""
    ways: dict[str, dict[str, str]] = {}
    for reached in {name[:end] for name in names for end in (*_dots(name), len(name))}:
        # A key may have dots itself, so any part of a name may be one.
        ways.setdefault("", {})[reached] = reached
        for dot in _dots(reached):
            ways.setdefault(reached[:dot], {})[reached[dot + 1 :]] = reached
    return ways


def fields_of(envelope: dict[str, Json], ways: Ways) -> tuple[Fields, bool]:
    """The fields of an event that `ways` lead to, and whether any lies in an array of objects."""
    fields: Fields = {}
    arrays = 0
    has_places = False
    waiting: list[tuple[str, Json, _Place]] = [("", envelope, _NOWHERE)]
    while waiting:
        name, value, place = waiting.pop()
        if isinstance(value, dict):
            onward = ways.get(name, _NO_WAY)
            # There may be many patterns, or many fields that none of them names.
            for key in onward if len(onward) < len(value) else value:
                if key in onward and key in value:
                    waiting.append((onward[key], value[key], place))
        elif isinstance(value, list):
            arrays += 1
            for index, element in enumerate(value):
                if isinstance(element, dict | list):
                    waiting.append((name, element, {**place, arrays: index}))
                else:
                    waiting.append((name, element, place))
        else:
            fields.setdefault(name, []).append((value, place))
            has_places = has_places or bool(place)
    return fields, has_places


def _dots(name: str) -> list[int]:
    return [index for index, character in enumerate(name) if character == "."]


def _hold(tests: Alternative, fields: Fields) -> bool:
    """Whether all tests hold when no field lies in an array of objects."""
    for test in tests:
        found = fields.get(test.name)
        if found is None:
            if not test.may_be_absent:
                return False
        elif not any(test.accepts(value) for value, _ in found):
            return False
    return True


def _hold_together(tests: Alternative, fields: Fields) -> bool:
    """Whether all tests can hold at places that do not contradict each other.

    The places reachable so far are kept as a set. Arrays that no later test touches are dropped
    from it, so that it stays small even when many elements match.
    """
    reachable: set[frozenset[tuple[int, int]]] = {frozenset()}
    for index, test in enumerate(tests):
        found = fields.get(test.name, ())
        accepted = [place for value, place in found if test.accepts(value)]
        later = _arrays_of(tests[index + 1 :], fields)
        following: set[frozenset[tuple[int, int]]] = set()
        for so_far in reachable:
            known = dict(so_far)
            if test.may_be_absent and not any(_agree(known, place) for _, place in found):
                following.add(so_far)
            for place in accepted:
                if _agree(known, place):
                    joined = {**known, **place}
                    following.add(frozenset(at for at in joined.items() if at[0] in later))
        if not following:
            return False
        reachable = following
    return True


def _arrays_of(tests: Alternative, fields: Fields) -> set[int]:
    return {array for test in tests for _, place in fields.get(test.name, ()) for array in place}


def _agree(known: _Place, place: _Place) -> bool:
    return all(known.get(array, index) == index for array, index in place.items())
