"""Events of the log: found by what people know of them, and shown to them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from eventmill.cli.failures import Refused
from eventmill.cli.tables import Column, Fields, Line, Part, Table, status_colour
from eventmill.cli.texts import local_time, printable, short_json
from eventmill.events import AGAIN
from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.patterns.matcher import Matcher
from eventmill.ports import EventLog
from eventmill.record import record
from eventmill.rows import ExecutionRow, InboxEvent

_PAGE: Final = 500
_DETAIL_SHOWN_MAX: Final = 60
_WHOLE_SHOWN_MAX: Final = 100_000
_CANDIDATES_SHOWN_MAX: Final = 5


@record
class Wanted:
    """Which events; None and empty narrow nothing. Times are when the log received them."""

    source: str | None = None
    detail_type: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    matcher: Matcher | None = None
    id_prefix: str | None = None

    def holds(self, received: InboxEvent) -> bool:
        """Whether an event is wanted that has the source and the id."""
        event = received.event
        return (
            self.detail_type in (None, event.detail_type)
            and (self.since_ms is None or received.received_ms >= self.since_ms)
            and (self.until_ms is None or received.received_ms < self.until_ms)
            and (self.matcher is None or self.matcher.matches(event.envelope()))
        )


async def newest_events(
    log: EventLog, wanted: Wanted, limit: int, before_position: int | None = None
) -> AsyncIterator[InboxEvent]:
    """The newest events that are wanted, at most `limit`, newest first.

    However large the log is, one page of it is in memory.
    """
    while page := await log.inbox(
        before_position=before_position,
        limit=_PAGE,
        source=wanted.source,
        id_prefix=wanted.id_prefix,
    ):
        for received in page:
            if wanted.holds(received):
                yield received
                limit -= 1
                if not limit:
                    return
        before_position = page[-1].position
        # They came in this order, but for a clock that was set back.
        if wanted.since_ms is not None and page[-1].received_ms < wanted.since_ms:
            return
        if len(page) < _PAGE:
            return


async def find_event(log: EventLog, reference: str, source: str | None = None) -> InboxEvent | None:
    """The event with this id, or the only one whose id begins like this; None without any.

    Raises:
        Refused: There are several.
    """
    most = _CANDIDATES_SHOWN_MAX + 1
    candidates = await log.inbox(event_id=reference, source=source, limit=most)
    if not candidates:
        candidates = await log.inbox(id_prefix=reference, source=source, limit=most)
    if len(candidates) > 1:
        shown = [f"  {_named(each)}" for each in candidates[:_CANDIDATES_SHOWN_MAX]]
        lines = "\n".join([*shown, *(["  …"] if len(candidates) > len(shown) else [])])
        message = f"several events have the id {reference!r} or begin like that:\n{lines}"
        raise Refused(message, "more of the id, or --source")
    return candidates[0] if candidates else None


async def sent_again(log: EventLog, received: InboxEvent) -> Sequence[InboxEvent]:
    """The newest of the events that name this one as the first."""
    event = received.event
    if AGAIN in event.id:
        return ()
    return await log.inbox(id_prefix=f"{event.id}{AGAIN}", source=event.source, limit=20)


def _named(received: InboxEvent) -> str:
    return printable(f"{received.event.id} of {received.event.source}")


def document(received: InboxEvent) -> dict[str, Json]:
    """An event in EventBridge's envelope, with what the log knows of it."""
    return {
        "event": received.event.envelope(),
        "sensor": received.event.sensor or None,
        "receivedTime": format_instant(received.received_ms),
        "position": received.position,
        "executions": {**received.executions},
    }


def list_page(events: Sequence[InboxEvent], limit: int) -> Iterator[Part]:
    """A list of events."""
    if not events:
        yield Line(text="No events.")
        return
    columns = [Column(title=each) for each in ("Received", "Id", "Source", "Type", "Started")]
    rows = [
        (
            local_time(each.received_ms),
            printable(each.event.id),
            printable(each.event.source),
            printable(each.event.detail_type),
            printable(", ".join(each.executions) or "nothing"),
        )
        for each in events
    ]
    yield Table(
        columns=[*columns, Column(title="Detail")],
        rows=[
            (*row, short_json(each.event.detail, _DETAIL_SHOWN_MAX))
            for row, each in zip(rows, events, strict=True)
        ],
    )
    if len(events) == limit:
        older = f"--before {events[-1].position} shows older ones"
        yield Line(text=f"The newest {limit}; {older}.", colour="dim")


def page(
    received: InboxEvent, executions: Sequence[ExecutionRow], again: Sequence[InboxEvent]
) -> Iterator[Part]:
    """An event alone: all of it, what it started, and how it was sent again."""
    event = received.event
    fields = [
        ("Event", printable(event.id)),
        ("Source", printable(event.source)),
        ("Type", printable(event.detail_type)),
        ("Time", format_instant(event.at_ms)),
        ("Received", local_time(received.received_ms)),
        ("Sensor", printable(event.sensor or "not known")),
        *(("Resource", printable(each)) for each in event.resources),
        ("Detail", short_json(event.detail, _WHOLE_SHOWN_MAX)),
    ]
    if AGAIN in event.id:
        fields.append(("Sent again", f"of {printable(event.id.partition(AGAIN)[0])}"))
    fields += [("Sent again", f"as {printable(each.event.id)}") for each in again]
    yield Fields(fields=fields)
    if not executions:
        yield Line(text="It started nothing; eventmill why tells why.")
        return
    columns = (
        Column(title="Trigger"),
        Column(title="Execution"),
        Column(title="Status", colour=status_colour),
    )
    rows = [(printable(row.trigger or ""), printable(row.arn), row.status) for row in executions]
    yield Table(columns=columns, rows=rows)
