"""When the state of an execution is worth being stored, so that its steps need not be read again.

An execution that comes back into memory costs its snapshot and the steps after it, its *tail*. A
new snapshot costs in turn, the more the larger the state is; so it is made when the tail has come
to cost more than that, and neither small histories nor large states pay for nothing.
"""

from collections.abc import Sequence
from typing import Final

from eventmill.machine.snapshot import LAYOUT, snapshot
from eventmill.record import record
from eventmill.rows import Snapshot
from eventmill.runtime.loading import Live

# What things cost in microseconds, as measured (docs/performance.md): to read and fold a step, an
# event in it and a byte of it.
_STEP_US: Final = 5.0
_EVENT_US: Final = 4.0
_TAIL_BYTE_US: Final = 0.001
# What is written in case of a crash is worth less than what will surely be read.
_TIMES_STAYING: Final = 4


@record
class SnapshotRule:
    """From how costly a tail on an execution is written anew, in microseconds of folding.

    `leaving_us` is for one that leaves memory, `staying_us` for one at work, which needs its
    snapshot only after a crash. `snapshot_us` and `snapshot_byte_us` are what a snapshot costs.
    """

    leaving_us: float = 500.0
    staying_us: float = 20_000.0
    snapshot_us: float = 100.0
    snapshot_byte_us: float = 0.02

    def taken(self, live: Live, *, leaves: bool) -> Sequence[Snapshot]:
        """The snapshot of an execution after its last step, or none while that does not pay."""
        if not self._pays(live, leaves):
            return ()
        body = snapshot(live.execution)
        live.has_snapshot(len(body))
        return (Snapshot(execution=live.id, step=live.step, layout=LAYOUT, body=body),)

    def _pays(self, live: Live, leaves: bool) -> bool:
        tail_us = (
            _STEP_US * (live.step - live.snapshot_step)
            + _EVENT_US * (live.execution.sequence - live.snapshot_event)
            + _TAIL_BYTE_US * live.tail_bytes
        )
        snapshot_us = self.snapshot_us + self.snapshot_byte_us * live.snapshot_bytes
        if leaves:
            return tail_us >= max(self.leaving_us, snapshot_us)
        return tail_us >= max(self.staying_us, _TIMES_STAYING * snapshot_us)
