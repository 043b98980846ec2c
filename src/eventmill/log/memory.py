"""An `EventLog` that lasts as long as the process: for tests, simulation and trying out."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import chain, islice
from typing import TypeVar

from eventmill.errors import AppendConflict, DuplicateEvent, LogUnavailable
from eventmill.events import TriggerEvent
from eventmill.log import records
from eventmill.log.chain import GENESIS, Link, link
from eventmill.log.memory_deliveries import MemoryDeliveries
from eventmill.log.outcomes import awaited
from eventmill.model import Payload, Payloads, encode_json
from eventmill.ports import Outcome, Transaction
from eventmill.rows import (
    ChildHistory,
    DeliveryRow,
    ExecutionHistory,
    ExecutionRow,
    InboxEvent,
    MapRunRow,
    Progress,
    Snapshot,
    StepRow,
    StoredStep,
)

_K = TypeVar("_K")
_V = TypeVar("_V")
_Pending = tuple[Transaction, Outcome]


def _never(_transaction: Transaction) -> None:
    return None


class MemoryEventLog:
    """An `EventLog` in memory, with the promises and the chain of the durable ones.

    A transaction is "durable" in the next turn of the event loop, together with all that were
    handed over in the same turn. `fail` is asked before each; the exception it returns is what the
    transaction fails with. With LogUnavailable everything handed over fails, as on a full disk.
    """

    def __init__(self, *, fail: Callable[[Transaction], Exception | None] = _never) -> None:
        self._fail = fail
        self._pending: list[_Pending] = []
        self._links: list[Link] = []
        self._steps: list[StoredStep] = []
        self._histories: dict[int, list[StepRow]] = {}
        self._executions: dict[int, ExecutionRow] = {}
        self._ids: dict[str, int] = {}
        self._inbox: dict[tuple[str, str], InboxEvent] = {}
        self._started: dict[tuple[str, str], dict[str, str]] = {}
        self._timers: dict[int, int] = {}
        self._sensor_state: dict[tuple[str, str], bytes] = {}
        self._definitions: dict[str, str] = {}
        self._payloads: dict[str, Payload] = {}
        self._map_runs: dict[tuple[int, int], MapRunRow] = {}
        self._children: dict[tuple[int, int], list[int]] = {}  # in order of their indexes
        self._snapshots: dict[int, Snapshot] = {}
        self._deliveries = MemoryDeliveries()

    def submit(self, transaction: Transaction, outcome: Outcome) -> None:
        """See `EventLog.submit`."""
        positive = all(row.id > 0 for row in transaction.created)
        assert positive, "the chain links events of the inbox as execution 0"
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append((transaction, outcome))

    def commit(self, transaction: Transaction) -> "asyncio.Future[None]":
        """See `EventLog.commit`."""
        durable, outcome = awaited()
        self.submit(transaction, outcome)
        return durable

    async def read(self, execution: int, *, after_step: int = 0) -> Sequence[StepRow]:
        """See `EventLog.read`."""
        return self._histories.get(execution, [])[after_step:]

    async def execution(self, arn: str) -> ExecutionRow | None:
        """See `EventLog.execution`."""
        found = self._ids.get(arn)
        return None if found is None else self._row(found)

    async def execution_by_id(self, execution: int) -> ExecutionRow | None:
        """See `EventLog.execution_by_id`."""
        return self._row(execution) if execution in self._executions else None

    async def executions(
        self,
        *,
        state_machine_arn: str | None = None,
        status: str | None = None,
        map_run: tuple[int, int] | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[ExecutionRow]:
        """See `EventLog.executions`."""
        matching = (
            row.id
            for row in self._executions.values()
            if (_map_run_of(row) == map_run)
            and (state_machine_arn is None or row.state_machine_arn == state_machine_arn)
            and (status is None or row.status == status)
            and (before_id is None or row.id < before_id)
        )
        return [self._row(each) for each in heapq.nlargest(limit, matching)]

    async def newest_id(self) -> int:
        """See `EventLog.newest_id`."""
        return max(self._executions, default=0)

    async def map_run(self, arn: str) -> MapRunRow | None:
        """See `EventLog.map_run`."""
        return next((row for row in self._map_runs.values() if row.arn == arn), None)

    async def map_runs(self, execution: int) -> Sequence[MapRunRow]:
        """See `EventLog.map_runs`."""
        found = [row for row in self._map_runs.values() if row.execution == execution]
        return sorted(found, key=lambda row: -row.map_run)

    async def progress(self, map_run: tuple[int, int]) -> Progress:
        """See `EventLog.progress`."""
        ended: dict[str, tuple[int, int]] = {}
        running: dict[int, int] = {}
        ids = self._children.get(map_run, ())
        for row in (self._executions[each] for each in ids):
            assert row.child is not None
            if row.status == "RUNNING":
                running[row.id] = row.child.items
            else:
                count, items = ended.get(row.status, (0, 0))
                ended[row.status] = (count + 1, items + row.child.items)
        return Progress(ended=ended, running=running, started=len(ids))

    async def children(
        self, map_run: tuple[int, int], *, after_index: int, limit: int
    ) -> Sequence[ChildHistory]:
        """See `EventLog.children`."""
        ids = self._children.get(map_run, [])[after_index + 1 :][:limit]
        return [
            ChildHistory(
                row=self._row(each),
                first=self._histories[each][0].body,
                last=self._histories[each][-1].body,
                payloads=_all_payloads(self._histories[each][0], self._histories[each][-1]),
            )
            for each in ids
        ]

    async def orphans(self, *, limit: int) -> Sequence[ExecutionRow]:
        """See `EventLog.orphans`."""
        ended = {key for key, row in self._map_runs.items() if row.status != "RUNNING"}
        matching = (
            row.id
            for row in self._executions.values()
            if row.status == "RUNNING" and _map_run_of(row) in ended
        )
        return [self._row(each) for each in heapq.nsmallest(limit, matching)]

    async def unfinished(self) -> Sequence[int]:
        """See `EventLog.unfinished`."""
        return sorted(
            row.id
            for row in self._executions.values()
            if row.status == "RUNNING" and row.id not in self._timers
        )

    async def histories(self, executions: Sequence[int]) -> AsyncGenerator[ExecutionHistory, None]:
        """See `EventLog.histories`."""
        for each in sorted(set(executions)):
            if each in self._executions:
                found = self._snapshots.get(each)
                after = 0 if found is None else found.step
                yield ExecutionHistory(
                    row=self._row(each),
                    bodies=[row.body for row in self._histories[each][after:]],
                    due_ms=self._timers.get(each),
                    snapshot=found,
                    payloads=_all_payloads(*self._histories[each][after:]),
                )

    async def snapshot(self, execution: int) -> Snapshot | None:
        """See `EventLog.snapshot`."""
        return self._snapshots.get(execution)

    async def due(self, now_ms: int, *, limit: int) -> Sequence[tuple[int, int]]:
        """See `EventLog.due`."""
        matching = ((at, execution) for execution, at in self._timers.items() if at <= now_ms)
        return heapq.nsmallest(limit, matching)

    async def next_due_ms(self) -> int | None:
        """See `EventLog.next_due_ms`."""
        return min(self._timers.values(), default=None)

    async def definition(self, digest: str) -> str | None:
        """See `EventLog.definition`."""
        return self._definitions.get(digest)

    async def sensor_state(self, sensor: str, *, limit: int | None = None) -> Mapping[str, bytes]:
        """See `EventLog.sensor_state`."""
        found = (pair for pair in self._sensor_state.items() if pair[0][0] == sensor)
        return {key: value for (_, key), value in islice(found, limit)}

    async def event(self, source: str, event_id: str) -> InboxEvent | None:
        """See `EventLog.event`."""
        found = self._inbox.get((source, event_id))
        return None if found is None else self._with_executions(found)

    async def inbox(
        self,
        *,
        before_position: int | None = None,
        limit: int = 100,
        source: str | None = None,
        event_id: str | None = None,
        id_prefix: str | None = None,
    ) -> Sequence[InboxEvent]:
        """See `EventLog.inbox`."""
        newest_first = (
            self._with_executions(each)
            for each in reversed(self._inbox.values())
            if (before_position is None or each.position < before_position)
            and source in (None, each.event.source)
            and event_id in (None, each.event.id)
            and each.event.id.startswith(id_prefix or "")
        )
        return list(islice(newest_first, limit))

    async def deliveries(
        self,
        *,
        event: tuple[str, str] | None = None,
        trigger: str | None = None,
        status: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[DeliveryRow]:
        """See `EventLog.deliveries`."""
        return self._deliveries.listed(event, trigger, status, before_id, limit)

    async def due_deliveries(
        self, now_ms: int, *, trigger: str | None = None, limit: int
    ) -> Sequence[DeliveryRow]:
        """See `EventLog.due_deliveries`."""
        return self._deliveries.due(now_ms, trigger, limit)

    async def accepted_delivery(
        self,
        trigger: str,
        *,
        before_id: int,
        dedup_key: str | None = None,
        content_key: str | None = None,
    ) -> DeliveryRow | None:
        """See `EventLog.accepted_delivery`."""
        return self._deliveries.accepted(trigger, before_id, dedup_key, content_key)

    async def waiting_triggers(self) -> Mapping[str, int]:
        """See `EventLog.waiting_triggers`."""
        return self._deliveries.waiting_triggers()

    async def stored_steps(self, *, after_position: int = 0) -> AsyncIterator[StoredStep]:
        """See `EventLog.stored_steps`."""
        for stored in tuple(self._steps):
            if stored.position > after_position:
                yield stored

    def links(self) -> Sequence[Link]:
        """The chain as it stands, for `chain.verify`."""
        return tuple(self._links)

    def _row(self, execution: int) -> ExecutionRow:
        return replace(self._executions[execution], steps=len(self._histories[execution]))

    def _with_executions(self, received: InboxEvent) -> InboxEvent:
        started = self._started.get((received.event.source, received.event.id), {})
        return replace(received, executions=dict(started))

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        loop = asyncio.get_running_loop()
        lost: Exception | None = None
        for transaction, outcome in pending:
            error = lost or self._fail(transaction) or self._refusal(transaction)
            if isinstance(error, LogUnavailable):
                lost = error
            if error is None:
                self._apply(transaction)
            loop.call_soon(outcome, error)

    def _refusal(self, transaction: Transaction) -> Exception | None:
        try:
            _encode(transaction)
        except ValueError as error:
            return error
        keys = [(event.source, event.id) for event in transaction.events]
        if known := records.taken(keys, self._inbox.__contains__):
            return DuplicateEvent(known)
        arns = [row.arn for row in transaction.created]
        if known_arns := records.taken(arns, self._ids.__contains__):
            return records.arns_taken(known_arns)
        ends: dict[int, int] = {}
        for row in transaction.created:
            if row.id in self._executions or row.id in ends:
                return records.id_taken(row)
            ends[row.id] = 0
        for step in transaction.steps:
            if step.execution not in ends:
                if step.execution not in self._executions:
                    return records.unknown_execution(step.execution)
                ends[step.execution] = len(self._histories[step.execution])
            end = ends[step.execution]
            if step.step != end + 1:
                return AppendConflict(step.execution, expected=step.step - 1, actual=end)
            ends[step.execution] = step.step
        for execution in (*(transaction.finished or ()), *(transaction.timers or ())):
            if execution not in self._executions and execution not in ends:
                return records.unknown_execution(execution)
        return None

    def _apply(self, transaction: Transaction) -> None:
        for event in transaction.events:
            self._receive(event, transaction.received_ms)
        for row in transaction.created:
            self._create(row)
        for step in transaction.steps:
            self._append(step)
        for snapshot in transaction.snapshots:
            if snapshot.step <= len(self._histories.get(snapshot.execution, ())):
                self._snapshots[snapshot.execution] = snapshot
        for execution, (status, stop_ms) in (transaction.finished or {}).items():
            row = self._executions[execution]
            self._executions[execution] = replace(row, status=status, stop_ms=stop_ms)
            self._snapshots.pop(execution, None)
        for run in transaction.map_runs:
            self._map_runs[run.execution, run.map_run] = run
        for key, change in (transaction.map_run_changes or {}).items():
            new = {name: value for name, value in asdict(change).items() if value is not None}
            self._map_runs[key] = replace(self._map_runs[key], **new)
        self._deliveries.store(transaction.deliveries)
        _store(self._timers, transaction.timers)
        _store(self._sensor_state, transaction.sensor_state)
        for digest, text in (transaction.definitions or {}).items():
            self._definitions.setdefault(digest, text)

    def _receive(self, event: TriggerEvent, received_ms: int) -> None:
        stored = self._chain(0, 0, records.encode_event(event, received_ms))
        self._inbox[event.source, event.id] = InboxEvent(
            position=stored.position, event=event, received_ms=received_ms, executions={}
        )

    def _create(self, row: ExecutionRow) -> None:
        self._chain(row.id, 0, records.encode_execution(row))
        self._executions[row.id] = row
        self._ids[row.arn] = row.id
        self._histories[row.id] = []
        if row.child is not None:
            key = (row.child.execution, row.child.map_run)
            self._children.setdefault(key, []).append(row.id)
        if row.event is not None and row.trigger is not None:
            self._started.setdefault(row.event, {}).setdefault(row.trigger, row.arn)

    def _append(self, row: StepRow) -> None:
        made = self._chain(row.execution, row.step, row.body)
        if row.payloads:
            row = replace(row, payloads=self._kept(row.payloads))
        self._steps.append(StoredStep(position=made.position, row=row, hash=made.hash))
        self._histories[row.execution].append(row)

    def _kept(self, payloads: Payloads) -> Payloads:
        """These payloads as they are kept: each text once, and no values."""
        for digest, payload in payloads.items():
            if digest not in self._payloads:
                self._payloads[digest] = Payload(payload.text)
        return {digest: self._payloads[digest] for digest in payloads}

    def _chain(self, execution: int, step: int, body: bytes) -> Link:
        previous = self._links[-1].hash if self._links else GENESIS
        digest = sha256(body).digest()
        made = Link(
            position=len(self._links) + 1,
            execution=execution,
            step=step,
            digest=digest,
            hash=link(previous, execution, step, digest),
        )
        self._links.append(made)
        return made


def _all_payloads(*rows: StepRow) -> Payloads | None:
    return {
        digest: payload for row in rows for digest, payload in (row.payloads or {}).items()
    } or None


def _map_run_of(row: ExecutionRow) -> tuple[int, int] | None:
    return None if row.child is None else (row.child.execution, row.child.map_run)


def _encode(transaction: Transaction) -> None:
    """Raise ValueError for text that no durable log could hold."""
    for event in transaction.events:
        records.encode_event(event, transaction.received_ms)
    for row in transaction.created:
        records.encode_execution(row)
    for delivery in transaction.deliveries:
        encode_json([*delivery.event, delivery.trigger, delivery.reason])
    for text in (
        *chain(*(transaction.sensor_state or ())),
        *(transaction.definitions or {}).values(),
    ):
        text.encode()


def _store(kept: dict[_K, _V], changes: Mapping[_K, _V | None] | None) -> None:
    for key, value in (changes or {}).items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
