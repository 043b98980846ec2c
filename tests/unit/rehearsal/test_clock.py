"""Virtual time: it jumps, in order, and only when nothing else can happen."""

import asyncio
import threading

import pytest

from eventmill.rehearsal.clock import RehearsalLoop, VirtualClock


def test_jumps_to_each_instant_in_turn() -> None:
    clock, seen = VirtualClock(1_000), list[tuple[str, int]]()
    clock.call_at(5_000, lambda: seen.append(("late", clock.now_ms())))
    clock.call_at(2_000, lambda: seen.append(("soon", clock.now_ms())))

    assert [clock.jump(), clock.jump(), clock.jump()] == [True, True, False]
    assert seen == [("soon", 2_000), ("late", 5_000)]


def test_calls_of_one_instant_keep_their_order() -> None:
    clock, seen = VirtualClock(0), list[int]()
    for number in range(5):
        clock.call_at(10, lambda number=number: seen.append(number))  # type: ignore[misc]  # bound

    clock.jump()

    assert seen == [0, 1, 2, 3, 4]


def test_what_was_cancelled_is_not_called() -> None:
    clock, seen = VirtualClock(0), list[str]()
    cancel = clock.call_at(10, lambda: seen.append("first"))
    clock.call_at(20, lambda: seen.append("second"))
    cancel()
    cancel()

    clock.jump()

    assert (seen, clock.now_ms()) == (["second"], 20)


def test_time_never_goes_back() -> None:
    clock = VirtualClock(100)

    clock.pass_until(50)

    assert clock.now_ms() == 100


def test_a_sleeper_that_is_cancelled_leaves_nothing_due() -> None:
    clock = VirtualClock(0)

    async def give_up() -> None:
        sleeper = asyncio.ensure_future(clock.sleep_until(10))
        await asyncio.sleep(0)
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)

    asyncio.run(give_up())

    assert not clock.jump()


@pytest.fixture
def loop_and_clock() -> tuple[asyncio.Runner, VirtualClock]:
    clock = VirtualClock(0)
    runner = asyncio.Runner(loop_factory=RehearsalLoop)
    loop = runner.get_loop()
    assert isinstance(loop, RehearsalLoop)
    loop.on_idle = clock.jump
    return runner, clock


def test_the_loop_lets_time_pass_when_it_is_idle(
    loop_and_clock: tuple[asyncio.Runner, VirtualClock],
) -> None:
    runner, clock = loop_and_clock
    with runner:
        runner.run(clock.sleep_until(31_536_000_000))

    assert clock.now_ms() == 31_536_000_000


def test_time_stands_still_while_a_thread_is_at_work(
    loop_and_clock: tuple[asyncio.Runner, VirtualClock],
) -> None:
    runner, clock = loop_and_clock

    async def work() -> list[int]:
        sleeper = asyncio.ensure_future(clock.sleep_until(1_000))
        before = await asyncio.to_thread(clock.now_ms)
        await sleeper
        return [before, clock.now_ms()]

    with runner:
        assert runner.run(work()) == [0, 1_000]


def test_time_stands_still_for_whoever_says_so(
    loop_and_clock: tuple[asyncio.Runner, VirtualClock],
) -> None:
    runner, clock = loop_and_clock
    seen = list[int]()

    async def work() -> list[int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, RehearsalLoop)
        leave = loop.outside()

        def come_back() -> None:
            seen.append(clock.now_ms())
            leave()
            leave()

        sleeper = asyncio.ensure_future(clock.sleep_until(1_000))
        outside = threading.Thread(target=loop.call_soon_threadsafe, args=(come_back,))
        outside.start()
        await sleeper
        outside.join()
        return [*seen, clock.now_ms()]

    with runner:
        assert runner.run(work()) == [0, 1_000]
