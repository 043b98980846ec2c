"""Who of a limited state machine may act: the oldest that run, as many as the limit says."""

from heapq import nsmallest
from random import Random

import pytest

from eventmill.arn import Home
from eventmill.log.memory import MemoryEventLog
from eventmill.machine.commands import CancelTask
from eventmill.ports import Transaction
from eventmill.rows import Child, ExecutionRow
from eventmill.runtime.places import Places

ARN = Home().state_machine("limited")


def row(id_: int, machine: str = "limited", child: Child | None = None) -> ExecutionRow:
    return ExecutionRow(
        id=id_,
        arn=Home().execution(machine, f"run-{id_}"),
        state_machine_arn=Home().state_machine(machine),
        name=f"run-{id_}",
        definition="digest",
        status="RUNNING",
        start_ms=0,
        child=child,
    )


def acting(places: Places, *ids: int) -> list[int]:
    return [id_ for id_ in ids if places.has(row(id_))]


def test_the_oldest_act_and_the_next_in_order_follow() -> None:
    places = Places({ARN: 2})
    for id_ in (1, 2, 3, 4):
        places.enter(row(id_))
    assert (acting(places, 1, 2, 3, 4), places.waiting) == ([1, 2], 2)
    assert places.leave(row(2)) == 3
    assert places.leave(row(1)) == 4
    assert places.leave(row(3)) is None
    places.enter(row(5))
    assert acting(places, 4, 5) == [4, 5]


def test_who_ends_while_it_waits_is_passed_over() -> None:
    places = Places({ARN: 1})
    for id_ in (1, 2, 3):
        places.enter(row(id_))
    assert places.leave(row(2)) is None
    assert places.waiting == 1
    assert places.leave(row(1)) == 3
    assert (places.leave(row(3)), places.waiting) == (None, 0)


def test_other_machines_and_children_have_no_limit() -> None:
    places = Places({ARN: 1})
    for each in (row(1), row(2, "other"), row(3, "other")):
        places.enter(each)
        assert places.has(each)
    child = Child(execution=9, map_run=1, index=0, items=1)
    assert places.has(row(4, "limited/Rows", child))
    assert not places.has(row(5))
    assert places.leave(row(2, "other")) is None


def test_commands_are_kept_for_their_turn_and_handed_out_once() -> None:
    places = Places({ARN: 1})
    for id_ in (1, 2):
        places.enter(row(id_))
    command = CancelTask(task=7)
    assert not places.withholds(row(1), command)
    assert places.withholds(row(2), command)
    assert list(places.withheld(2)) == [command]
    assert list(places.withheld(2)) == list(places.withheld(1)) == []


async def test_after_a_restart_the_holders_follow_from_the_log() -> None:
    log = MemoryEventLog()
    child = Child(execution=2, map_run=1, index=0, items=1)
    await log.commit(
        Transaction(
            created=[
                *(row(id_) for id_ in range(1, 2_600)),
                row(3_000, "other"),
                row(3_001, "limited/Rows", child),
            ],
            finished={1: ("SUCCEEDED", 5), 3: ("ABORTED", 5)},
            timers={4: 10},  # it sleeps, and holds its place all the same
        )
    )
    places = Places({ARN: 2})
    await places.take_up(log)
    assert acting(places, *range(1, 2_600)) == [2, 4]
    assert places.waiting == 2_595
    assert [places.leave(row(2)), places.leave(row(4))] == [5, 6]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_and_goes_the_oldest_act(seed: int) -> None:
    random = Random(seed)
    limit, running, next_id = random.randint(1, 4), set[int](), 1
    places, log = Places({ARN: limit}), MemoryEventLog()
    for _ in range(200):
        if running and random.random() < 0.5:
            gone = random.choice(sorted(running))
            running.remove(gone)
            await log.commit(Transaction(finished={gone: ("SUCCEEDED", 1)}))
            before = set(acting(places, *running))
            follower = places.leave(row(gone))
            assert set(acting(places, *running)) - before == {follower} - {None}
        else:
            await log.commit(Transaction(created=[row(next_id)]))
            running.add(next_id)
            places.enter(row(next_id))
            next_id += 1
        if random.random() < 0.05:  # the server dies, and the next one takes up
            places = Places({ARN: limit})
            await places.take_up(log)
        assert acting(places, *sorted(running)) == nsmallest(limit, running)
        assert places.waiting == max(0, len(running) - limit)
