"""The outcome of a transaction, for those who wait for it."""

import asyncio

from eventmill.ports import Outcome


def awaited() -> "tuple[asyncio.Future[None], Outcome]":
    """A future, and the outcome that it waits for; who stops waiting changes nothing."""
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def outcome(refused: Exception | None) -> None:
        if durable.done():
            return
        if refused is None:
            durable.set_result(None)
        else:
            durable.set_exception(refused)

    return durable, outcome
