"""Other systems are measured beside ours. How fast any of them is, is for nobody to assert."""

import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.peers import contest, environments
from bench.peers.contest import KEYS, Results
from bench.peers.contestants import CONTESTANTS
from bench.peers.environments import PEERS, Peer
from bench.peers.report import table
from bench.peers.works import ALONE, CHAIN3, FAN_OUT, RECOVER

_OURS = {name for name, contestant in CONTESTANTS.items() if contestant.peer is None}
_BESIDE_RAW = {"ratio_raw", "raw_drift", "spread"}
_FIGURES = {
    CHAIN3: {"per_s", "raw_per_s"} | _BESIDE_RAW,
    ALONE: {"p50_ms", "p99_ms", "raw_p50_ms"} | _BESIDE_RAW,
    FAN_OUT: {"s", "raw_s"} | _BESIDE_RAW,
    RECOVER: {"s", "spread"},
}


def bench_peers(project_root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.peers", "--quick", *arguments]
    return subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("work", KEYS)
def test_a_quick_run_measures_all_of_ours_and_leaves_nothing_else_behind(
    project_root: Path, tmp_path: Path, work: str
) -> None:
    ran = bench_peers(project_root, "--ours", "--work", work, "--folder", str(tmp_path))

    assert (ran.returncode, ran.stderr) == (0, "")
    written = json.loads((tmp_path / "bench-peers.json").read_text(encoding="utf-8"))
    assert list(written) == ["machine", "versions", work]
    assert set(written[work]) == {name for name in _OURS if work in CONTESTANTS[name].sizes}
    for figures in written[work].values():
        assert set(figures) == _FIGURES[work]
        assert all(math.isfinite(figure) and figure > 0 for figure in figures.values())
    assert [each.name for each in tmp_path.iterdir()] == ["bench-peers.json"]


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_that_is_installed_is_measured_too(
    project_root: Path, tmp_path: Path, peer: str
) -> None:
    if not environments.is_installed(peer):
        pytest.skip(f"{peer} is optional: make bench-peers ARGS='--install {peer}'")

    ran = bench_peers(project_root, peer, "--work", CHAIN3, "--folder", str(tmp_path))

    assert (ran.returncode, ran.stderr) == (0, "")
    written = json.loads((tmp_path / "bench-peers.json").read_text(encoding="utf-8"))
    assert written["versions"] == {peer: PEERS[peer].pins()}
    theirs = {name for name, contestant in CONTESTANTS.items() if contestant.peer == peer}
    assert set(written[CHAIN3]) == _OURS | theirs


def test_a_peer_that_is_not_installed_is_named_with_the_way_to_install_it(
    project_root: Path, tmp_path: Path
) -> None:
    missing = [peer for peer in PEERS if not environments.is_installed(peer)]
    if not missing:
        pytest.skip("all peers are installed here")

    ran = bench_peers(project_root, missing[0], "--work", FAN_OUT, "--folder", str(tmp_path))

    assert ran.returncode == 0
    assert f"make bench-peers ARGS='--install {missing[0]}'" in ran.stdout


def test_an_environment_with_other_versions_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setitem(PEERS, "empty", Peer(requirements=("pip",)))
    assert not environments.is_installed("empty")

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "installed.txt").write_text("pip")
    assert environments.is_installed("empty")
    monkeypatch.setitem(PEERS, "empty", Peer(requirements=("pip==0",)))
    assert not environments.is_installed("empty")


def test_a_contestant_that_fails_says_what_it_told(tmp_path: Path) -> None:
    (name,) = [name for name in _OURS if CONTESTANTS[name].variant == "inline"]
    request = contest.Contest(tmp_path, [name], quick=True).request(name, RECOVER, tmp_path)

    with pytest.raises(contest.Failed, match=r"(?s)Eventmill, inline could not do.*KeyError"):
        contest.ask(name, request)


def test_figures_are_medians_and_the_spread_is_that_of_the_figure_that_counts() -> None:
    rounds = [{"per_s": 100.0, "raw_drift": 1.0}, {"per_s": 50.0, "raw_drift": 1.2}]

    summary = contest.summary([*rounds, {"per_s": 60.0, "raw_drift": 1.1}], "per_s")

    assert summary == {"per_s": 60.0, "raw_drift": 1.1, "spread": 2.0}


def test_the_table_has_who_was_measured_and_fits_into_eighty_columns() -> None:
    results: dict[str, Results] = {
        work: {
            name: {key: 12_345.6 if key.endswith("per_s") else 0.123 for key in _FIGURES[work]}
            for name, contestant in CONTESTANTS.items()
            if work in contestant.sizes
        }
        for work in KEYS
    }
    del results[CHAIN3]["huey, SQLite fsync"]
    console = Console(width=80, record=True, file=io.StringIO())

    console.print(table(results, {"cpus": 2}))

    text = console.export_text()
    assert "…" not in text
    assert all(name in text for name in CONTESTANTS)
    # All but one of the contestants, and raw SQLite.
    assert text.count("12,346") == len(CONTESTANTS)
    row = next(line for line in text.splitlines() if line.strip().startswith("huey"))
    assert row.split()[3:] == ["–", "0.123", "0.123", "0.123", "0.123", "the", "queue", "only"]
