"""Why: what became of an event at each trigger, and what led to an execution.

The log tells what happened, and its deliveries why. Of what has none it is found out with the
triggers that the project has now; where these have changed since, the answer is that of today, and
says so.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from eventmill.errors import AuthorError
from eventmill.events import AGAIN, TriggerEvent
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.patterns.explanation import explain
from eventmill.ports import EventLog
from eventmill.record import record
from eventmill.rows import DeliveryRow, ExecutionRow, InboxEvent, MapRunRow
from eventmill.runtime.outbox import BUS
from eventmill.runtime.overlap import skipped
from eventmill.runtime.settings import Settings
from eventmill.runtime.status_changes import SOURCE as STATES
from eventmill.triggers.overlap import ALLOW, BUFFER_ONE
from eventmill.triggers.trigger import Trigger

STARTED: Final = "started"
NOT_MATCHED: Final = "not matched"
DISABLED: Final = "disabled"
SKIPPED: Final = "skipped"
FAILED: Final = "failed"
DEAD: Final = "dead"
WAITING: Final = "waiting"
UNKNOWN: Final = "unknown"

_CHAIN_MAX: Final = 200
_DELIVERIES_MAX: Final = 10_000
_TRIGGER_GONE: Final = " (the project has this trigger no more)"


@record
class Answer:
    """What a trigger did with an event; `execution` is what it started, if anything.

    `delivery` is what the log has of it beyond that.
    """

    trigger: str
    outcome: str
    reason: str
    execution: ExecutionRow | None = None
    delivery: DeliveryRow | None = None


@record
class Hop:
    """A link of the chain that led to an execution: exactly one of these, and how it came on."""

    event: InboxEvent | None = None
    trigger: str | None = None
    execution: ExecutionRow | None = None
    map_run: MapRunRow | None = None
    by_hand: bool = False


def listening(triggers: Iterable[Trigger], event: TriggerEvent) -> list[Trigger]:
    """The triggers that were asked about an event: those of its sensor, and those on the bus."""
    return [
        trigger
        for trigger in triggers
        if trigger.source is None or trigger.source.name == event.sensor
    ]


async def answers(
    log: EventLog, settings: Settings, triggers: Sequence[Trigger], received: InboxEvent
) -> list[Answer]:
    """What each trigger that listened did, in order; then what others did that are gone."""
    event, started = received.event, received.executions
    rows = await log.deliveries(event=(event.source, event.id), limit=_DELIVERIES_MAX)
    delivered = {row.trigger: row for row in reversed(rows)}
    known = {**started, **delivered}
    heard = {trigger.name: trigger for trigger in listening(triggers, event)}
    # An event from before sensors were remembered is only known by what it has started.
    heard |= {trigger.name: trigger for trigger in triggers if trigger.name in known}
    told: list[Answer] = []
    for name, trigger in heard.items():
        if name in known:
            told.append(await _recorded(log, name, started.get(name), delivered.get(name), ""))
        else:
            told.append(await _why_not(log, settings, trigger, event))
    for name in known:
        if name not in heard:
            told.append(
                await _recorded(log, name, started.get(name), delivered.get(name), _TRIGGER_GONE)
            )
    return told


async def _recorded(
    log: EventLog, trigger: str, arn: str | None, delivery: DeliveryRow | None, note: str
) -> Answer:
    """What the log has of a trigger: the execution it started, a delivery, or both."""
    if arn is None and delivery is not None and delivery.status.lower() == STARTED:
        arn = delivery.execution  # of a batch, which names its first event; or it was removed
    if arn is not None:
        why = "" if delivery is None else f" ({delivery.reason})"
        return Answer(
            trigger=trigger,
            outcome=STARTED,
            reason=f"started {arn}{why}{note}",
            execution=await log.execution(arn),
            delivery=delivery,
        )
    assert delivery is not None
    return Answer(
        trigger=trigger,
        outcome=delivery.status.lower(),
        reason=f"{delivery.reason}{note}",
        delivery=delivery,
    )


async def _why_not(
    log: EventLog, settings: Settings, trigger: Trigger, event: TriggerEvent
) -> Answer:
    outcome, reason = await _reason(log, settings, trigger, event)
    return Answer(trigger=trigger.name, outcome=outcome, reason=reason)


async def _reason(
    log: EventLog, settings: Settings, trigger: Trigger, event: TriggerEvent
) -> tuple[str, str]:
    if trigger.overlap != ALLOW:
        for each in await skipped(log, trigger):
            if each.event == (event.source, event.id):
                return SKIPPED, f"{each.execution} ran (Overlap: {trigger.overlap})"
    if not trigger.enabled:
        return DISABLED, "Enabled is false"
    mismatch = None if trigger.matcher is None else explain(trigger.matcher, event.envelope())
    if mismatch is not None:
        return NOT_MATCHED, str(mismatch)
    try:
        trigger.input_for(event)
        name = trigger.execution_name(event)
    except AuthorError as error:
        return FAILED, f"it cannot make an input or a name of it: {error.failure.cause}"
    machine = trigger.state_machine.rsplit(":", 1)[-1]
    row = await log.execution(settings.home.execution(machine, name))
    if row is not None:
        return FAILED, f"the name {name} was taken, by an execution of {_cause(row)}"
    if trigger.overlap == BUFFER_ONE:
        return UNKNOWN, "it waits until nothing of the trigger runs, or the trigger was different"
    return UNKNOWN, "the pattern holds today; the trigger was not there then, or different"


def _cause(row: ExecutionRow) -> str:
    return "somebody who started it by hand" if row.event is None else f"event {row.event[1]}"


async def chain(log: EventLog, row: ExecutionRow) -> list[Hop]:
    """What led to an execution, from the first cause known to the execution itself."""
    hops = [hop async for hop in _back(log, row)]
    hops.reverse()
    return hops


async def _back(log: EventLog, row: ExecutionRow) -> AsyncIterator[Hop]:
    following: ExecutionRow | None = row
    for _ in range(_CHAIN_MAX):
        if following is None:
            return
        row, following = following, None
        yield Hop(execution=row)
        child = row.child
        if child is not None:
            runs = await log.map_runs(child.execution)
            for run in runs:
                if run.map_run == child.map_run:
                    yield Hop(map_run=run)
            following = await log.execution_by_id(child.execution)
        elif row.event is None:
            yield Hop(by_hand=True)
        else:
            yield Hop(trigger=row.trigger or "")
            received = await log.event(*row.event)
            if received is not None:
                yield Hop(event=received)
                following = await _told_of(log, received.event)


async def _told_of(log: EventLog, event: TriggerEvent) -> ExecutionRow | None:
    """The execution whose change of status an event tells of, if it does."""
    arn = event.detail.get("executionArn") if event.source == STATES else None
    return await log.execution(arn) if isinstance(arn, str) else None


def answer_document(answer: Answer) -> dict[str, Json]:
    """An answer for programs."""
    row, delivery = answer.execution, answer.delivery
    told: Json = None
    if delivery is not None:
        told = {
            "status": delivery.status,
            "reason": delivery.reason,
            "attempts": delivery.attempts,
            "since": format_instant(delivery.since_ms),
            "execution": delivery.execution,
        }
    return {
        "trigger": answer.trigger,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "executionArn": None if row is None else row.arn,
        "status": None if row is None else row.status,
        "delivery": told,
    }


def hop_document(hop: Hop) -> dict[str, Json]:
    """A link of a chain for programs."""
    if hop.event is not None:
        event = hop.event.event
        first = event.id.partition(AGAIN)[0] if AGAIN in event.id else None
        return {
            "kind": "event",
            "source": event.source,
            "id": event.id,
            "detailType": event.detail_type,
            "sensor": event.sensor or None,
            "sentAgain": first,
        }
    if hop.execution is not None:
        row = hop.execution
        return {"kind": "execution", "executionArn": row.arn, "status": row.status}
    if hop.map_run is not None:
        return {
            "kind": "map run",
            "mapRunArn": hop.map_run.arn,
            "status": hop.map_run.status,
        }
    if hop.by_hand:
        return {"kind": "call", "operation": "StartExecution"}
    return {"kind": "trigger", "name": hop.trigger}


def came_through(event: TriggerEvent) -> str:
    """The way on which an event came, in words."""
    if not event.sensor:
        return "its sensor is not known"
    return "sent to the bus" if event.sensor == BUS else f"found by {event.sensor}"
