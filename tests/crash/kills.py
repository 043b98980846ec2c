"""One kill: where, and what has to be true afterwards."""

from pathlib import Path
from typing import Final

from eventmill.faults import POINTS
from tests.crash.servers import KILLED, Ended, servers, undisturbed
from tests.crash.workload import make_project, outcome

# Where the first server is killed, so that the second one has something to take up.
_UNDER_WAY: Final = ("after-dispatch", 25)
AFTER_A_CRASH: Final = ("before-recovery", "after-recovery", "before-load", "after-load")
assert set(AFTER_A_CRASH) < set(POINTS)


def kill_and_restart(folder: Path, point: str, times: int, again: bool = False) -> bool:
    """Kill a server as it passes a point for the n-th time, and let another one finish its work.

    What only a restart passes is passed after another crash. With `again` the second server is
    killed there, too. Returns whether the point was passed so often.

    Raises:
        AssertionError: The crash has left a trace.
    """
    project = make_project(folder / "project")
    if point in AFTER_A_CRASH:
        assert servers().run(project, *_UNDER_WAY).code == KILLED
    killed = servers().run(project, point, times).code == KILLED
    if killed and again:
        servers().run(project, point, times)
    if killed:
        assert servers().run(project) == Ended(0, "")
    assert outcome(project) == undisturbed()
    return killed
