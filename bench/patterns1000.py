"""patterns1000: what it costs to match one event, with 10 triggers and with 1,000.

All triggers take events of one source and type, as those of a real project do, and differ by bucket
and prefix of the key, by the ending of the key, by a range of sizes, or by an owner in any case.
`growth` is the processor time of an event with 1,000 triggers by that with 10; every event is one
that exactly one trigger takes.
"""

import time
from pathlib import Path
from typing import Any, Final

from bench.rounds import Figures
from eventmill.model import Json
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.index import PatternIndex

_MICROSECONDS: Final = 1_000_000
_KINDS: Final = 4


async def measure(folder: Path, *, quick: bool) -> Figures:
    few, many, rounds = (10, 100, 20) if quick else (10, 1_000, 2_000)
    few_us, many_us = _cost_us(few, rounds), _cost_us(many, rounds)
    return {"few_us": few_us, "many_us": many_us, "growth": many_us / few_us}


def pattern(number: int) -> dict[str, Any]:
    """The pattern of one trigger, distinct from those of all others."""
    kinds: tuple[dict[str, Any], ...] = (
        {"bucket": {"name": [f"bucket-{number}"]}, "object": {"key": [{"prefix": "in/"}]}},
        {"object": {"key": [{"suffix": f"-{number:04}.csv"}]}},
        {"object": {"size": [{"numeric": [">=", number, "<", number + 1]}]}},
        {"owner": [{"equals-ignore-case": f"Team-{number}"}]},
    )
    detail = kinds[number % _KINDS]
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}


def event(number: int) -> dict[str, Json]:
    """An event that the trigger of this number takes, and no other."""
    details: tuple[dict[str, Json], ...] = (
        {"bucket": {"name": f"bucket-{number}"}, "object": {"key": "in/a.csv", "size": -1}},
        {"bucket": {"name": "other"}, "object": {"key": f"x-{number:04}.csv", "size": -1}},
        {"bucket": {"name": "other"}, "object": {"key": "x", "size": number + 0.5}},
        {
            "bucket": {"name": "other"},
            "object": {"key": "x", "size": -1},
            "owner": f"TEAM-{number}",
        },
    )
    return {
        "version": "0",
        "id": f"event-{number}",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": "000000000000",
        "time": "2026-11-25T00:00:00Z",
        "region": "local",
        "resources": ["arn:aws:s3:::bucket"],
        "detail": details[number % _KINDS],
    }


def _cost_us(triggers: int, rounds: int) -> float:
    index = PatternIndex([compile_pattern(pattern(each), _refuse) for each in range(triggers)])
    numbers = range(min(triggers, 8))
    events = [event(number) for number in numbers]
    for number in numbers:
        if index.matching(events[number]) != [number]:
            raise RuntimeError(f"event {number} leads elsewhere: nothing of this counts")
    began = time.process_time()
    for _ in range(rounds):
        for each in events:
            index.matching(each)
    return (time.process_time() - began) / rounds / len(events) * _MICROSECONDS


def _refuse(pointer: str, message: str) -> None:
    raise RuntimeError(f"{pointer}: {message}")
