"""What must hold in a simulation, and the one who looks whether it does."""

from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from eventmill.asl.parser import reopen
from eventmill.asl.syntax import StateMachine
from eventmill.codec import decode_step
from eventmill.events import TriggerEvent
from eventmill.log import chain
from eventmill.machine.commands import RunTask
from eventmill.machine.execution import RUNNING, Execution, Identity
from eventmill.machine.facts import Fact, TaskFailed, TaskHeartbeat, TaskSucceeded
from eventmill.machine.history import HistoryEvent
from eventmill.rows import ExecutionRow, MapRunRow
from eventmill.runtime.replay import replay, snapshot_holds, verify
from eventmill.runtime.status_changes import SOURCE
from tests.property.comparison import differences
from tests.simulation.server import Server
from tests.simulation.workloads import AFTER

if TYPE_CHECKING:
    from tests.simulation.world import World

_T = TypeVar("_T")

_GRACE_MS = 600_000  # for what a server still does when all executions have ended
_LATE_MS_MAX = 300_000  # that a child may run on when its Map Run was given up
_ALL = 100_000


class Violation(Exception):
    """Something is not as it must be."""


class Outcome(NamedTuple):
    """What an execution came to."""

    status: str
    output: str | None
    error: str | None
    cause: str | None


class Witness:
    """Sees what servers do and what the log holds, and compares."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._memory = world.disk.memory
        self._runs: set[tuple[int, str, int]] = set()  # server, execution, task
        self._steps: defaultdict[int, list[tuple[HistoryEvent, ...]]] = defaultdict(list)
        self._definitions: dict[str, StateMachine] = {}
        self._keys: defaultdict[tuple[str, int], set[str]] = defaultdict(set)

    # While it happens

    def dispatched(self, server: int, arn: str, command: RunTask, *, is_open: bool) -> None:
        """A server has a task carried out."""
        name = f"{arn.rsplit(':', 1)[-1]}#{command.task}"
        self._world.trace.note(f"runs: {name} {command.state} attempt {command.attempt}")
        row = self._row(arn)
        self._must(row.status == RUNNING, f"{name} is run after its execution has ended")
        scheduled = {event.id for event in self._events(row.id) if event.type.endswith("Scheduled")}
        self._must(command.task in scheduled, f"{name} is run before that is durable")
        self._must(not is_open, f"{name} is run while it runs")
        self._check_turn(row, name)
        key = (server, arn, command.task)
        # After a conflict that is told late, an answer may be on its way when its task is read.
        is_first = key not in self._runs or row.id in self._world.disk.conflicts
        self._must(is_first, f"{name} is run twice by one server")
        self._runs.add(key)
        self._keys[arn, command.task].add(command.idempotency_key)

    def _check_turn(self, row: ExecutionRow, name: str) -> None:
        """Only the oldest executions of a limited machine act, each with its children."""
        while row.child is not None:
            row = _known(self._row_by_id(row.child.execution))
        machine = row.state_machine_arn
        limit = self._world.workload.limits.get(machine.rsplit(":", 1)[-1])
        if limit is None or row.status != RUNNING:
            return
        older = [
            each.name
            for each in self._memory._executions.values()
            if each.state_machine_arn == machine and each.status == RUNNING and each.id < row.id
        ]
        self._must(len(older) < limit, f"{name} is run before it is its turn: before {older}")

    def told(self, id: int, fact: Fact, *, is_taken: bool, in_doubt: bool) -> None:
        """Somebody outside was told what became of an answer."""
        if isinstance(fact, TaskHeartbeat):
            return
        assert isinstance(fact, (TaskSucceeded, TaskFailed))
        ended = _ends_of_tasks(self._events(id)).get(fact.task)
        if not is_taken:
            waits = fact.task in self._folded(_known(self._row_by_id(id))).tasks
            self._must(in_doubt or not waits, f"{id}#{fact.task} waits, and refused an answer")
        elif isinstance(fact, TaskSucceeded):
            is_there = ended is not None and (ended.details or {}).get("output") == fact.output
            self._must(is_there, f"{id}#{fact.task}: a success was taken and is not there")
        else:
            is_there = ended is not None and (ended.details or {}).get("cause") == fact.cause
            self._must(is_there, f"{id}#{fact.task}: a failure was taken and is not there")

    async def at_death(self, server: Server) -> None:
        """What a server had in memory, as far as it was durable, is what the log holds."""
        for live in list(server.engine._live.values()):
            if live.in_flight == 0 and live.execution.status:
                self._compare(live.row, live.execution)
        self._check_snapshots()

    def _check_snapshots(self) -> None:
        """Each says what the steps of its execution say."""
        for id, stored in self._memory._snapshots.items():
            row = self._row_by_id(id)
            self._must(row is not None and row.status == RUNNING, f"{id} has a snapshot")
            assert row is not None
            identity = Identity.of(row.arn, row.state_machine_arn)
            steps = _at_once(self._memory.read(id))
            holds = snapshot_holds(identity, self._definition(row), steps, stored)
            self._must(holds, f"the snapshot of {row.name} is not what its steps say")

    def next_due_ms(self, server: Server) -> int | None:
        """When the next one is due, in the log or in the memory of a server that is up."""
        due = list(self._memory._timers.values())
        if server.is_ready:
            for live in server.engine._live.values():
                at_ms = live.execution.next_due_ms() if live.in_flight == 0 else None
                due += [] if at_ms is None else [at_ms]
        return min(due, default=None) if server.is_ready else None

    def open_ends(self) -> str:
        """What the executions that have not ended wait for."""
        rows = [_known(self._row_by_id(id)) for id in sorted(self._world.disk.running)]
        return "; ".join(map(self._open_end, rows)) or "and every execution has ended"

    def _open_end(self, row: ExecutionRow) -> str:
        folded = self._folded(row)
        return (
            f"{row.name} waits for tasks {list(folded.tasks)}, Map Runs {list(folded.map_runs)}, "
            f"time {folded.next_due_ms()}, timer row {self._memory._timers.get(row.id)}"
        )

    # At the end

    async def at_the_end(self, server: Server) -> None:
        """All executions have ended, so nothing of them may be left anywhere."""
        clock, engine = self._world.clock, server.engine
        await clock.pass_ms(_GRACE_MS)
        left = {
            "executions": engine._live,
            "facts that wait": engine._loading._told,
            "executions wanted": engine._loading._wanted,
            "calls": len(engine._work),
            "waiters": len(engine._ends),
            "Map Runs": engine._map_runs._runs,
            "tasks of Map Runs": engine._map_runs._tasks,
            "open calls": server.handlers.open,
            "places": [each.holders for each in server.places._machines.values() if each.holders],
            "those who wait for a turn": server.places.waiting,
            "commands of others": server.places._withheld,
            "due times": engine._timekeeper._due,
            "room": engine._admission._inside,
            "those who wait for room": engine._admission._waiting,
        }
        kept = [f"{name}: {found}" for name, found in left.items() if found]
        self._must(not kept, f"the engine keeps {'; '.join(kept)}")
        self._must(not engine.in_memory, "executions are in memory")
        await server.close()
        tasks = await self._world.leftovers()
        self._must(not tasks, f"tasks are left over: {tasks}")
        self._check_log()

    async def outcomes(self) -> dict[str, Outcome]:
        """What the executions came to that no Map Run started."""
        found = {}
        for row in self._rows():
            if row.child is None:
                details = self._events(row.id)[-1].details or {}
                output = self._events(row.id)[-1]
                found[f"{row.state_machine_arn.rsplit(':', 1)[-1]} {row.name}"] = Outcome(
                    status=row.status,
                    output=output.payload("output").text.decode() if "output" in details else None,
                    error=_text(details.get("error")),
                    cause=_text(details.get("cause")),
                )
        return found

    def _check_log(self) -> None:
        problem = chain.verify(self._memory.links())
        self._must(problem is None, f"the chain is broken: {problem}")
        timers = _at_once(self._memory.due(2**63, limit=_ALL))
        self._must(not timers, f"timers are left over: {timers}")
        snapshots = self._memory._snapshots
        self._must(not snapshots, f"snapshots are left over: {snapshots}")
        for row in self._rows():
            self._check_execution(row)
            self._check_keys(row)
            for run in _at_once(self._memory.map_runs(row.id)):
                self._check_map_run(row, run)
        self._check_starts()
        ids = self._world.disk.ids
        self._must(ids == sorted(ids), f"ids do not grow with time: {ids}")

    def _check_execution(self, row: ExecutionRow) -> None:
        rows = _at_once(self._memory.read(row.id))
        definition = self._definition(row)
        verify(Identity.of(row.arn, row.state_machine_arn), definition, rows)
        folded = self._folded(row)
        self._must(row.status == folded.status != RUNNING, f"{row.name} is {folded.status}")
        self._must(row.stop_ms == folded.stop_ms, f"{row.name} stopped at {folded.stop_ms}")
        ends = [
            event
            for event in self._events(row.id)
            if event.type.startswith("Execution") and event.type != "ExecutionStarted"
        ]
        self._must(len(ends) == 1, f"{row.name} ends {len(ends)} times")

    def _check_keys(self, row: ExecutionRow) -> None:
        """All attempts of one visit to a state have one key, and each visit another."""
        of_visit: defaultdict[int, set[str]] = defaultdict(set)
        entered: dict[int, int] = {}
        for event in self._events(row.id):
            if event.type.endswith("StateEntered"):
                entered[event.frame] = event.id
            elif event.type.endswith("Scheduled"):
                of_visit[entered[event.frame]] |= self._keys.get((row.arn, event.id), set())
        self._must(
            all(len(keys) <= 1 for keys in of_visit.values()), f"{row.name}: keys {of_visit}"
        )
        counted = Counter(key for keys in of_visit.values() for key in keys)
        self._must(not counted or max(counted.values()) == 1, f"{row.name}: keys {of_visit}")

    def _check_map_run(self, parent: ExecutionRow, run: MapRunRow) -> None:
        name = f"Map Run {parent.name}/{run.map_run}"
        key = (run.execution, run.map_run)
        found = _at_once(self._memory.executions(map_run=key, limit=_ALL))
        children = sorted(found, key=lambda row: row.child.index if row.child else -1)
        places = [row.child for row in children if row.child is not None]
        self._must(run.status != RUNNING, f"{name} has not ended")
        self._must(
            [place.index for place in places] == list(range(len(places))),
            f"{name} has children {[place.index for place in places]}",
        )
        numbers = [number for row in children for number in _numbers(self._input(row))]
        self._must(len(numbers) == len(set(numbers)), f"{name}: items {numbers}")
        if run.status == "SUCCEEDED":
            items = sum(place.items for place in places)
            self._must(items == run.items == len(numbers), f"{name}: {items} of {run.items}")
        self._check_limits(run, children)
        if run.status != "ABORTED":
            end = self._end_of_map_run(run)
            late = [row.name for row in children if self._last_position(row.id) > end]
            self._must(not late, f"{name} ended before its children {late}")

    def _check_limits(self, run: MapRunRow, children: list[ExecutionRow]) -> None:
        """No more at once than allowed, no more failures than tolerated, and nobody runs on."""
        disk, key = self._world.disk, (run.execution, run.map_run)
        if run.max_concurrency:
            at_once = disk.most_at_once[key]
            self._must(at_once <= run.max_concurrency, f"{at_once} children of {run} at once")
        failed = sum(row.child.items for row in children if row.child and row.status != "SUCCEEDED")
        if run.status == "SUCCEEDED":
            self._must(failed <= run.tolerated_count, f"{failed} items failed in {run}")
        elif run.status == "FAILED":
            self._must(failed > run.tolerated_count, f"only {failed} items failed in {run}")
        for row in children:
            late_ms = disk.executions_ended[row.id] - disk.map_runs_ended[key]
            is_late = late_ms > _LATE_MS_MAX
            self._must(not is_late, f"{row.name} ran on for {late_ms} ms after {run}")

    def _check_starts(self) -> None:
        """Each event started one execution for each trigger it matches, and nothing else began."""
        work = self._world.workload
        expected = Counter((wish.machine, wish.name) for wish in work.wishes)
        for event in work.events:
            for trigger in work.triggers:
                if trigger.matches(event.envelope()):
                    expected[trigger.state_machine, trigger.execution_name(event)] += 1
        told = self._status_changes()
        for trigger in work.bus:
            for event in told:
                self._must(trigger.matches(event.envelope()), f"nobody listens to {event.id}")
                expected[trigger.state_machine, trigger.execution_name(event)] += 1
            ends = [
                row.arn
                for row in self._rows()
                if row.child is None
                and row.state_machine_arn.rsplit(":", 1)[-1] != AFTER
                and trigger.matches(self._shape(row))
            ]
            self._must(
                sorted(event.resources[0] for event in told) == sorted(ends),
                f"{told} was told, and {ends} have ended",
            )
        begun = Counter(
            (row.state_machine_arn.rsplit(":", 1)[-1], row.name)
            for row in self._rows()
            if row.child is None
        )
        self._must(begun == expected, f"{begun} was started, not {expected}")
        inbox = sorted(each.event.id for each in _at_once(self._memory.inbox(limit=_ALL)))
        ids = sorted(each.id for each in (*work.events, *told))
        self._must(inbox == ids, f"the inbox has {inbox}")

    def _status_changes(self) -> list[TriggerEvent]:
        """What executions have put on the bus."""
        inbox = _at_once(self._memory.inbox(limit=_ALL))
        return [each.event for each in inbox if each.event.source == SOURCE]

    def _shape(self, row: ExecutionRow) -> dict[str, Any]:
        """As much of an event about the end of an execution as patterns here ask about."""
        detail = {"stateMachineArn": row.state_machine_arn, "status": row.status}
        return {"source": SOURCE, "detail": detail}

    # What the log holds

    def id_of(self, arn: str) -> int:
        """The id of an execution."""
        return self._row(arn).id

    def _row(self, arn: str) -> ExecutionRow:
        return _known(_at_once(self._memory.execution(arn)))

    def _row_by_id(self, id: int) -> ExecutionRow | None:
        return _at_once(self._memory.execution_by_id(id))

    def _rows(self) -> Iterator[ExecutionRow]:
        for id in sorted(self._memory._executions):
            yield _known(self._row_by_id(id))

    def _events(self, id: int) -> list[HistoryEvent]:
        steps = self._steps[id]
        for row in _at_once(self._memory.read(id, after_step=len(steps))):
            steps.append(decode_step(row.body, row.payloads).events)
        return [event for events in steps for event in events]

    def _input(self, row: ExecutionRow) -> Any:
        return self._events(row.id)[0].payload("input").value

    def _definition(self, row: ExecutionRow) -> StateMachine:
        if row.definition not in self._definitions:
            text = _at_once(self._memory.definition(row.definition))
            assert text is not None, "an execution has begun, and its definition is not stored"
            self._definitions[row.definition] = reopen(text)
        return self._definitions[row.definition]

    def _folded(self, row: ExecutionRow) -> Execution:
        identity = Identity.of(row.arn, row.state_machine_arn)
        return replay(identity, self._definition(row), _at_once(self._memory.read(row.id)))

    def _last_position(self, id: int) -> int:
        return max(each.position for each in self._memory._steps if each.row.execution == id)

    def _end_of_map_run(self, run: MapRunRow) -> int:
        """The position of the step that ended a Map Run."""
        ends = {}
        for stored in self._memory._steps:
            if stored.row.execution == run.execution:
                for event in decode_step(stored.row.body, stored.row.payloads).events:
                    ends[event.id] = stored.position
        of_run = _ends_of_tasks(self._events(run.execution))[run.map_run]
        return ends[of_run.id]

    def _compare(self, row: ExecutionRow, live: Execution) -> None:
        folded = self._folded(row)
        different = {
            name: pair
            for name, pair in differences(live, folded).items()
            # Of Map Runs the ids are compared; those cut off are the shell's business.
            if not name.endswith((".map_run", ".abandoned_runs"))
        }
        self._must(list(live.map_runs) == list(folded.map_runs), f"{row.name}: Map Runs differ")
        self._must(not different, f"{row.name} in memory is not what the log holds: {different}")

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self._world.trace.note(f"VIOLATION: {otherwise}")
            violation = Violation(otherwise)
            self._world.break_off(violation)
            raise violation


def _ends_of_tasks(events: list[HistoryEvent]) -> dict[int, HistoryEvent]:
    """How each task and each Map Run ended, by the event that began it."""
    begun: dict[int, int] = {}
    ended: dict[int, HistoryEvent] = {}
    for event in events:
        if event.type in ("TaskScheduled", "LambdaFunctionScheduled", "MapRunStarted"):
            begun[event.frame] = event.id
        elif (
            event.type.startswith(("Task", "LambdaFunction", "MapRun"))
            and event.type.endswith(("Succeeded", "Failed", "TimedOut"))
            and event.frame in begun
        ):
            ended[begun.pop(event.frame)] = event
    return ended


def _numbers(data: Any) -> list[int]:
    """The items that a child was given."""
    if isinstance(data, dict) and "Items" in data:
        return [number for item in data["Items"] for number in _numbers(item)]
    return [data["n"]]


def _known(row: ExecutionRow | None) -> ExecutionRow:
    assert row is not None
    return row


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _at_once(answer: Coroutine[Any, Any, _T]) -> _T:
    """The answer of the memory log, which waits for nothing."""
    try:
        answer.send(None)
    except StopIteration as stop:
        found: _T = stop.value
        return found
    raise AssertionError("the memory log waits")
