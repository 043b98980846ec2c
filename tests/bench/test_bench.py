"""The benchmarks run, and their reference does the same work. How fast is for nobody to assert."""

import io
import json
import math
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import (
    chain3,
    file_to_handler,
    history_growth,
    map1000,
    payload_100kib,
    sleepers,
    transitions,
)
from bench.benchmarks import BENCHMARKS, Target
from bench.raw_sqlite import write_batches
from bench.recording import Batch, RecordingEventLog
from bench.report import table
from bench.rounds import Figures, alternate
from bench.server import Server, serving
from eventmill.executors.inline import InlineExecutor
from eventmill.log.database import open_for_writing
from eventmill.runtime.replay import history
from eventmill.runtime.starting import Start

# All columns of the log but `hash`, which the reference does not compute.
_TABLES = {
    "inbox": "position, source, event_id, received_ms, body, digest",
    "executions": "position, id, arn, state_machine_arn, name, definition, status, start_ms, "
    "stop_ms, event_source, event_id, trigger",
    "steps": "position, execution, step, body, digest",
    "timers": "execution, due_ms",
    "sensor_state": "sensor, key, value",
    "definitions": "digest, text",
    "payloads": "digest, body",
    "payload_uses": "execution, digest",
}

_BESIDE_RAW = {"ratio_raw", "raw_drift"}
_KEYS = {
    "chain3": {"per_s", "cpu_ms", "raw_per_s"} | _BESIDE_RAW,
    "chain3_workers": {"per_s", "cpu_ms", "raw_per_s"} | _BESIDE_RAW,
    "alone": {"p50_ms", "p99_ms", "raw_p50_ms"} | _BESIDE_RAW,
    "file_to_handler": {"p50_ms", "p99_ms", "raw_p50_ms"} | _BESIDE_RAW,
    "folder100k": {"s", "file_bytes", "raw_s"} | _BESIDE_RAW,
    "kafka_to_handler": {"p50_ms", "p99_ms"},
    "kafka_intake": {"per_s", "cpu_ms"},
    "kafka_unmatched": {"per_s", "cpu_ms"},
    "sleepers": {"mib", "s", "raw_s"} | _BESIDE_RAW,
    "recover100k": {"ready_s", "dispatched_s"},
    "sleepers1m": {"mib", "per_s", "ready_s"},
    "map10k": {"s", "item_kib"},
    "transitions": {"jsonpath_us", "jsonata_us"},
    "map1000": {"s", "item_us", "item_kib", "growth", "raw_s"} | _BESIDE_RAW,
    "map_run": {"per_s", "mib", "late_mib"},
    "payload_100kib": {"per_s", "cpu_ms", "raw_per_s"} | _BESIDE_RAW,
    "history_growth": {"early_us", "late_us", "growth"},
    "patterns1000": {"few_us", "many_us", "growth"},
    "reload25k": {"wake_ms", "wake_folded_ms", "recover_s", "recover_folded_s"},
}
# What little is held by few sleepers or items may fit into memory that was there already.
_MAY_BE_ZERO = {"mib", "late_mib", "item_kib"}


def bench(project_root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    environment = {**os.environ, "EVENTMILL_TEST_KAFKA": "embedded"}  # a real one takes seconds
    return subprocess.run(
        command, cwd=project_root, env=environment, capture_output=True, text=True, check=False
    )


def rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {columns} FROM {table}"), key=repr)
            for table, columns in _TABLES.items()
        }


async def run_chains(server: Server) -> None:
    await chain3.run(server, executions=12, in_flight=6, name="chain")


async def sleep_and_wake(server: Server) -> None:
    assert isinstance(server.clock, sleepers.SkippingClock)
    await sleepers.start(server, 15, "sleeper")
    await sleepers.wake(server, server.clock)


async def map_few(server: Server) -> None:
    await map1000.run(server, 15, "map")


async def hand_on(server: Server) -> None:
    await chain3.run(server, 2, 2, "large", payload_100kib.payload)


async def recorded(
    folder: Path, definition: dict[str, Any], work: Callable[[Server], Awaitable[None]]
) -> tuple[Sequence[Batch], dict[str, list[tuple[Any, ...]]]]:
    """The batches that `work` committed, and the rows that the log then held."""
    clock = sleepers.SkippingClock()
    async with (
        InlineExecutor({chain3.HANDLER: chain3.do_nothing}) as executor,
        serving(folder, executor, definition, clock=clock, record_batches=True) as server,
    ):
        await work(server)
        assert isinstance(server.log, RecordingEventLog)
        return await server.log.batches(), rows(server.folder / "log.db")


def test_a_quick_run_writes_every_figure_and_leaves_nothing_else_behind(
    project_root: Path, tmp_path: Path
) -> None:
    ran = bench(project_root, "--quick", "--folder", str(tmp_path))

    assert (ran.returncode, ran.stderr) == (0, "")
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    machine = written.pop("machine")
    names = ("cpus", "load_1_min", "system", "python", "sqlite", "modules", "fsyncs_per_s")
    assert tuple(machine) == names
    assert machine["fsyncs_per_s"] > 0
    assert {name: set(figures) for name, figures in written.items()} == _KEYS
    for name, figures in written.items():
        positive = {key: figure for key, figure in figures.items() if key not in _MAY_BE_ZERO}
        assert all(math.isfinite(figure) and figure > 0 for figure in positive.values()), name
    assert [each.name for each in tmp_path.iterdir()] == ["bench.json"]


def test_one_benchmark_can_be_chosen_by_name(project_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "figures" / "alone.json"

    ran = bench(project_root, "alone", "--quick", "--folder", str(tmp_path), "--json", str(path))

    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["machine", "alone"]


def test_an_unknown_name_is_refused_with_those_there_are(project_root: Path) -> None:
    ran = bench(project_root, "chain4")

    assert ran.returncode == 2
    assert all(name in ran.stderr for name in ("chain4", *BENCHMARKS))


@pytest.mark.parametrize(
    ("definition", "work"),
    [
        pytest.param(chain3.DEFINITION, run_chains, id="chain3"),
        pytest.param(sleepers.DEFINITION, sleep_and_wake, id="sleepers"),
        pytest.param(map1000.DEFINITION, map_few, id="map1000"),
        pytest.param(chain3.DEFINITION, hand_on, id="payload_100kib"),
    ],
)
async def test_the_reference_writes_the_rows_that_the_log_has(
    tmp_path: Path, definition: dict[str, Any], work: Callable[[Server], Awaitable[None]]
) -> None:
    batches, expected = await recorded(tmp_path, definition, work)

    with closing(open_for_writing(tmp_path / "raw.db", busy_timeout_ms=0)) as connection:
        seconds = write_batches(connection, batches)

    assert rows(tmp_path / "raw.db") == expected
    assert len(seconds) == len(batches)


async def test_the_reference_writes_what_a_sensor_publishes(tmp_path: Path) -> None:
    arrivals = file_to_handler.Arrivals()
    async with file_to_handler.watching(tmp_path, arrivals, record_batches=True) as server:
        await file_to_handler.drop(server, arrivals, 2)
        assert isinstance(server.log, RecordingEventLog)
        batches = await server.log.batches()
        expected = rows(server.folder / "log.db")

    with closing(open_for_writing(tmp_path / "raw.db", busy_timeout_ms=0)) as connection:
        write_batches(connection, batches)

    written = rows(tmp_path / "raw.db")
    # The last execution may have ended between the two looks; events and memory may not differ.
    assert {name: written[name] for name in ("inbox", "sensor_state", "definitions")} == {
        name: expected[name] for name in ("inbox", "sensor_state", "definitions")
    }
    assert len(written["inbox"]) == 3


async def test_transactions_of_one_commit_are_one_batch(tmp_path: Path) -> None:
    async def work(server: Server) -> None:
        await chain3.run(server, executions=40, in_flight=40, name="chain")

    batches, _ = await recorded(tmp_path, chain3.DEFINITION, work)

    # Each execution commits four times. All start in one turn of the loop, so the first commit
    # takes one of them or more, and the next one takes the rest.
    assert sum(map(len, batches)) == 160
    assert len(batches) < 80


@pytest.mark.parametrize("definition", [transitions.JSONPATH, transitions.JSONATA])
async def test_the_loop_makes_as_many_transitions_as_are_counted(
    tmp_path: Path, definition: dict[str, Any]
) -> None:
    async with InlineExecutor({}) as executor, serving(tmp_path, executor, definition) as server:
        start = Start(machine=server.machine, name="loop", input=transitions.INPUT)
        (row,) = await server.engine.start([start])
        await server.engine.ended(row.id)
        events = history(await server.log.read(row.id))

    left = [event.type for event in events if event.type.endswith("StateExited")]
    assert len(left) == transitions.TRANSITIONS == 1_001
    assert all(len(event.payload("output")) > 1_000 for event in events if event.type in left)


def test_a_transition_costs_what_a_round_took_by_two() -> None:
    noted = history_growth.Rounds()
    # Every round takes a second until event 700, and three from there on.
    noted.at = [*range(100), *range(100, 700, 3)]

    early = noted.cost_us(first_event=20, rounds=10)
    assert (early, noted.cost_us(first_event=700, rounds=10)) == (500_000, 1_500_000)


def test_the_large_payload_has_100_kib() -> None:
    assert 100 * 1_024 <= len(payload_100kib.payload("any")) < 102 * 1_024


async def test_ratios_are_medians_over_rounds_against_the_references_around_them() -> None:
    references = iter([100.0, 200.0, 50.0, 50.0, 10.0, 10.0])
    ours = iter([30.0, 10.0, 4.0])

    async def measure() -> Figures:
        return {"per_s": next(ours), "cpu_ms": 1.0}

    figures = await alternate(3, "per_s", measure, lambda: next(references))

    assert figures == {
        "per_s": 10.0,
        "cpu_ms": 1.0,
        "raw_per_s": 50.0,
        "ratio_raw": 0.2,
        "raw_drift": 1.0,
    }


@pytest.mark.parametrize(
    ("target", "figure", "met"),
    [
        (Target(at_least=1_500), 1_500, True),
        (Target(at_least=1_500), 1_499, False),
        (Target(at_most=6), 6, True),
        (Target(at_most=6), 6.1, False),
    ],
)
def test_a_target_is_met_at_its_limit(target: Target, figure: float, met: bool) -> None:
    assert target.is_met(figure) is met


_SMALL = {"ratio_raw", "raw_drift", "cpu_ms", "growth"}


def test_the_table_fits_into_eighty_columns() -> None:
    figures: dict[str, Figures] = {
        name: {key: 0.123 if key in _SMALL else 12_345.6 for key in sorted(keys)}
        for name, keys in _KEYS.items()
    }
    console = Console(width=80, record=True, file=io.StringIO())

    console.print(table(figures, {"cpus": 2}))

    text = console.export_text()
    assert "…" not in text
    verdicts = re.findall(r"[≤≥] [0-9,.]+ \w+", text)
    assert len(verdicts) == sum(len(each.targets) for each in BENCHMARKS.values())
    assert verdicts[:3] == ["≥ 3,500 met", "≥ 2,000 met", "≤ 3 missed"]
