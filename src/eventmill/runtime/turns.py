"""Turns: calls of handlers wait here until one may begin, and state machines take turns.

Two things are limited, in this order: the calls of one handler, where it has a limit, and all calls
together, to what the executor runs at once. Behind either gate each state machine has a line of its
own, first come first served, and the lines are served one after the other. So a machine with ten
thousand calls in line holds up another's one call for a single round.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

from eventmill.executors.scan import Scan
from eventmill.ports import Answer, Executor, Invocation


class _Call:
    """A call from `invoke` to its answer or its cancellation."""

    __slots__ = ("answer", "gate", "invocation", "waits_at")

    def __init__(
        self, invocation: Invocation, answer: Callable[[Answer], None], gate: "Gate | None"
    ) -> None:
        self.invocation = invocation
        self.answer = answer
        self.gate = gate  # of its handler, where that has a limit
        self.waits_at: Gate | None = None

    @property
    def machine(self) -> str:
        """Whose turn it takes: the state machine's name, for children that of their parent."""
        return machine_of(self.invocation.execution_arn)


def machine_of(execution_arn: str) -> str:
    """The name of the state machine that an execution belongs to, or to which its parent does.

    >>> machine_of("arn:aws:states:local:000000000000:execution:etl/Rows:8f0c")
    'etl'
    """
    parts = execution_arn.split(":", 7)
    return parts[6].split("/", 1)[0] if len(parts) > 6 else execution_arn


class Gate:
    """Lets `places` calls in at once. Those that wait go in by state machine, in rotation."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._lines: OrderedDict[str, OrderedDict[int, _Call]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._lines.values()))

    def enter(self, call: _Call) -> bool:
        """Take a place and return True, or get in line and return False."""
        if self._free:
            self._free -= 1
            return True
        line = self._lines.setdefault(call.machine, OrderedDict())
        line[call.invocation.id] = call
        call.waits_at = self
        return False

    def leave(self) -> _Call | None:
        """Give a place back; to whom it goes, if anybody waits."""
        if not self._lines:
            self._free += 1
            return None
        machine, line = self._lines.popitem(last=False)
        _, call = line.popitem(last=False)
        if line:
            self._lines[machine] = line  # behind those whose turn it is next
        call.waits_at = None
        return call

    def give_up(self, call: _Call) -> None:
        """Get out of line."""
        machine = call.machine
        line = self._lines[machine]
        del line[call.invocation.id]
        if not line:
            del self._lines[machine]
        call.waits_at = None


def handler_gates(handlers: Scan, limits: Mapping[str, int]) -> dict[str, Gate]:
    """A gate for each limited handler, by every name that it can be called by.

    `limits` are those of the settings, by such a name; they win over what a handler declares.
    """
    declared = {
        found.full_name: found.concurrency
        for found in handlers.handlers.values()
        if found.concurrency is not None
    }
    set_ = {handlers.full_name(name): limit for name, limit in limits.items()}
    gates = {name: Gate(limit) for name, limit in {**declared, **set_}.items()}
    for name, found in handlers.handlers.items():
        if found.full_name in gates:
            gates[name] = gates[found.full_name]
    return gates


class Turns:
    """An `Executor` in front of another one, which gets at most `calls_max` calls at once.

    A call counts there until it is answered or cancelled. Against the limit of its handler it
    counts until it has really ended, of which the executor must tell by `ended`: one that was
    cancelled, or was answered for because its time was over, may still be at work.

    What waits here is in memory already, as a task of its execution, so it needs no bound of its
    own: starts wait when there is no room for more executions.
    """

    def __init__(
        self, executor: Executor, *, calls_max: int, gates: Mapping[str, Gate] | None = None
    ) -> None:
        self._executor = executor
        self._all = Gate(calls_max)
        self._gates = gates or {}
        self._calls: dict[int, _Call] = {}
        self._at_work: dict[int, Gate] = {}  # calls that hold a place of their handler
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._all) + sum(map(len, set(self._gates.values())))

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        """Begin a call when its turn has come; see `Executor.invoke`."""
        gate = self._gates.get(invocation.function)
        call = self._calls[invocation.id] = _Call(invocation, answer, gate)
        if gate is None or gate.enter(call):
            self._begin(call)

    def cancel(self, invocation: int) -> None:
        """Stop a call, which may still wait; see `Executor.cancel`."""
        call = self._calls.pop(invocation, None)
        if call is None:
            return
        if call.waits_at is None:
            self._executor.cancel(invocation)
            self._leave()
        elif call.waits_at is call.gate:
            call.gate.give_up(call)
        else:
            call.waits_at.give_up(call)
            self.ended(invocation)

    def ended(self, invocation: int) -> None:
        """A call has ended for good: its handler may take the next. Unknown ids are ignored."""
        gate = self._at_work.pop(invocation, None)
        follower = None if gate is None else gate.leave()
        if follower is not None:
            self._begin(follower)

    def close(self) -> None:
        """Begin nothing more."""
        self._is_closed = True

    def _begin(self, call: _Call) -> None:
        """It has the place of its handler; now it needs one among all."""
        if call.gate is not None:
            self._at_work[call.invocation.id] = call.gate
        if self._all.enter(call):
            self._invoke(call)

    def _invoke(self, call: _Call) -> None:
        if not self._is_closed:
            self._executor.invoke(call.invocation, partial(self._answered, call))

    def _answered(self, call: _Call, answer: Answer) -> None:
        if self._calls.pop(call.invocation.id, None) is None:
            return  # it was cancelled, which nobody waits for
        self._leave()
        call.answer(answer)

    def _leave(self) -> None:
        follower = self._all.leave()
        if follower is not None:
            self._invoke(follower)
