"""Mistakes that somebody could make in the engine, and the tests that must notice them.

Each is one edit. They are few and chosen: what durability hangs on, where one word decides.
"""

from typing import Final

from eventmill.record import record

# The simulation, up to the first seed that fails.
SIMULATION: Final = ("-m", "tests.simulation", "--stop", "--count", "400")
ENGINE: Final = ("-m", "pytest", "-x", "-q", "tests/runtime/test_engine.py")
SNAPSHOTS: Final = ("-m", "pytest", "-x", "-q", "tests/property/test_snapshots.py")
FROM_SNAPSHOTS: Final = ("-m", "pytest", "-x", "-q", "tests/runtime/test_snapshots.py")
PLACES: Final = ("-m", "pytest", "-x", "-q", "tests/unit/runtime/test_places.py")
TURNS: Final = ("-m", "pytest", "-x", "-q", "tests/unit/runtime/test_turns.py")
LIMITS: Final = ("-m", "pytest", "-x", "-q", "tests/runtime/test_limits.py")
TIMEKEEPER: Final = ("-m", "pytest", "-x", "-q", "tests/unit/runtime/test_timekeeper.py")
ADMISSION: Final = ("-m", "pytest", "-x", "-q", "tests/runtime/test_admission.py")
FAILURES: Final = ("-m", "pytest", "-x", "-q", "tests/unit/machine/test_failures.py")


@record
class Mutant:
    """An edit of one file under `src/eventmill`, and the arguments for Python that must fail."""

    name: str
    path: str
    old: str
    new: str
    killed_by: tuple[str, ...] = SIMULATION


ENGINE_MUTANTS: Final = (
    Mutant(
        name="acts before the step is durable",
        path="runtime/engine.py",
        old="        self._events.submit(transaction, outcome)\n",
        new="        self._work.carry_out(live, step.commands)\n"
        "        self._events.submit(transaction, outcome)\n",
    ),
    Mutant(
        name="forgets an execution while a step of it is on its way",
        path="runtime/engine.py",
        old='        point("after-dispatch")\n        if live.in_flight > 0:\n',
        new='        point("after-dispatch")\n        if False:\n',
    ),
    Mutant(
        name="does not cancel what nobody waits for",
        path="runtime/work.py",
        old="        if cancel is not None:\n            cancel()\n",
        new="",
    ),
    Mutant(
        name="says nothing to whoever told what is no news",
        path="runtime/engine.py",
        old="            taken(False)\n            return\n        # Transactions",
        new="            return\n        # Transactions",
    ),
    Mutant(
        name="answers before what it rests on is durable",
        path="runtime/engine.py",
        old="        if live.in_flight == 0 or taken is _unheard:\n",
        new="        if True:\n",
        killed_by=ENGINE,
    ),
    Mutant(
        name="says nothing to whoever told something of an ended execution",
        path="runtime/engine.py",
        old="        for _, taken in told:\n            taken(False)\n",
        new="",
    ),
    Mutant(
        name="loses a fact that the log refused",
        path="runtime/engine.py",
        old="want_later(live.id, *told)",
        new="want_later(live.id)",
    ),
    Mutant(
        name="survives no conflict",
        path="runtime/engine.py",
        old="isinstance(error, (LogUnavailable, AppendConflict))",
        new="isinstance(error, LogUnavailable)",
    ),
    Mutant(
        name="goes on with what the log has refused",
        path="runtime/engine.py",
        old="*told: Told) -> None:\n        self._forget(live)\n",
        new="*told: Told) -> None:\n",
    ),
    Mutant(
        name="runs again what is under way",
        path="runtime/work.py",
        old="if command.task not in live.execution.tasks or key in self._running:",
        new="if command.task not in live.execution.tasks:",
    ),
    Mutant(
        name="gives ids that may be taken",
        path="runtime/starting.py",
        old="max(self._last_id + 1, now_ms << 20)",
        new="now_ms << 20",
    ),
    Mutant(
        name="forgets after a restart which ids are taken",
        path="runtime/engine.py",
        old="        self._starting.ids_after(await self._events.newest_id())\n",
        new="",
    ),
    Mutant(
        name="tells no Map Run that a child has ended",
        path="runtime/engine.py",
        old="            self._map_runs.ended(live.row, status)\n",
        new="            pass\n",
    ),
    Mutant(
        name="keeps those who have got their answer",
        path="runtime/ends.py",
        old="            if not waiting:\n                del self._waiting[execution]\n",
        new="",
    ),
    Mutant(
        name="stores an event without what its sensor remembers",
        path="runtime/starting.py",
        old="            sensor_state=sensor_state,\n            deliveries",
        new="            deliveries",
    ),
    Mutant(
        name="does not go on with what was under way",
        path="runtime/engine.py",
        old="        self._work.carry_out(live, durable)\n",
        new="",
    ),
    Mutant(
        name="leaves the children of a Map Run that was given up before a crash",
        path="runtime/engine.py",
        old="        self._map_runs.begin_stopping_orphans()\n",
        new="",
    ),
    Mutant(
        name="keeps the timer of a sleeper that was woken",
        path="runtime/engine.py",
        old="timers=None if due_ms == live.timer_ms else {live.id: due_ms},",
        new="timers=None if due_ms is None else {live.id: due_ms},",
    ),
    Mutant(
        name="forgets who waits for an execution on its way into memory",
        path="runtime/loading.py",
        old="            waiting += told\n",
        new="            waiting[:] = told\n",
    ),
    Mutant(
        name="pauses by a clock that may be set back",
        path="runtime/loading.py",
        old="self._clock.pause(_PAUSE_MS)",
        new="self._clock.sleep_until(self._clock.now_ms() + _PAUSE_MS)",
    ),
    Mutant(
        name="wakes one millisecond late, for ever",
        path="runtime/timekeeper.py",
        old="self._in_memory[0][0] <= now_ms",
        new="self._in_memory[0][0] < now_ms",
    ),
    Mutant(
        name="does not hear of somebody who sleeps for a shorter time",
        path="runtime/timekeeper.py",
        old="(self._in_memory, (due_ms, execution))\n        self._news.set()\n",
        new="(self._in_memory, (due_ms, execution))\n",
    ),
)

MAP_RUN_MUTANTS: Final = (
    Mutant(
        name="drops the notice of a child that ended early",
        path="runtime/map_runs.py",
        old="            self.early[child] = status\n",
        new="            pass\n",
    ),
    Mutant(
        name="begins a Map Run again with its first item",
        path="runtime/map_runs.py",
        old="        run.started = progress.started\n",
        new="",
    ),
    Mutant(
        name="forgets after a restart how many items have failed",
        path="runtime/map_runs.py",
        old="                run.failed_items += items\n",
        new="                pass\n",
    ),
    Mutant(
        name="forgets after a restart which children run",
        path="runtime/map_runs.py",
        old="            run.begun(child, items)\n",
        new="            pass\n",
    ),
    Mutant(
        name="lets the children of a Map Run that was given up run on",
        path="runtime/map_runs.py",
        old="            if run.is_cancelled:\n                await self._stop_children(run)\n",
        new="            if run.is_cancelled:\n",
    ),
    Mutant(
        name="does not wake a Map Run that was given up",
        path="runtime/map_runs.py",
        old="            run.is_cancelled = True\n            run.news.set()\n",
        new="            run.is_cancelled = True\n",
    ),
    Mutant(
        name="ends a Map Run before its children",
        path="runtime/map_runs.py",
        old="        while run.open and failure is None and not run.is_over:\n",
        new="        while False:\n",
    ),
    Mutant(
        name="tolerates one failure too many",
        path="runtime/map_runs.py",
        old="(count and failed > count)",
        new="(count and failed > count + 1)",
    ),
    Mutant(
        name="waits for no room for another child",
        path="runtime/map_runs.py",
        old="min(_PAGE, run.at_once - len(run.open))",
        new="min(_PAGE, run.at_once)",
    ),
    Mutant(
        name="does not store that a Map Run was given up",
        path="runtime/map_run_rows.py",
        old="    for command in step.commands:\n        if isinstance(command, CancelMap):",
        new="    for command in ():\n        if isinstance(command, CancelMap):",
    ),
    Mutant(
        name="does not remember what a sensor knew when its event is there already",
        path="runtime/router.py",
        old="                for known in error.events:\n                    del events[known]\n",
        new="                return\n",
    ),
    Mutant(
        name="lets a sensor die of a full disk",
        path="runtime/supervisor.py",
        old="except (SensorError, LogUnavailable) as error:",
        new="except SensorError as error:",
    ),
)

LIMIT_MUTANTS: Final = (
    Mutant(
        name="lets everybody act",
        path="runtime/places.py",
        old="return machine is None or row.id in machine.holders",
        new="return True",
    ),
    Mutant(
        name="lets one too many act",
        path="runtime/places.py",
        old="if len(self.holders) < self.limit:",
        new="if len(self.holders) <= self.limit:",
    ),
    Mutant(
        name="forgets after a restart who was there before",
        path="runtime/engine.py",
        old="        await self._places.take_up(self._events)\n",
        new="",
    ),
    Mutant(
        name="lets the youngest go first after a restart",
        path="runtime/places.py",
        old="            running.reverse()\n",
        new="",
    ),
    Mutant(
        name="tells nobody that it is their turn",
        path="runtime/engine.py",
        old="            self._take_turn(follower)\n",
        new="            pass\n",
    ),
    Mutant(
        name="drops the commands of those in memory whose turn it is",
        path="runtime/engine.py",
        old="self._work.carry_out(live, self._places.withheld(execution))",
        new="self._places.withheld(execution)",
        killed_by=LIMITS,
    ),
    Mutant(
        name="keeps commands of executions that have left memory",
        path="runtime/engine.py",
        old="            self._places.withheld(live.id)\n",
        new="",
    ),
    Mutant(
        name="gives the turn of one who has ended",
        path="runtime/places.py",
        old="            if oldest not in self.gone:\n",
        new="            if True:\n",
        killed_by=PLACES,
    ),
    Mutant(
        name="forgets that somebody in memory has something due",
        path="runtime/timekeeper.py",
        old="        if self._due.get(execution) == due_ms:\n            return\n",
        new="        if execution in self._due:\n            return\n",
        killed_by=TIMEKEEPER,
    ),
    Mutant(
        name="lets a Map Run wait for room though its last child has ended",
        path="runtime/map_runs.py",
        old="            while run.open and not run.is_over and not entering.done():\n",
        new="            while not run.is_over and not entering.done():\n",
        killed_by=ADMISSION,
    ),
    Mutant(
        name="keeps the room of children that are wanted no more",
        path="runtime/map_runs.py",
        old="                self._admission.leave(_weight(admitted))\n",
        new="",
        killed_by=ADMISSION,
    ),
    Mutant(
        name="lets one machine have all turns",
        path="runtime/turns.py",
        old="            self._lines[machine] = line  # behind those whose turn it is next\n",
        new="            self._lines[machine] = line\n"
        "            self._lines.move_to_end(machine, last=False)\n",
        killed_by=TURNS,
    ),
    Mutant(
        name="loses the place of a call that was cancelled",
        path="runtime/turns.py",
        old="            self._executor.cancel(invocation)\n            self._leave()\n",
        new="            self._executor.cancel(invocation)\n",
        killed_by=TURNS,
    ),
    Mutant(
        name="loses the place of a handler whose call waited",
        path="runtime/turns.py",
        old="            call.waits_at.give_up(call)\n            self.ended(invocation)\n",
        new="            call.waits_at.give_up(call)\n",
        killed_by=TURNS,
    ),
    Mutant(
        name="takes an answer for the end of a call",
        path="runtime/turns.py",
        old="        self._leave()\n        call.answer(answer)\n",
        new="        self._leave()\n"
        "        self.ended(call.invocation.id)\n"
        "        call.answer(answer)\n",
        killed_by=TURNS,
    ),
)

MACHINE_MUTANTS: Final = (
    Mutant(
        name="gives each attempt an idempotency key of its own",
        path="machine/states/task.py",
        old='idempotency_key=f"{identity.arn}#{frame.entered_id}"',
        new='idempotency_key=f"{identity.arn}#{task.id}"',
    ),
    Mutant(
        name="retries once too often",
        path="machine/failing.py",
        old="frame.retries.get(retrier, 0) < state.retry[retrier].max_attempts",
        new="frame.retries.get(retrier, 0) <= state.retry[retrier].max_attempts",
        killed_by=FAILURES,
    ),
    Mutant(
        name="keeps the tasks of branches that were given up",
        path="machine/execution.py",
        old="            self.drop_task(child)\n            self.drop_children(child)\n",
        new="            self.drop_children(child)\n",
    ),
    Mutant(
        name="lets an execution sleep whose Map Run goes on",
        path="machine/execution.py",
        old="        if self.map_runs:\n            return False\n        for frame",
        new="        for frame",
    ),
    Mutant(
        name="takes up no Map Run after a restart",
        path="machine/transition.py",
        old="*(task.run_task(execution, frame) for frame in running_tasks(execution)), *runs]",
        new="*(task.run_task(execution, frame) for frame in running_tasks(execution))]",
    ),
    Mutant(
        name="takes an answer at its deadline",
        path="machine/execution.py",
        old="task.deadline_ms is not None and task.deadline_ms <= now_ms",
        new="task.deadline_ms is not None and task.deadline_ms < now_ms",
        killed_by=("-m", "pytest", "-x", "-q", "tests/unit/machine"),
    ),
    Mutant(
        name="draws what is random from elsewhere than the history",
        path="machine/failing.py",
        old="fraction(execution.seed, execution.sequence)",
        new="fraction(id(execution), execution.sequence)",
        killed_by=("-m", "pytest", "-x", "-q", "tests/property/test_executions.py"),
    ),
)

SNAPSHOT_MUTANTS: Final = (
    Mutant(
        name="folds the steps after a snapshot from one too late",
        path="runtime/loading.py",
        old="live.restore(snapshot)\n                return history.bodies",
        new="live.restore(snapshot)\n                return history.bodies[1:]",
    ),
    Mutant(
        name="takes a snapshot for that of the step before",
        path="runtime/snapshots.py",
        old="step=live.step, layout",
        new="step=live.step - 1, layout",
    ),
    Mutant(
        name="counts the steps of a restored execution from the first",
        path="runtime/loading.py",
        old="        self.step = snapshot.step\n",
        new="",
    ),
    Mutant(
        name="keeps the snapshot of an execution that has ended",
        path="log/memory.py",
        old="            self._snapshots.pop(execution, None)\n",
        new="",
    ),
    Mutant(
        name="reads snapshots of another layout",
        path="runtime/loading.py",
        old="if snapshot.layout == LAYOUT:",
        new="if snapshot.layout >= LAYOUT:",
        killed_by=FROM_SNAPSHOTS,
    ),
    Mutant(
        name="goes on from a snapshot that was changed",
        path="log/snapshots.py",
        old="digest != _digest(hash_, layout, body):\n        _log",
        new="False:\n        _log",
        killed_by=FROM_SNAPSHOTS,
    ),
    Mutant(
        name="writes a large state again for a little news",
        path="runtime/snapshots.py",
        old="return tail_us >= max(self.leaving_us, snapshot_us)",
        new="return tail_us >= self.leaving_us",
        killed_by=FROM_SNAPSHOTS,
    ),
    Mutant(
        name="restores no timers",
        path="machine/snapshot.py",
        old="        execution.set_timer(frame, frame.due_ms)\n",
        new="",
        killed_by=SNAPSHOTS,
    ),
    Mutant(
        name="restores tasks without their order",
        path="machine/snapshot.py",
        old="    return dict(sorted(found, key=lambda each: each[0]))",
        new="    return dict(found)",
        killed_by=("-m", "pytest", "-x", "-q", "tests/unit/machine/test_snapshot.py"),
    ),
    Mutant(
        name="restores a retry as the first attempt",
        path="machine/snapshot.py",
        old="    frame.retries = stored.retries\n",
        new="",
        killed_by=SNAPSHOTS,
    ),
)

RETENTION: Final = ("-m", "pytest", "-x", "-q", "tests/unit/log/test_retention.py")
AUDIT: Final = ("-m", "pytest", "-x", "-q", "tests/unit/log/test_audit.py")

PAYLOAD_MUTANTS: Final = (
    Mutant(
        name="removes payloads that others use",
        path="log/removal.py",
        old="    AND NOT EXISTS (SELECT 1 FROM payload_uses WHERE digest = payloads.digest)\n",
        new="",
        killed_by=RETENTION,
    ),
    Mutant(
        name="removes payloads before the steps that refer to them",
        path="log/removal.py",
        old="FROM payload_uses WHERE execution IN (\n    SELECT execution FROM removing\n"
        "    WHERE NOT EXISTS (SELECT 1 FROM steps WHERE execution = removing.execution)\n)",
        new="FROM payload_uses WHERE execution IN (SELECT execution FROM removing)",
        killed_by=RETENTION,
    ),
    Mutant(
        name="keeps the payload without what stands around it",
        path="codec.py",
        old="return Enveloped(before, kept, after) if before or after else kept",
        new="return kept",
        killed_by=("-m", "pytest", "-x", "-q", "tests/unit/test_codec.py"),
    ),
    Mutant(
        name="does not look into payloads when it audits",
        path="log/audit.py",
        old="        if sha256(body).hexdigest() != digest:\n",
        new="        if not body:\n",
        killed_by=AUDIT,
    ),
    Mutant(
        name="takes every text for compact",
        path="model.py",
        old="self._is_compact = self._text is None or _encode(self.value) == self._text",
        new="self._is_compact = True",
        killed_by=("-m", "pytest", "-x", "-q", "tests/unit/test_model.py"),
    ),
)

MUTANTS: Final = (
    *ENGINE_MUTANTS,
    *MAP_RUN_MUTANTS,
    *LIMIT_MUTANTS,
    *MACHINE_MUTANTS,
    *SNAPSHOT_MUTANTS,
    *PAYLOAD_MUTANTS,
    Mutant(
        name="remembers all that it catches up with before it is durable",
        path="sensors/schedule.py",
        old="[Delivery(event=each, state={}) for each in events[:-1]]",
        new="[Delivery(event=each, state=state) for each in events[:-1]]",
        killed_by=("-m", "pytest", "-x", "-q", "tests/conformance/test_schedule_sensor.py"),
    ),
    Mutant(
        name="forgets what the clocks bring back of yesterday",
        path="schedules/calendar.py",
        old="today - 1 if self._is_changing(today - 1) else today",
        new="today",
        killed_by=("-m", "pytest", "-x", "-q", "tests/unit/schedules"),
    ),
    Mutant(
        name="starts the event that waits before it is durable",
        path="runtime/overlap.py",
        old="lane.waiting and lane.waiting[0].is_durable and not lane.taken",
        new="lane.waiting and not lane.taken",
        killed_by=("-m", "pytest", "-x", "-q", "tests/runtime/test_overlap.py"),
    ),
)
