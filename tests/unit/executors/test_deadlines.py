"""Deadlines fire for those that still live, once, soonest first."""

import asyncio
import time

from eventmill.executors.deadlines import Deadlines


async def test_expires_what_still_lives_in_the_order_of_deadlines() -> None:
    live, expired = {1, 2, 3, 4}, []
    done = asyncio.Event()

    def expire(id_: int) -> None:
        expired.append(id_)
        live.discard(id_)
        if not live:
            done.set()

    deadlines = Deadlines(live, expire)
    now_ms = int(time.time() * 1000)
    for id_, after_ms in ((1, 60), (2, 20), (3, -100), (4, 40), (5, 10)):
        deadlines.add(id_, now_ms + after_ms)
    await done.wait()
    assert expired == [3, 2, 4, 1]


async def test_a_sooner_deadline_does_not_wait_for_a_later_one() -> None:
    expired: asyncio.Queue[int] = asyncio.Queue()
    deadlines = Deadlines({1, 2}, expired.put_nowait)
    now_ms = int(time.time() * 1000)
    deadlines.add(1, now_ms + 3_600_000)
    deadlines.add(2, now_ms + 10)
    assert await expired.get() == 2
    deadlines.close()


async def test_forgets_the_deadlines_of_what_has_ended() -> None:
    live: set[int] = set()
    deadlines = Deadlines(live, live.discard)
    for id_ in range(20_000):
        deadlines.add(id_, 2**50)
    assert len(deadlines) < 2_500
    deadlines.close()
    assert len(deadlines) == 0
