"""Each event of each source starts one execution, whenever servers die.

`python -m tests.crash.sources` does the same with 10,000 events and more kills.
"""

from pathlib import Path

import pytest

from tests.crash.arrivals import prove
from tests.crash.feeders import FEEDERS


@pytest.mark.parametrize("source", FEEDERS)
def test_each_event_starts_one_execution_whenever_servers_die(source: str, tmp_path: Path) -> None:
    proof = prove(FEEDERS[source], tmp_path, events=200, kills=4, seed=2)
    assert proof.kills >= 1, "nothing was killed, so nothing is shown"
