"""The table for people."""

from collections.abc import Mapping
from statistics import median
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.peers.contest import Results
from bench.peers.contestants import CONTESTANTS
from bench.peers.works import ALONE, CHAIN3, FAN_OUT, RECOVER
from bench.rounds import Figures

_NONE: Final = "–"


def table(results: Mapping[str, Results], machine: Mapping[str, int | float | str]) -> Table:
    """A row for each contestant, and the last one for raw SQLite."""
    made = Table(
        title="Eventmill beside other systems",
        caption=", ".join(f"{key} {value}" for key, value in machine.items()),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    made.add_column("", no_wrap=True)
    for heading in ("chain3\n/s", "alone\nms p50", "\np99", "fan\nout s", "reco-\nver s"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("on disk", no_wrap=True)
    for name, contestant in CONTESTANTS.items():
        measured = {work: of[name] for work, of in results.items() if name in of}
        if measured:
            made.add_row(name, *_cells(measured), contestant.durable)
    made.add_row("raw SQLite, our rows", *_raw_cells(results), "the same rows")
    return made


def _cells(measured: Mapping[str, Figures]) -> list[str]:
    alone = measured.get(ALONE)
    return [
        _shown(measured, CHAIN3, "per_s", "{:,.0f}"),
        f"{alone['p50_ms']:.3g}" if alone else _NONE,
        f"{alone['p99_ms']:.3g}" if alone else _NONE,
        _shown(measured, FAN_OUT, "s", "{:.3g}"),
        _shown(measured, RECOVER, "s", "{:.3g}"),
    ]


def _shown(measured: Mapping[str, Figures], work: str, key: str, form: str) -> str:
    return form.format(measured[work][key]) if work in measured else _NONE


def _raw_cells(results: Mapping[str, Results]) -> list[str]:
    return [
        _raw(results, CHAIN3, "raw_per_s", "{:,.0f}"),
        _raw(results, ALONE, "raw_p50_ms", "{:.3g}"),
        _NONE,
        _raw(results, FAN_OUT, "raw_s", "{:.3g}"),
        _NONE,
    ]


def _raw(results: Mapping[str, Results], work: str, key: str, form: str) -> str:
    raw = [figures[key] for figures in results.get(work, {}).values()]
    return form.format(median(raw)) if raw else _NONE
