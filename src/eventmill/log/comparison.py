"""The chain compared with checkpoints, while it is followed."""

from collections.abc import Iterator, Sequence

from eventmill.instant import format_instant
from eventmill.log.chain import Gap, Link, Problem
from eventmill.log.checkpoints import Checkpoint


class Comparison:
    """Checkpoints, and what became of them while the rows of a chain went by.

    `compared` counts those that the chain was compared with, `unreachable` those inside of a gap,
    of which the log knows no hash. `problem` is about the first that does not agree.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._left = sorted(checkpoints, key=lambda each: each.position)
        self._left.reverse()
        self._agreed: Checkpoint | None = None
        self.compared = 0
        self.unreachable = 0
        self.problem: Problem | None = None

    def following(self, rows: Iterator[Link | Gap]) -> Iterator[Link | Gap]:
        """The same rows, each compared as it goes by."""
        for row in rows:
            last = row.last if isinstance(row, Gap) else row.position
            while self._left and self._left[-1].position < last:
                # Rows count up, so only a gap passes a checkpoint over, or the one of no rows.
                self._left.pop()
                self.unreachable += 1
            while self._left and self._left[-1].position == last:
                self._compare(self._left.pop(), row)
            yield row

    def cut(self, last: int) -> Problem | None:
        """What the checkpoints say about rows after the last one, `last`, of a whole chain."""
        beyond = [each for each in self._left if each.position > last]
        if not beyond:
            return None
        newest = beyond[0]
        alone = newest.position == last + 1
        missing = "the row is" if alone else f"the rows up to {newest.position} are"
        what = f"{missing} missing: {_named(newest)} has {'it' if alone else 'them'}"
        if self._agreed is None and last:
            what += ". No checkpoint agrees with this log; it may be another one"
        return Problem(position=last + 1, execution=None, step=None, what=what)

    def _compare(self, checkpoint: Checkpoint, row: Link | Gap) -> None:
        self.compared += 1
        if checkpoint.hash == row.hash:
            self._agreed = checkpoint
        elif self.problem is None:
            self.problem = self._disagreement(checkpoint, row)

    def _disagreement(self, checkpoint: Checkpoint, row: Link | Gap) -> Problem:
        first = 1 if self._agreed is None else self._agreed.position + 1
        where = (
            "this row"
            if first == checkpoint.position
            else f"a row from here to {checkpoint.position}"
        )
        what = f"{where} is another than when {_named(checkpoint)} was made: "
        if self._agreed is None:
            what += "this is another log, or its history was written anew"
        else:
            what += f"the history was written anew after {_named(self._agreed)}"
        return Problem(position=first, execution=None, step=None, what=what)


def _named(checkpoint: Checkpoint) -> str:
    return f"the checkpoint of {format_instant(checkpoint.at_ms)} at position {checkpoint.position}"
