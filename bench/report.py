"""The table for people."""

from collections.abc import Mapping
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.benchmarks import BENCHMARKS, Target
from bench.rounds import Figures

# Keys that stand in a row of another figure.
_BESIDE: Final = ("raw_", "ratio_")

_UNITS: Final = {
    "per_s": ("{:,.0f}", "/s"),
    "cpu_ms": ("{:.3g}", "ms cpu"),
    "p50_ms": ("{:.3g}", "ms p50"),
    "p99_ms": ("{:.3g}", "ms p99"),
    "s": ("{:.3g}", "s"),
    "ready_s": ("{:.3g}", "s ready"),
    "dispatched_s": ("{:.3g}", "s all due"),
    "mib": ("{:.1f}", "MiB"),
    "late_mib": ("{:.1f}", "MiB late"),
    "jsonpath_us": ("{:.3g}", "µs JSONPath"),
    "jsonata_us": ("{:.3g}", "µs JSONata"),
    "item_us": ("{:.3g}", "µs cpu/item"),
    "item_kib": ("{:.1f}", "KiB/item"),
    "file_bytes": ("{:,.0f}", "B/file"),
    "early_us": ("{:.3g}", "µs early"),
    "late_us": ("{:.3g}", "µs late"),
    "few_us": ("{:.3g}", "µs of 10"),
    "many_us": ("{:.3g}", "µs of 1000"),
    "growth": ("{:.2f}", "times"),
    "wake_ms": ("{:.3g}", "ms awake"),
    "wake_folded_ms": ("{:.3g}", "ms folded"),
    "recover_s": ("{:.3g}", "s restored"),
    "recover_folded_s": ("{:.3g}", "s folded"),
}


def table(figures: Mapping[str, Figures], machine: Mapping[str, int | float | str]) -> Table:
    """All figures, each beside raw SQLite's and the first target."""
    made = Table(
        title="Eventmill beside SQLite alone writing the same rows",
        caption=", ".join(f"{key} {value}" for key, value in machine.items()),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    made.add_column("benchmark", no_wrap=True)
    for heading in ("measured", "raw SQLite", "ours/raw", "target"):
        made.add_column(heading, justify="right", no_wrap=True)
    for name, measured in figures.items():
        for position, row in enumerate(_rows(name, measured)):
            made.add_row(name if position == 0 else "", *row)
    return made


def _rows(name: str, figures: Figures) -> list[list[str]]:
    rows = []
    for key, figure in figures.items():
        if key.startswith(_BESIDE):
            continue
        raw = figures.get(f"raw_{key}")
        beside = ["", ""]
        if raw is not None:
            beside = [_shown(key, raw), f"{figures['ratio_raw']:.3g}"]
        target = BENCHMARKS[name].targets.get(key)
        rows.append([_shown(key, figure), *beside, _judged(figure, target)])
    return rows


def _shown(key: str, figure: float) -> str:
    form, unit = _UNITS[key]
    if form == "{:.3g}" and figure >= 1_000:
        form = "{:,.0f}"  # rather than an exponent
    return f"{form.format(figure)} {unit}"


def _limit(target: Target) -> str:
    if target.at_least is not None:
        return f"≥ {target.at_least:,g}"
    return f"≤ {target.at_most:,g}"


def _judged(figure: float, target: Target | None) -> str:
    if target is None:
        return ""
    verdict = "[green]met[/]" if target.is_met(figure) else "[red]missed[/]"
    return f"{_limit(target)} {verdict}"
