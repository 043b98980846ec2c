"""How long `eventmill up` runs: until it is asked to stop, or a part of it has failed for good."""

import asyncio

import pytest

from eventmill.cli.failures import EnvironmentRefused
from eventmill.errors import LogDamaged
from eventmill.up import until_asked


async def test_returns_when_it_is_asked_to_stop() -> None:
    stop, broken = asyncio.Event(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(until_asked(stop, (broken,)))

    stop.set()
    await waiting

    assert not broken.done()


@pytest.mark.parametrize(
    ("error", "message", "advice"),
    [
        (
            LogDamaged("the log x is damaged"),
            "the server had to stop: the log x is damaged",
            "eventmill audit verify, or another data folder: --data DIR",
        ),
        (
            KeyError("x"),
            "the server had to stop: internal error: KeyError: 'x'\n  at an unknown place",
            "the same command with --debug shows all of it; please report it",
        ),
    ],
)
async def test_a_part_that_has_failed_for_good_ends_the_server(
    error: Exception, message: str, advice: str
) -> None:
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    broken.set_exception(error)

    with pytest.raises(EnvironmentRefused) as raised:
        await until_asked(asyncio.Event(), (broken,))

    assert (raised.value.message, raised.value.advice) == (message, advice)
    assert raised.value.exit_code == 3
    assert raised.value.__cause__ is error
