"""`python -m tests.simulation`: play seeds until stopped, or one seed with its whole trace.

The exit code is 1 when a seed has failed.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from itertools import count, islice

from tests.simulation.play import judge, told

_REPORT_SECONDS = 10


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="play this one, and print its trace")
    parser.add_argument("--minutes", type=float, help="how long; without it until Ctrl-C")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails")
    parser.add_argument("--count", type=int, help="how many seeds at most")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return _play_one(chosen.seed)
    seconds = None if chosen.minutes is None else chosen.minutes * 60
    return _soak(islice(count(chosen.first), chosen.count), seconds, stop=chosen.stop)


def _play_one(seed: int) -> int:
    played = judge(seed)
    if played.error is not None:
        _say(told(played, lines=len(played.trace)))
        return 1
    for line in played.trace:
        _say(line)
    for name, outcome in played.outcomes.items():
        _say(f"{name}: {outcome}")
    return 0


def _soak(seeds: Iterable[int], seconds: float | None, *, stop: bool) -> int:
    began = reported = time.monotonic()
    done = failed = 0
    try:
        for seed in seeds:
            played = judge(seed)
            done += 1
            if played.error is not None:
                failed += 1
                _say(told(played))
            now = time.monotonic()
            if now - reported > _REPORT_SECONDS:
                reported = now
                _say(_so_far(done, failed, now - began))
            if (seconds is not None and now - began > seconds) or (failed and stop):
                break
    except KeyboardInterrupt:
        pass
    _say(_so_far(done, failed, time.monotonic() - began))
    return 1 if failed else 0


def _so_far(done: int, failed: int, seconds: float) -> str:
    rate = done / seconds if seconds else 0.0
    return f"{done} seeds, {failed} failed, {rate:.1f} seeds/s"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
