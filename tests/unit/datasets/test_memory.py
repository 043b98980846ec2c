"""Datasets stream: how much memory they take does not depend on their size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.datasets.conftest import Bucket

PROGRAM = Path(__file__).with_name("peak_memory.py")
ROWS = 200_000
# All the items, or all the results, would take 60 MiB at least.
BYTES_MAX = 20 * 1024 * 1024


def text_of(kind: str) -> str:
    row = {"name": "a station with a name", "lat": "47.123", "lon": "11.456", "value": "3.5"}
    if kind == "CSV":
        line = ",".join(row.values())
        return ",".join(row) + "\n" + f"{line}\n" * ROWS
    text = json.dumps(row)
    return f"{text}\n" * ROWS if kind == "JSONL" else f"[{','.join([text] * ROWS)}]"


def measured(bucket: Bucket, kind: str) -> tuple[int, int]:
    """How many items a process of its own read or wrote, and the bytes that it took for them."""
    command = [sys.executable, str(PROGRAM), str(bucket.root.parent), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    count, size = done.stdout.split()
    return int(count), int(size)


@pytest.mark.parametrize("kind", ["CSV", "JSON", "JSONL"])
def test_reading_takes_little_memory(bucket: Bucket, kind: str) -> None:
    bucket.put("object", text_of(kind))
    count, size = measured(bucket, kind)
    assert count == ROWS
    assert size < BYTES_MAX


def test_writing_takes_little_memory(bucket: Bucket) -> None:
    count, size = measured(bucket, "results")
    assert count == 40_000
    assert (bucket.root / "run" / "SUCCEEDED_0.json").stat().st_size > 50_000_000
    assert size < BYTES_MAX
