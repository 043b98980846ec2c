"""What every `EventLog` promises about deliveries: what became of an event for a trigger."""

from collections.abc import Sequence
from dataclasses import replace

from eventmill.errors import DuplicateEvent
from eventmill.ports import EventLog, Transaction
from eventmill.rows import DeliveryRow
from tests.conformance.event_logs import Open, outcomes, trigger_event

SOURCE = "eventmill.files"


def delivery(
    id: str, trigger: str = "intake", status: str = "WAITING", due_ms: int | None = None
) -> DeliveryRow:
    waits = status == "WAITING"
    return DeliveryRow(
        event=(SOURCE, id),
        trigger=trigger,
        status=status,
        reason="Grüße",
        since_ms=10,
        due_ms=(due_ms or 10) if waits else None,
        decided_ms=None if waits else 20,
    )


def events(rows: Sequence[DeliveryRow]) -> list[str]:
    return [row.event[1] for row in rows]


async def test_a_delivery_comes_back_whole(open_log: Open) -> None:
    whole = DeliveryRow(
        event=(SOURCE, "a"),
        trigger="intake",
        status="STARTED",
        reason="one of 3 in a batch",
        since_ms=1,
        attempts=2,
        due_ms=3,
        decided_ms=4,
        execution="arn",
        dedup_key="k",
        content_key="c",
        content="sha256:00",
    )
    async with open_log() as log:
        await log.commit(Transaction(events=[trigger_event("a")], deliveries=[whole]))
    async with open_log() as log:
        assert list(await log.deliveries()) == [replace(whole, id=1)]


async def test_a_delivery_takes_the_place_of_the_one_before_and_keeps_its_id(
    log: EventLog,
) -> None:
    await log.commit(Transaction(deliveries=[delivery("a"), delivery("b")]))
    await log.commit(Transaction(deliveries=[delivery("a", status="DEAD")]))
    found = await log.deliveries()
    assert [(row.id, row.event[1], row.status) for row in found] == [
        (2, "b", "WAITING"),
        (1, "a", "DEAD"),
    ]
    assert found[1].due_ms is None
    assert found[1].decided_ms == 20


async def test_of_two_changes_in_one_transaction_the_last_counts(log: EventLog) -> None:
    await log.commit(Transaction(deliveries=[delivery("a"), delivery("a", status="SKIPPED")]))
    assert [row.status for row in await log.deliveries()] == ["SKIPPED"]


async def test_deliveries_are_narrowed_by_each_argument_and_paged(log: EventLog) -> None:
    rows = [
        delivery(f"{number}", trigger, status)
        for number in range(5)
        for trigger, status in (("intake", "DEAD"), ("other", "WAITING"))
    ]
    await log.commit(Transaction(deliveries=rows))
    assert events(await log.deliveries(trigger="intake")) == ["4", "3", "2", "1", "0"]
    assert events(await log.deliveries(status="WAITING", limit=2)) == ["4", "3"]
    assert await log.deliveries(trigger="intake", status="WAITING") == []
    of_event = await log.deliveries(event=(SOURCE, "3"))
    assert [row.trigger for row in of_event] == ["other", "intake"]
    assert await log.deliveries(event=("elsewhere", "3")) == []
    page = await log.deliveries(status="DEAD", limit=2)
    rest = await log.deliveries(status="DEAD", before_id=page[-1].id)
    assert events([*page, *rest]) == ["4", "3", "2", "1", "0"]


async def test_waiting_deliveries_are_found_when_they_are_due(log: EventLog) -> None:
    await log.commit(
        Transaction(
            deliveries=[
                delivery("late", due_ms=90),
                delivery("second", due_ms=50),
                delivery("first", due_ms=40),
                delivery("third", due_ms=50),
                delivery("other", "other", due_ms=30),
                delivery("dead", status="DEAD"),
            ]
        )
    )
    assert events(await log.due_deliveries(29, limit=9)) == []
    assert events(await log.due_deliveries(50, limit=9)) == ["other", "first", "second", "third"]
    assert events(await log.due_deliveries(50, trigger="intake", limit=2)) == ["first", "second"]
    assert await log.waiting_triggers() == {"intake": 40, "other": 30}


async def test_the_newest_that_was_accepted_is_found_by_its_keys(log: EventLog) -> None:
    def keyed(id: str, status: str, dedup: str, content: str, trigger: str = "t") -> DeliveryRow:
        row = delivery(id, trigger, status)
        return replace(row, dedup_key=dedup, content_key=content)

    rows = [
        keyed("1", "STARTED", "k", "c"),
        keyed("2", "WAITING", "k", "d"),
        keyed("3", "SKIPPED", "k", "c"),
        keyed("4", "DEAD", "k", "c"),
        keyed("5", "STARTED", "k", "c", "other"),
        keyed("6", "STARTED", "l", "c"),
    ]
    await log.commit(Transaction(deliveries=rows))

    async def found(before_id: int, **keys: str) -> str | None:
        row = await log.accepted_delivery("t", before_id=before_id, **keys)
        return None if row is None else row.event[1]

    assert await found(99, dedup_key="k") == "2"
    assert await found(2, dedup_key="k") == "1"
    assert await found(1, dedup_key="k") is None
    assert await found(99, content_key="c") == "6"
    assert await found(6, content_key="c") == "1"
    assert await found(99, dedup_key="k", content_key="c") == "1"
    assert await found(99, dedup_key="m") is None
    assert await found(99) == "6"


async def test_what_is_refused_leaves_no_delivery(log: EventLog) -> None:
    await log.commit(Transaction(events=[trigger_event("a")]))
    refused, stored = await outcomes(
        log,
        Transaction(events=[trigger_event("a")], deliveries=[delivery("a")]),
        Transaction(events=[trigger_event("b")], deliveries=[delivery("b")]),
    )
    assert isinstance(refused, DuplicateEvent)
    assert stored is None
    assert events(await log.deliveries()) == ["b"]


async def test_text_that_utf_8_cannot_hold_is_refused(log: EventLog) -> None:
    bad = replace(delivery("a"), reason="\ud800")
    refused, stored = await outcomes(
        log, Transaction(deliveries=[bad]), Transaction(deliveries=[delivery("b")])
    )
    assert isinstance(refused, ValueError)
    assert stored is None
    assert events(await log.deliveries()) == ["b"]
