"""What is old goes, what runs stays, and the chain of what stays holds."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from eventmill.errors import ExecutionDoesNotExist
from eventmill.log.audit import Audit, audit_database
from eventmill.log.checkpoints import Checkpoint
from eventmill.log.migrations import apply, migrations
from eventmill.log.removal import Removed, remove
from eventmill.log.retention import ENDED_MS_MIN, Limits, forget_definitions, sweep
from eventmill.log.sqlite import SqliteEventLog
from eventmill.log.writer import Writer
from eventmill.model import Payload
from eventmill.ports import Transaction
from eventmill.rows import Child, DeliveryRow, MapRunRow, Snapshot
from tests.unit.log.logs import (
    digest,
    ended,
    event,
    ids,
    large,
    row,
    started,
    step,
    step_with,
    tamper,
    tampering,
)

DAY = 86_400_000
NOW = 100 * DAY
MONTH = Limits(executions_ms=30 * DAY, events_ms=30 * DAY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteEventLog]:
    async with SqliteEventLog.open(path) as opened:
        yield opened


def whole(path: Path) -> Audit:
    audit = audit_database(path)
    assert audit.problem is None
    return audit


def size(path: Path) -> int:
    return path.stat().st_size


async def commit(log: SqliteEventLog, *transactions: Transaction) -> None:
    for each in transactions:
        await log.commit(each)


async def test_what_ended_long_ago_goes_with_its_steps_and_its_event(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1), ended(1), started(2, at_ms=NOW), ended(2, at_ms=NOW))

    swept = await sweep(log, MONTH, NOW)

    assert swept.removed == Removed(events=1, executions=1, steps=2, last=4)
    assert await log.execution_by_id(1) is None
    assert await log.read(1) == []
    assert await log.event("files", "file-1") is None
    assert await log.event("files", "file-2") is not None
    audit = whole(path)
    assert (audit.events, audit.executions, audit.steps, audit.removed) == (1, 1, 2, 4)


async def test_a_snapshot_goes_with_its_execution_and_stays_with_one_that_runs(
    log: SqliteEventLog, path: Path
) -> None:
    of_one = Snapshot(execution=1, step=1, layout=1, body=b"state")
    kept = Transaction(snapshots=[of_one, replace(of_one, execution=2)])
    await commit(log, started(1), started(2), kept, ended(1), started(3, at_ms=NOW))
    # As an ended one may have it from a version of the future.
    tamper(path, "INSERT INTO snapshots SELECT 1, step, layout, body, digest FROM snapshots")

    await sweep(log, MONTH, NOW)

    assert ids(path, "SELECT execution FROM snapshots") == [2]
    assert (whole(path).snapshots, whole(path).unsound) == (1, 0)


async def test_a_running_execution_stays_with_all_that_is_its_own(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1), started(2), ended(2), started(3, at_ms=NOW))
    for number in (2, 3):
        await commit(log, Transaction(steps=[step(1, number)], timers={1: NOW + number}))

    await sweep(log, MONTH, NOW)

    assert ids(path) == [1, 3]
    assert [each.step for each in await log.read(1)] == [1, 2, 3]
    assert await log.event("files", "file-1") is not None
    assert await log.due(NOW + DAY, limit=9) == [(NOW + 3, 1)]
    assert whole(path).removed == 4
    await commit(log, ended(1, 4))
    whole(path)


async def test_the_newest_execution_stays_so_that_ids_go_on_growing(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1), ended(1), started(2), ended(2))
    await sweep(log, MONTH, NOW)
    assert await log.newest_id() == 2
    assert ids(path) == [2]


async def test_events_that_started_nothing_go_by_their_own_age(
    log: SqliteEventLog, path: Path
) -> None:
    for number, received_ms in enumerate((1, 2, NOW)):
        await commit(log, Transaction(events=[event(f"e{number}")], received_ms=received_ms))
    swept = await sweep(log, Limits(events_ms=DAY), NOW)
    assert swept.removed.events == 2
    assert [each.event.id for each in await log.inbox()] == ["e2"]
    whole(path)


async def test_decided_deliveries_go_with_their_events_and_waiting_ones_keep_theirs(
    log: SqliteEventLog, path: Path
) -> None:
    told = {"e0": "DEAD", "e1": "WAITING", "e2": "SKIPPED"}
    for number, (id, status) in enumerate(told.items()):
        one = event(id)
        of_it = DeliveryRow(
            event=(one.source, id), trigger="intake", status=status, reason="", since_ms=1
        )
        received_ms = NOW if number == 2 else 1
        change = Transaction(events=[one], received_ms=received_ms, deliveries=[of_it])
        await commit(log, change)
    limits = Limits(events_ms=DAY)
    swept = await sweep(log, limits, NOW)
    assert swept.removed.events == 1
    assert [each.event.id for each in await log.inbox()] == ["e2", "e1"]
    assert [row.event[1] for row in await log.deliveries()] == ["e2", "e1"]
    (waiting,) = await log.deliveries(status="WAITING")
    await commit(log, Transaction(deliveries=[replace(waiting, status="STARTED")]))
    await sweep(log, limits, NOW)
    assert [row.event[1] for row in await log.deliveries()] == ["e2"]
    whole(path)


async def test_without_limits_nothing_goes(log: SqliteEventLog, path: Path) -> None:
    await commit(log, started(1), ended(1), started(2))
    before = audit_database(path)
    assert not (await sweep(log, Limits(), NOW)).removed
    assert audit_database(path) == before


async def test_what_has_changed_since_it_was_looked_for_stays(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1))
    chosen = partial(remove, at_ms=NOW, executions=[1], events=[1], steps_max=9)
    assert not await log.carry_out(chosen)
    assert (ids(path), whole(path).position) == ([1], 3)


async def test_nothing_is_added_to_an_execution_that_was_removed(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1), ended(1), started(2))
    await sweep(log, MONTH, NOW)
    with pytest.raises(ExecutionDoesNotExist):
        await log.commit(Transaction(steps=[step(1, 3)]))


async def test_sweeping_again_finds_nothing(log: SqliteEventLog, path: Path) -> None:
    await commit(log, started(1), ended(1), started(2))
    await sweep(log, MONTH, NOW)
    before = audit_database(path)
    assert not (await sweep(log, MONTH, NOW)).removed
    assert audit_database(path) == before


async def test_the_log_goes_on_and_is_opened_again_after_it(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(1), ended(1), started(2))
        await sweep(log, MONTH, NOW)
        await commit(log, started(3))
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(4), ended(4), ended(3))
        # The same event and the same name are new again.
        await commit(log, started(1))
    assert whole(path).executions == 4


async def test_gaps_beside_each_other_become_one_and_nothing_grows_for_ever(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1, at_ms=1))
    for id in range(2, 60):
        await commit(log, started(id, at_ms=id * DAY), ended(id, at_ms=id * DAY))
        await sweep(log, Limits(executions_ms=2 * DAY, events_ms=2 * DAY), id * DAY + 1)
        whole(path)
    (gaps,) = ids(path, "SELECT count(*) FROM gaps")
    (removals,) = ids(path, "SELECT count(*) FROM removals")
    assert gaps < 12
    assert removals < 18
    assert ids(path) == [1, 58, 59]


async def test_interleaved_executions_leave_gaps_between_those_that_stay(
    log: SqliteEventLog, path: Path
) -> None:
    for id in range(1, 41):
        await commit(log, started(id))
    for number in range(2, 5):
        await commit(log, *(Transaction(steps=[step(id, number)]) for id in range(1, 41)))
    await commit(log, *(ended(id, 5) for id in range(1, 41) if id % 4))

    swept = await sweep(log, MONTH, NOW)

    assert (swept.removed.executions, swept.removed.steps) == (30, 150)
    assert ids(path) == list(range(4, 41, 4))
    audit = whole(path)
    assert (audit.executions, audit.steps, audit.removed) == (10, 40, 30 * 7)
    await commit(log, *(ended(id, 5) for id in range(4, 41, 4)))
    await sweep(log, MONTH, NOW)
    assert ids(path) == [40]
    assert whole(path).executions == 1


async def test_a_long_history_goes_in_several_transactions_and_a_stop_between_is_made_up_for(
    path: Path,
) -> None:
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(1), Transaction(steps=[step(1, n) for n in range(2, 1_800)]))
        await commit(log, ended(1, 1_800), started(2))
        sweeping = asyncio.create_task(sweep(log, MONTH, NOW))
        while not ids(path, "SELECT execution FROM removing"):
            await log.newest_id()
        sweeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sweeping
    left = whole(path)
    assert 1 not in ids(path)
    assert 1 < left.steps < 1_801

    async with SqliteEventLog.open(path) as log:
        await sweep(log, Limits(), NOW)
    assert whole(path).steps == 1
    assert ids(path, "SELECT execution FROM removing") == []


async def test_commits_take_turns_with_a_sweep(log: SqliteEventLog, path: Path) -> None:
    await commit(log, *(started(id) for id in range(1, 401)))
    await commit(log, *(ended(id) for id in range(1, 401)), started(500))
    sweeping = asyncio.create_task(sweep(log, MONTH, NOW))
    meanwhile = 0
    while not sweeping.done():
        meanwhile += 1
        await commit(log, Transaction(steps=[step(500, 1 + meanwhile)]))
    assert (await sweeping).removed.executions == 400
    assert meanwhile > 4
    assert whole(path).steps == 1 + meanwhile


def map_run(execution: int, id: int) -> MapRunRow:
    return MapRunRow(
        execution=execution,
        map_run=id,
        arn=f"arn:map:{execution}:{id}",
        max_concurrency=0,
        tolerated_count=0,
        tolerated_percentage=0,
        start_ms=1,
    )


def child(id: int, parent: int, index: int) -> Transaction:
    place = Child(execution=parent, map_run=7, index=index, items=1)
    return Transaction(created=[row(id, child=place)], steps=[step(id, 1)])


async def test_the_children_of_a_map_run_stay_as_long_as_it_does(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1), Transaction(map_runs=[map_run(1, 7)]))
    await commit(log, child(2, 1, 0), child(3, 1, 1), ended(2), ended(3), started(9))
    await sweep(log, MONTH, NOW)
    assert ids(path) == [1, 2, 3, 9]
    assert (await log.progress((1, 7))).ended == {"SUCCEEDED": (2, 2)}

    await commit(log, ended(1))
    await sweep(log, MONTH, NOW)
    assert ids(path) == [9]
    assert await log.map_runs(1) == []
    whole(path)


async def test_a_map_run_stays_while_a_child_of_it_runs(log: SqliteEventLog, path: Path) -> None:
    await commit(log, started(1), Transaction(map_runs=[map_run(1, 7)]))
    await commit(log, child(2, 1, 0), child(3, 1, 1), ended(2), ended(1), started(9))
    await sweep(log, MONTH, NOW)
    assert ids(path) == [1, 2, 3, 9]
    await commit(log, ended(3))
    await sweep(log, MONTH, NOW)
    assert ids(path) == [9]


async def test_above_its_size_the_oldest_that_ended_goes(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(1, at_ms=1, size=50_000))
        for id in range(2, 60):
            await commit(log, started(id, at_ms=id, size=50_000), ended(id, at_ms=id))
        await commit(log, started(60, at_ms=ENDED_MS_MIN + 900))
        full = (await sweep(log, Limits(), ENDED_MS_MIN + 1_000)).bytes_used
        swept = await sweep(log, Limits(bytes_max=full // 2), ENDED_MS_MIN + 1_000)
        assert swept.removed.executions > 0
        assert swept.bytes_used <= full // 2
        young = await sweep(log, Limits(bytes_max=1), 1_000)
        assert not young.removed  # all of it ended within the last hour
    left = ids(path)
    assert left[0] == 1  # it runs
    assert left[-1] == 60
    whole(path)


async def test_the_file_shrinks(path: Path) -> None:
    async with SqliteEventLog.open(path) as log:
        for id in range(1, 101):
            await commit(log, started(id, size=100_000), ended(id))
        await commit(log, started(200))
    before = size(path)
    async with SqliteEventLog.open(path) as log:
        await sweep(log, MONTH, NOW)
    assert size(path) < before / 4
    whole(path)


async def test_definitions_that_nobody_uses_go(log: SqliteEventLog, path: Path) -> None:
    await commit(log, started(1, definition="d1"), ended(1), started(2, definition="d2"))
    await commit(log, Transaction(definitions={digest("d3"): "d3", digest("d4"): "d4"}))

    swept = await sweep(log, MONTH, NOW, definitions={digest("d3")})

    assert swept.definitions == 2
    kept = [await log.definition(digest(text)) for text in ("d1", "d2", "d3", "d4")]
    assert [each is not None for each in kept] == [False, True, True, False]


async def test_a_definition_that_has_come_into_use_since_it_was_looked_for_stays(
    log: SqliteEventLog,
) -> None:
    await commit(log, started(1, definition="d1"), Transaction(definitions={digest("d2"): "d2"}))
    unused = {digest("d1"), digest("d2")}
    assert await log.carry_out(partial(forget_definitions, unused=unused, position=1)) == 1
    assert await log.definition(digest("d1")) == "d1"
    assert await log.definition(digest("d2")) is None


async def test_what_sensors_remember_goes_when_they_are_gone_for_long(
    log: SqliteEventLog,
) -> None:
    many: dict[tuple[str, str], bytes | None] = {("gone", f"k{n}"): b"v" for n in range(1_200)}
    await commit(log, Transaction(sensor_state={**many, ("here", "k"): b"v", ("back", "k"): b"v"}))
    limits = Limits(sensors_ms=DAY)

    first = await sweep(log, limits, NOW, sensors={"here", "back"})
    soon = await sweep(log, limits, NOW + DAY, sensors={"here"})
    late = await sweep(log, limits, NOW + 2 * DAY, sensors={"here", "back"})

    assert [each.sensor_keys for each in (first, soon, late)] == [0, 0, 1_200]
    assert [len(await log.sensor_state(name)) for name in ("here", "back", "gone")] == [1, 1, 0]


async def test_old_checkpoints_go_but_for_the_last(log: SqliteEventLog, path: Path) -> None:
    for id in (1, 2, 3):
        await commit(log, started(id))
        await log.checkpoint(id)
    swept = await sweep(log, Limits(checkpoints_ms=DAY), NOW)
    assert swept.checkpoints == 2
    assert ids(path, "SELECT position FROM checkpoints") == [9]


async def test_what_goes_lies_before_a_checkpoint_with_its_counts(
    log: SqliteEventLog, path: Path
) -> None:
    await commit(log, started(1), ended(1), started(2))
    await sweep(log, MONTH, NOW, sign=lambda statement: ("key", b"signature"))
    await commit(log, ended(2))
    made = await log.checkpoint(NOW)
    assert ids(path, "SELECT position FROM checkpoints") == [7, 10]
    assert isinstance(made, Checkpoint)
    # Two removals (positions 8 and 9): of the execution, and of its event.
    assert (made.events, made.executions, made.steps) == (2, 2, 4)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE gaps SET hash = zeroblob(32)", "position 4: the rows up to 7 are missing, and"),
        ("DELETE FROM gaps", "position 4: the rows up to 7 are missing"),
        ("UPDATE gaps SET removal = 5", "position 4: the rows up to 7 are missing, and no removal"),
        ("UPDATE removals SET body = x'00'", "position 4: the rows up to 7 are missing, and no"),
        (
            "UPDATE removals SET body = CAST(replace(body, '8640000000', '1') AS BLOB) "
            "WHERE position = 12",
            "position 12 (a removal): its execution, step, body or hash was changed",
        ),
        ("DELETE FROM removals WHERE position = 11", "position 11: the row is missing"),
        ("UPDATE steps SET body = x'00' WHERE position = 3", "(execution 1, step 1)"),
        ("UPDATE steps SET body = x'00' WHERE position = 10", "(execution 3, step 1)"),
    ],
)
async def test_what_is_done_to_a_log_with_gaps_is_found(
    path: Path, statement: str, problem: str
) -> None:
    await make_gap(path)
    tamper(path, statement)
    assert problem in str(audit_database(path).problem)


async def make_gap(path: Path) -> None:
    """Rows 4 to 7 are removed; rows 1 to 3 and 8 to 10 stay; 11 and 12 are removals."""
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(1), started(2), ended(2), started(3))
        await sweep(log, MONTH, NOW)
    audit = whole(path)
    assert (audit.removed, audit.position) == (4, 12)
    assert ids(path, "SELECT first FROM gaps") == [4]


async def test_a_gap_that_no_removal_states_is_found(path: Path) -> None:
    await make_gap(path)
    with tampering(path) as connection:
        (hash_,) = connection.execute("SELECT hash FROM steps WHERE position = 3").fetchone()
        connection.execute("DELETE FROM inbox WHERE position = 1")
        connection.execute("DELETE FROM executions WHERE position = 2")
        connection.execute("DELETE FROM steps WHERE position = 3")
        connection.execute("INSERT INTO gaps VALUES (3, 1, ?, 12)", (hash_,))
    found = str(audit_database(path).problem)
    assert found == (
        "position 1: the rows up to 3 are missing, and no removal in the chain states it"
    )


async def test_a_log_of_the_layout_before_is_swept_too(path: Path) -> None:
    with tampering(path) as connection:
        for number, script in migrations()[:2]:
            apply(connection, number, script)
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(1, size=2_000_000), ended(1), started(2))
        await sweep(log, MONTH, NOW)
    before = size(path)  # it cannot shrink, but free pages are used again
    async with SqliteEventLog.open(path) as log:
        await commit(log, started(3, size=1_500_000))
    assert whole(path).removed == 4
    assert size(path) == before


def kept(path: Path) -> set[str]:
    with tampering(path) as connection:
        uses = connection.execute("SELECT DISTINCT digest FROM payload_uses").fetchall()
        found = {digest for (digest,) in connection.execute("SELECT digest FROM payloads")}
    assert found == {digest for (digest,) in uses}
    return found


async def test_payloads_go_with_the_last_execution_that_uses_them(
    log: SqliteEventLog, path: Path
) -> None:
    a, b, c = large("a"), large("b"), large("c")
    await commit(log, started(1), started(2), started(3, at_ms=NOW))
    await commit(log, Transaction(steps=[step_with(1, 2, a, b), step_with(2, 2, b)]))
    await commit(log, Transaction(steps=[step_with(3, 2, c, c)]), ended(1, 3))

    swept = await sweep(log, MONTH, NOW)
    assert swept.removed == Removed(events=1, executions=1, steps=3, last=13, payload_uses=2)
    assert kept(path) == {b.digest, c.digest}
    assert list(await log.read(2))[1] == step_with(2, 2, b)
    whole(path)

    await commit(log, ended(2, 3))
    await sweep(log, MONTH, NOW)
    assert kept(path) == {c.digest}
    whole(path)

    await commit(log, Transaction(steps=[step_with(3, 3, a)]))
    assert list(await log.read(3))[2] == step_with(3, 3, a)
    assert kept(path) == {a.digest, c.digest}
    whole(path)


async def test_payloads_stay_until_all_steps_of_a_long_history_are_gone(
    log: SqliteEventLog, path: Path
) -> None:
    payloads = [large(f"{number}") for number in range(3)]
    await commit(log, started(1), started(2, at_ms=NOW))
    await commit(log, Transaction(steps=[step_with(1, n, *payloads) for n in range(2, 9)]))
    await commit(log, ended(1, 9))

    def some(writer: Writer) -> Removed:
        return remove(writer, NOW, executions=[1], steps_max=5)

    taken = []
    while removed := await log.carry_out(some):
        taken.append((removed.executions, removed.steps, removed.payload_uses))
        assert len(kept(path)) == (0 if removed.payload_uses else 3)
        whole(path)
    assert taken == [(1, 5, 0), (0, 4, 3)]


async def test_many_and_large_payloads_go_in_several_transactions(
    log: SqliteEventLog, path: Path
) -> None:
    big = [Payload.of([number, "x" * 3_000_000]) for number in range(5)]
    await commit(log, started(1), started(2, at_ms=NOW))
    await commit(log, Transaction(steps=[step_with(1, 2, *big)]), ended(1, 3))
    removals = []
    for _ in range(4):
        removed = await log.carry_out(partial(remove, at_ms=NOW, executions=[1], steps_max=9))
        removals.append(removed.payload_uses)
        whole(path)
    assert removals == [2, 2, 1, 0]
    assert kept(path) == set()


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_comes_and_goes_what_stays_is_what_must(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    running: dict[int, int] = {}  # executions, and how many steps they have
    ends: dict[int, int] = {}
    now_ms, newest = DAY, 0
    async with SqliteEventLog.open(path) as log:
        for _ in range(120):
            now_ms += chance.randrange(DAY)
            match chance.choice(["start", "start", "step", "step", "end", "end", "sweep"]):
                case "start":
                    newest += 1
                    running[newest] = 1
                    await commit(log, started(newest, at_ms=now_ms, size=chance.randrange(2_000)))
                case "step" if running:
                    id = chance.choice([*running])
                    running[id] += 1
                    await commit(log, Transaction(steps=[step(id, running[id])]))
                case "end" if running:
                    id = chance.choice([*running])
                    await commit(log, ended(id, running.pop(id) + 1, at_ms=now_ms))
                    ends[id] = now_ms
                case "sweep":
                    before_ms = now_ms - chance.randrange(20 * DAY)
                    await sweep(log, Limits(executions_ms=0, events_ms=0), before_ms)
                    whole(path)
                    ends = {
                        id: at_ms
                        for id, at_ms in ends.items()
                        if at_ms >= before_ms or id == newest
                    }
                    assert ids(path) == sorted([*running, *ends])
        for id, steps in running.items():
            assert len(await log.read(id)) == steps
    whole(path)
