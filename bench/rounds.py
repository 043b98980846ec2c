"""Rounds of a measurement, each between two runs of its reference, so that drift shows.

A computer that others use too is faster in one minute than in the next. So a figure counts beside
the reference taken right before and right after it, and the ratio of the two is what lasts.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from statistics import fmean, median
from typing import TypeAlias

Figures: TypeAlias = dict[str, float]
"""What a benchmark measured; each key ends in its unit."""


async def alternate(
    rounds: int,
    key: str,
    ours: Callable[[], Awaitable[Figures]],
    reference: Callable[[], float],
) -> Figures:
    """Measure reference – ours – reference, `rounds` times, and return the medians.

    `reference` measures what `ours` calls `key`. Added are `raw_<key>`; `ratio_raw`, ours by the
    mean of the two references around it; and `raw_drift`, the larger of these two by the smaller.
    """
    measured: list[Figures] = []
    for _ in range(rounds):
        before = reference()
        figures = await ours()
        after = reference()
        raw = fmean((before, after))
        figures[f"raw_{key}"] = raw
        figures["ratio_raw"] = figures[key] / raw
        figures["raw_drift"] = max(before, after) / min(before, after)
        measured.append(figures)
    return {name: median(each[name] for each in measured) for name in measured[0]}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that `percent` of them do not exceed (the nearest rank).

    >>> [percentile([4, 1, 3, 2], percent) for percent in (50, 99, 100)]
    [2, 4, 4]
    """
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def latency(seconds: Sequence[float]) -> Figures:
    """The median and the 99th percentile, in milliseconds."""
    return {
        "p50_ms": percentile(seconds, 50) * 1_000,
        "p99_ms": percentile(seconds, 99) * 1_000,
    }
