"""Every call to the disk may fail: nothing is lost or doubled, and the server says what is wrong.

`python -m tests.faults` lets every single call fail; here are a few of them.
"""

from pathlib import Path

import pytest

from tests.faults.disk import FAULTS, disturb, why_not
from tests.faults.starts import STARTS, start

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

# The first call of each kind makes the log; later ones belong to commits and checkpoints.
NUMBERS = (2, 5, 22)
FEW_CALLS = (1, 3)


def numbers(call: str) -> tuple[int, ...]:
    return FEW_CALLS if call in ("open", "truncate") else NUMBERS


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, each) for name, fault in FAULTS.items() for each in numbers(fault["DISK_CALL"])],
)
def test_a_failing_disk_leaves_no_trace(name: str, number: int, tmp_path: Path) -> None:
    assert disturb(name, number, tmp_path), f"there is no call {number} that could fail"


@pytest.mark.parametrize("number", FEW_CALLS)
@pytest.mark.parametrize("name", STARTS)
def test_a_start_on_a_failing_disk_serves_or_says_why_not(
    name: str, number: int, tmp_path: Path
) -> None:
    assert start(name, number, tmp_path), f"there is no call {number} that could fail"
