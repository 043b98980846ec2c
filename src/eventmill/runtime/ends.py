"""Those who wait for the end of an execution."""

import asyncio

from eventmill.rows import ExecutionRow


class Ends:
    """Who waits for which execution; nothing is kept of those who have gone."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[ExecutionRow]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def of(self, execution: int) -> "asyncio.Future[ExecutionRow]":
        """A future that `came` gives the row of the execution; give it back with `leave`."""
        end: asyncio.Future[ExecutionRow] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(execution, []).append(end)
        return end

    def leave(self, execution: int, end: "asyncio.Future[ExecutionRow]") -> None:
        """Nobody waits with this future any more."""
        waiting = self._waiting.get(execution)
        if waiting is not None and end in waiting:  # else it has come
            waiting.remove(end)
            if not waiting:
                del self._waiting[execution]

    def is_awaited(self, execution: int) -> bool:
        """Whether anybody waits for the end of an execution."""
        return execution in self._waiting

    def came(self, row: ExecutionRow) -> None:
        """An execution has ended, durably."""
        for end in self._waiting.pop(row.id, ()):
            if not end.done():
                end.set_result(row)
