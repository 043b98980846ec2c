"""Many patterns asked at once: what one event costs does not grow with their number.

Each way in which a pattern can hold is filed under one of its fields, with what the field's value
must have. So the values of an event lead to the few patterns that may hold, and only these are
asked. A way that no value leads to (`exists: false`, `anything-but`) is always asked.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from eventmill.model import Json
from eventmill.patterns.anchors import Anchor, Range, Shape, key_of
from eventmill.patterns.matcher import Alternative, FieldTest, Matcher, fields_of, ways_to


class PatternIndex:
    """Patterns by their number, in order; None is a pattern that holds for every event."""

    def __init__(self, patterns: Sequence[Matcher | None]) -> None:
        """Index `patterns`; it takes time in proportion to their number."""
        self._patterns = patterns
        self._always: set[int] = set()
        self._fields: defaultdict[str, _Field] = defaultdict(_Field)
        popularity = Counter(_anchors(patterns))
        for number, pattern in enumerate(patterns):
            for tests in [[]] if pattern is None else pattern.alternatives:
                self._file(number, tests, popularity)
        for field in self._fields.values():
            field.close()
        self._ways: Final = ways_to(self._fields)

    def _file(
        self, number: int, tests: Alternative, popularity: Counter[tuple[str, Anchor]]
    ) -> None:
        def crowd(test: FieldTest) -> int:
            return sum(popularity[test.name, anchor] for anchor in test.anchors or ())

        test = min((each for each in tests if _is_selective(each)), key=crowd, default=None)
        if test is None:
            self._always.add(number)
            return
        for anchor in test.anchors or ():
            self._fields[test.name].add(anchor, number)

    def matching(self, envelope: dict[str, Json]) -> list[int]:
        """The numbers of the patterns that hold for an event, in its EventBridge form."""
        candidates = set(self._always)
        fields, _ = fields_of(envelope, self._ways)
        for name, found in fields.items():
            if name in self._fields:
                for value, _ in found:
                    candidates.update(self._fields[name].numbers_for(value))
        return [number for number in sorted(candidates) if self._holds(number, envelope)]

    def _holds(self, number: int, envelope: dict[str, Json]) -> bool:
        pattern = self._patterns[number]
        return pattern is None or pattern.matches(envelope)


def _is_selective(test: FieldTest) -> bool:
    return test.anchors is not None and not test.may_be_absent


def _anchors(patterns: Iterable[Matcher | None]) -> Iterator[tuple[str, Anchor]]:
    for pattern in patterns:
        for tests in [] if pattern is None else pattern.alternatives:
            for test in tests:
                for anchor in test.anchors or ():
                    yield test.name, anchor


class _Field:
    """The patterns that are filed under one field."""

    def __init__(self) -> None:
        self._by_key: dict[Shape, defaultdict[object, list[int]]] = {}
        self._ranges: list[tuple[Range, int]] = []
        self._tree: _RangeTree | None = None

    def add(self, anchor: Anchor, number: int) -> None:
        if isinstance(anchor, Range):
            self._ranges.append((anchor, number))
        else:
            numbers = self._by_key.setdefault(anchor.shape, defaultdict(list))
            numbers[anchor.key].append(number)

    def close(self) -> None:
        """All have been added."""
        if self._ranges:
            self._tree = _RangeTree(self._ranges)

    def numbers_for(self, value: Json) -> Iterator[int]:
        for shape, numbers in self._by_key.items():
            key = key_of(value, shape)
            if key is not None:
                yield from numbers.get(key, ())
        if self._tree is not None and isinstance(value, int | float):
            yield from self._tree.numbers_at(value)


class _RangeTree:
    """A segment tree: the ranges that hold a number, in logarithmic time and as many as there are.

    The bounds and the gaps between them are its leaves, in turns: gap, bound, gap, bound, …, gap.
    """

    def __init__(self, ranges: Sequence[tuple[Range, int]]) -> None:
        self._bounds = sorted({bound for each, _ in ranges for bound in (each.low, each.high)})
        self._leaves = 2 * len(self._bounds) + 1
        self._numbers: list[list[int]] = [[] for _ in range(2 * self._leaves)]
        for each, number in ranges:
            self._add(self._leaf(each.low), self._leaf(each.high) + 1, number)

    def _leaf(self, value: float) -> int:
        place = bisect_left(self._bounds, value)
        is_bound = place < len(self._bounds) and self._bounds[place] == value
        return 2 * place + is_bound

    def _add(self, first: int, end: int, number: int) -> None:
        first, end = first + self._leaves, end + self._leaves
        while first < end:
            if first % 2:
                self._numbers[first].append(number)
                first += 1
            if end % 2:
                end -= 1
                self._numbers[end].append(number)
            first, end = first // 2, end // 2

    def numbers_at(self, value: float) -> Iterator[int]:
        node = self._leaf(value) + self._leaves
        while node:
            yield from self._numbers[node]
            node //= 2
