"""The benchmarks by name, and what is expected of them."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, Protocol

from bench import (
    alone,
    chain3,
    chain3_workers,
    file_to_handler,
    folder100k,
    history_growth,
    kafka_intake,
    kafka_to_handler,
    kafka_unmatched,
    map10k,
    map1000,
    map_run,
    patterns1000,
    payload_100kib,
    recover100k,
    reload25k,
    sleepers,
    sleepers1m,
    transitions,
)
from bench.rounds import Figures
from eventmill.record import record


class Measure(Protocol):
    """Measures in `folder`; `quick` asks for tiny sizes."""

    def __call__(self, folder: Path, *, quick: bool) -> Awaitable[Figures]: ...


@record
class Target:
    """What a figure should reach, on two cores: at least so much, or at most."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, figure: float) -> bool:
        """Whether the figure is as good as this, or better."""
        if self.at_least is not None:
            return figure >= self.at_least
        return self.at_most is None or figure <= self.at_most


@record
class Benchmark:
    """A benchmark: in words, as a function, and with a target for some of its figures."""

    what: str
    measure: Measure
    targets: dict[str, Target]


BENCHMARKS: Final = {
    "chain3": Benchmark(
        what="three no-op tasks in sequence, 500 executions in flight",
        measure=chain3.measure,
        targets={"per_s": Target(at_least=3_500)},
    ),
    "chain3_workers": Benchmark(
        what="the same, handlers in worker processes",
        measure=chain3_workers.measure,
        targets={"per_s": Target(at_least=2_000)},
    ),
    "alone": Benchmark(
        what="one chain3 at a time, start to durable end",
        measure=alone.measure,
        targets={"p50_ms": Target(at_most=3), "p99_ms": Target(at_most=8)},
    ),
    "file_to_handler": Benchmark(
        what="file closed to the handler's first line, without a stability window",
        measure=file_to_handler.measure,
        targets={"p50_ms": Target(at_most=25)},
    ),
    "folder100k": Benchmark(
        what="a folder of 100,000 known files: what was told read from the log, and one scan",
        measure=folder100k.measure,
        targets={"s": Target(at_most=3)},
    ),
    "kafka_to_handler": Benchmark(
        what="a message taken by the broker to the handler's first line, in an idle system",
        measure=kafka_to_handler.measure,
        targets={"p50_ms": Target(at_most=15)},
    ),
    "kafka_intake": Benchmark(
        what="20,000 messages of a topic, each into a durable execution",
        measure=kafka_intake.measure,
        targets={"per_s": Target(at_least=5_000)},
    ),
    "kafka_unmatched": Benchmark(
        what="60,000 messages of a topic that start nothing, each into a durable event",
        measure=kafka_unmatched.measure,
        targets={"per_s": Target(at_least=20_000)},
    ),
    "sleepers": Benchmark(
        what="10,000 executions asleep, then all due at once",
        measure=sleepers.measure,
        targets={"mib": Target(at_most=20)},
    ),
    "transitions": Benchmark(
        what="a loop of Pass and Choice, 1,000 transitions with 1 KiB of payload",
        measure=transitions.measure,
        targets={"jsonpath_us": Target(at_most=25), "jsonata_us": Target(at_most=25)},
    ),
    "map1000": Benchmark(
        what="one inline Map of 1,000 no-op tasks",
        measure=map1000.measure,
        targets={"growth": Target(at_most=1.2)},
    ),
    "map_run": Benchmark(
        what="a distributed Map of 20,000 children, read from a file, results to files",
        measure=map_run.measure,
        targets={"late_mib": Target(at_most=30)},
    ),
    "payload_100kib": Benchmark(
        what="three no-op tasks in sequence that hand 100 KiB on, 50 executions in flight",
        measure=payload_100kib.measure,
        targets={},
    ),
    "sleepers1m": Benchmark(
        what="100,000 executions that wait for timers and callbacks; alone, a million",
        measure=sleepers1m.measure,
        targets={"ready_s": Target(at_most=2)},  # a million may take 300 MiB
    ),
    "map10k": Benchmark(
        what="one inline Map of 10,000 no-op tasks",
        measure=map10k.measure,
        targets={"s": Target(at_most=2), "item_kib": Target(at_most=2)},
    ),
    "recover100k": Benchmark(
        what="the next server after SIGKILL with 100,000 executions open, 20,000 of them due",
        measure=recover100k.measure,
        targets={"ready_s": Target(at_most=2), "dispatched_s": Target(at_most=20)},
    ),
    "history_growth": Benchmark(
        what="a transition at event 20,000 beside one at event 20",
        measure=history_growth.measure,
        targets={"growth": Target(at_most=1.3)},
    ),
    "patterns1000": Benchmark(
        what="one event matched against 1,000 distinct patterns, beside 10",
        measure=patterns1000.measure,
        targets={"growth": Target(at_most=3)},
    ),
    "reload25k": Benchmark(
        what="waking an execution of 24,000 events; recovering 100 of 20,000 events",
        measure=reload25k.measure,
        targets={"wake_ms": Target(at_most=10)},
    ),
}


def run(name: str, folder: Path, quick: bool) -> Figures:
    """Run one benchmark in this process; figures are rounded to what they can mean."""

    async def measured() -> Figures:
        return await BENCHMARKS[name].measure(folder, quick=quick)

    return {key: float(f"{figure:.4g}") for key, figure in asyncio.run(measured()).items()}
