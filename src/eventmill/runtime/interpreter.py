"""Python's interpreter, set for a server."""

import gc
import sys
from typing import Final

from eventmill import model

# The log's writer asks for the interpreter's lock a few dozen times for each commit. At the default
# of 5 ms a busy event loop makes it wait so long that the two take turns instead of overlapping.
_SWITCH_SECONDS: Final = 0.0001


def runs_compiled() -> bool:
    """Whether the modules that every step runs through are machine code (docs/performance.md)."""
    return not str(model.__file__).endswith(".py")


def tune_interpreter() -> None:
    """Make this process a server: what was set up by now is taken to live as long as it does.

    Call it once. The garbage collector no longer walks what is there already, and seldom the rest:
    executions are freed by counting references, and a full collection for every few thousand of
    them costs a tenth of the throughput and finds nothing. Threads hand the interpreter's lock over
    sooner.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    sys.setswitchinterval(_SWITCH_SECONDS)
