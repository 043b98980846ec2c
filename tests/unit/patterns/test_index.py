"""An index answers as its patterns do one by one, and asks few of them."""

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from eventmill.model import Json, decode_json
from eventmill.patterns.anchors import folded
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.index import PatternIndex
from eventmill.patterns.matcher import Matcher
from tests.conformance.recorded import ABSENT_REASON, FOLDER, cases


def compiled(pattern: Json) -> Matcher:
    mistakes: list[object] = []
    matcher = compile_pattern(pattern, lambda *mistake: mistakes.append(mistake))
    assert mistakes == []
    return matcher


class Counted(Matcher):
    """A pattern that counts how often it is asked."""

    asked = 0

    def matches(self, envelope: dict[str, Json]) -> bool:
        Counted.asked += 1
        return super().matches(envelope)


def counted(pattern: Json) -> Matcher:
    return Counted(compiled(pattern).alternatives)


def one_by_one(patterns: Sequence[Matcher | None], event: dict[str, Json]) -> list[int]:
    return [number for number, each in enumerate(patterns) if each is None or each.matches(event)]


LEAVES: tuple[Any, ...] = (
    *("a", "ab", "abc", "AB", "b", "ß", "10.0.0.1", "::1", 1, 2, 2.5, True, None),
    *({"prefix": text} for text in ("a", "ab", "abcd")),
    *({"suffix": text} for text in ("c", "bc")),
    *({"prefix": {"equals-ignore-case": text}} for text in ("A", "Ss", "aB")),
    *({"suffix": {"equals-ignore-case": text}} for text in ("C", "ß")),
    *({"equals-ignore-case": text} for text in ("aB", "straße")),
    *({"wildcard": text} for text in ("a*c", "*bc", "ab*", "*", "a*b*c", r"a\*b")),
    *({"anything-but": value} for value in ("a", [1, 2], {"prefix": "a"})),
    *({"cidr": text} for text in ("10.0.0.0/8", "10.0.0.0/30", "::/64")),
    *({"numeric": terms} for terms in (["=", 2], [">", 1], ["<=", 2], [">", 0, "<", 2.5])),
    *({"exists": there} for there in (True, False)),
    {"exactly": "abc"},
)
VALUES: tuple[Any, ...] = (
    *("a", "ab", "abc", "abcd", "ABC", "aXc", "xbc", "", "b", "ß", "SS", "ss", "STRASSE", "a*b"),
    *("10.0.0.1", "10.0.0.01", "10.9.9.9", "::1", "0:0:0:0:0:0:0:1"),
    *(0, 1, 1.0, 2, 2.5, 1e308, 2**70, True, False, None),
)
NAMES = ("source", "x", "y")


def random_pattern(chance: random.Random) -> Json:
    def fields() -> dict[str, Any]:
        names = chance.sample(NAMES, chance.randint(1, 3))
        return {name: chance.choices(LEAVES, k=chance.randint(1, 2)) for name in names}

    pattern: dict[str, Any] = {"detail": fields()} if chance.random() < 0.3 else fields()
    if chance.random() < 0.3:
        pattern["$or"] = [fields() for _ in range(chance.randint(2, 3))]
    return pattern


def random_event(chance: random.Random) -> dict[str, Json]:
    def value() -> Any:
        if chance.random() < 0.2:
            return [chance.choice(VALUES) for _ in range(chance.randint(0, 3))]
        if chance.random() < 0.1:
            return [{"z": chance.choice(VALUES)}, chance.choice(VALUES)]
        return chance.choice(VALUES)

    event: dict[str, Json] = {name: value() for name in NAMES if chance.random() < 0.8}
    detail: dict[str, Json] = {name: value() for name in NAMES if chance.random() < 0.8}
    return event | {"detail": detail}


@pytest.mark.parametrize("seed", range(6))
def test_it_answers_as_the_patterns_do_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    patterns: list[Matcher | None] = [compiled(random_pattern(chance)) for _ in range(100)]
    patterns[chance.randrange(100)] = None
    index = PatternIndex(patterns)
    for _ in range(100):
        event = random_event(chance)
        assert index.matching(event) == one_by_one(patterns, event), event


def recorded(member: str) -> list[dict[str, Json]]:
    """The patterns or events of all recorded cases, those that are objects."""
    found = []
    for case in (*cases("event_patterns"), *cases("event_ruler")):
        with suppress(ValueError):
            text = case.get(f"{member}_text")
            found.append(case.get(member) if text is None else decode_json(text))
    return [each for each in found if isinstance(each, dict)]


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT_REASON)
def test_all_recorded_patterns_at_once_answer_as_one_by_one() -> None:
    patterns = [compile_pattern(pattern, lambda *_: None) for pattern in recorded("pattern")]
    index = PatternIndex(patterns)
    events = recorded("event")
    assert len(events) > 100
    for event in events:
        assert index.matching(event) == one_by_one(patterns, event), event


def test_no_patterns_hold_for_nothing() -> None:
    assert PatternIndex([]).matching({"a": 1}) == []
    assert PatternIndex([None, None]).matching({"a": 1}) == [0, 1]


def test_a_pattern_with_mistakes_holds_for_nothing() -> None:
    mistaken = compile_pattern({"a": []}, lambda *_: None)
    assert PatternIndex([mistaken, None]).matching({"a": 1}) == [1]


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        (lambda n: f"name-{n}", "name-7"),
        (lambda n: n, 7),
        (lambda n: {"prefix": f"in/{n:04}/"}, "in/0007/x.csv"),
        (lambda n: {"suffix": f"/{n:04}.csv"}, "in/0007.csv"),
        (lambda n: {"wildcard": f"in/{n:04}/*.csv"}, "in/0007/x.csv"),
        (lambda n: {"wildcard": f"*/{n:04}.csv"}, "in/0007.csv"),
        (lambda n: {"equals-ignore-case": f"Name-{n}"}, "nAME-7"),
        (lambda n: {"prefix": {"equals-ignore-case": f"In/{n:04}/"}}, "IN/0007/"),
        (lambda n: {"suffix": {"equals-ignore-case": f"/{n:04}.CSV"}}, "in/0007.csv"),
        (lambda n: {"cidr": f"10.{n // 256}.{n % 256}.0/24"}, "10.0.7.9"),
        (lambda n: {"numeric": [">=", n, "<", n + 1]}, 7.5),
        (lambda n: {"numeric": ["=", n]}, 7.0),
    ],
)
def test_of_a_thousand_distinct_patterns_few_are_asked(leaf: Any, value: Json) -> None:
    # What they have in common must not be what they are filed under.
    patterns = [counted({"source": ["s"], "detail": {"key": [leaf(n)]}}) for n in range(1_000)]
    index = PatternIndex(patterns)
    Counted.asked = 0
    assert index.matching({"source": "s", "detail": {"key": value}}) == [7]
    assert Counted.asked <= 2
    assert index.matching({"source": "other", "detail": {"key": value}}) == []


def test_folding_makes_equal_what_ignoring_case_takes_for_equal() -> None:
    for code in range(0x10000):
        character = chr(code)
        assert folded(character.lower()) == folded(character) == folded(character.upper()), code
