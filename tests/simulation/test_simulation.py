"""Thousands of small lives of a server: crashes, refusals, late answers, clocks that leap.

Each seed is a workload and a plan of disasters, on virtual time. What must hold is said in
`witness.py`. `make soak` plays on where this stops.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.play import Simulation, judge, told
from tests.simulation.timeline import Plan

# `make soak` plays seeds without end, and CI plays 2,000.
SEEDS: Final = int(os.environ.get("EVENTMILL_TEST_SEEDS", "500"))
_AT_ONCE: Final = 50


@pytest.mark.parametrize("first", range(0, SEEDS, _AT_ONCE))
def test_whatever_befalls_servers_no_execution_is_lost_or_done_twice(first: int) -> None:
    for seed in range(first, first + _AT_ONCE):
        played = judge(seed)
        if played.error is not None:
            pytest.fail(told(played), pytrace=False)


def digests(seeds: Iterable[int]) -> list[str]:
    """The trace of each seed, as one number."""
    return [sha256("\n".join(judge(seed).trace).encode()).hexdigest() for seed in seeds]


def test_a_seed_is_played_in_the_same_way_each_time(project_root: Path) -> None:
    seeds = range(0, 40, 3)
    here = digests(seeds)
    program = f"from tests.simulation.test_simulation import digests\nprint(*digests({seeds!r}))\n"
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )

    assert digests(seeds) == here
    assert elsewhere.stdout.split() == here


def test_the_seeds_bring_every_kind_of_disaster() -> None:
    seen: Counter[str] = Counter()
    for seed in range(150):
        for line in judge(seed).trace:
            what = line.split("ms  ", 1)[1]
            seen[" ".join(what.split(" ")[:2])] += 1

    for what in (
        "server: dies",
        "server: cannot",
        "disk: refuses",
        "disk: conflict",
        "disk: cannot",
        "clock: leaps",
        "clock: is",
        "sensor: in",
        "outside: stops",
    ):
        assert seen[what] > 3, f"{what} in {seen}"
    assert sum(count for what, count in seen.items() if what.startswith("again:")) > 20
    assert sum(count for what, count in seen.items() if what.startswith("restores:")) > 50
    assert sum(count for what, count in seen.items() if what.startswith("hangs:")) > 3
    assert sum(count for what, count in seen.items() if what.startswith("cancelled:")) > 3


def test_undisturbed_nothing_goes_wrong() -> None:
    outcomes = 0
    for seed in range(100, 130):
        played = Simulation(seed, plan=Plan()).play()
        assert played.error is None, told(played)
        outcomes += len(played.outcomes)
        assert not [line for line in played.trace if "dies" in line or "refuses" in line]
    assert outcomes > 30
