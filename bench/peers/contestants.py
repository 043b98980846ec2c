"""Who is measured, at what, and with how much of it.

The sizes make each measurement take one to a few seconds. As many are in flight as served each one
best, of three numbers that were tried; huey has them all in its queue. DBOS has one: with ten
or fifty workflows at a time it made fewer in a second.
"""

from collections.abc import Mapping
from typing import Final

from bench.peers.works import ALONE, CHAIN3, FAN_OUT, RECOVER
from eventmill.record import record


@record
class Size:
    """How many executions or items, and how many at a time."""

    count: int
    in_flight: int = 1


SMALL: Final = Size(count=12, in_flight=4)

_ITEMS: Final = Size(count=1_000)


@record
class Contestant:
    """A module with a variant of it; `sizes` has the works that it can do.

    The module of a library runs where the peer is installed; that of a server runs here, and only
    starts and calls it. `durable` says what is on disk, and when: nothing is compared without it.
    """

    peer: str | None
    module: str
    variant: str
    durable: str
    sizes: Mapping[str, Size]
    is_server: bool = False


_LIBRARY: Final = {
    CHAIN3: Size(count=2_500, in_flight=500),
    ALONE: Size(count=200),
    FAN_OUT: _ITEMS,
}

CONTESTANTS: Final = {
    "Eventmill, inline": Contestant(
        peer=None,
        module="eventmill_library",
        variant="inline",
        durable="steps, in groups",
        sizes=_LIBRARY,
    ),
    "Eventmill, workers": Contestant(
        peer=None,
        module="eventmill_library",
        variant="workers",
        durable="steps, in groups",
        sizes=_LIBRARY,
    ),
    "DBOS, SQLite": Contestant(
        peer="dbos",
        module="dbos",
        variant="delete",
        durable="steps, one by one",
        sizes={
            CHAIN3: Size(count=120),
            ALONE: Size(count=80),
            FAN_OUT: _ITEMS,
            RECOVER: Size(count=1_000, in_flight=50),
        },
    ),
    "DBOS, SQLite WAL": Contestant(
        peer="dbos",
        module="dbos",
        variant="wal",
        durable="steps, one by one",
        sizes={
            CHAIN3: Size(count=200),
            ALONE: Size(count=80),
            FAN_OUT: _ITEMS,
            RECOVER: Size(count=1_000, in_flight=50),
        },
    ),
    "huey, SQLite fsync": Contestant(
        peer="huey",
        module="huey",
        variant="fsync",
        durable="the queue only",
        sizes={
            CHAIN3: Size(count=1_000),
            ALONE: Size(count=200),
            FAN_OUT: _ITEMS,
            RECOVER: Size(count=1_000),
        },
    ),
    "Eventmill up, HTTP": Contestant(
        peer=None,
        module="eventmill_up",
        is_server=True,
        variant="default",
        durable="steps, in groups",
        sizes={
            CHAIN3: Size(count=1_500, in_flight=100),
            ALONE: Size(count=200),
            FAN_OUT: _ITEMS,
            RECOVER: Size(count=1_000, in_flight=20),
        },
    ),
    "Restate, HTTP": Contestant(
        peer="restate",
        module="restate",
        is_server=True,
        variant="default",
        durable="steps, in groups",
        sizes={
            CHAIN3: Size(count=600, in_flight=100),
            ALONE: Size(count=80),
            FAN_OUT: _ITEMS,
            RECOVER: Size(count=1_000, in_flight=50),
        },
    ),
    "moto, Pass, HTTP": Contestant(
        peer="moto",
        module="moto",
        is_server=True,
        variant="pass",
        durable="nothing",
        sizes={CHAIN3: Size(count=200, in_flight=4), ALONE: Size(count=50), FAN_OUT: _ITEMS},
    ),
    "moto, Lambda, HTTP": Contestant(
        peer="moto",
        module="moto",
        is_server=True,
        variant="lambda",
        durable="nothing",
        # A thousand items take it a quarter of a minute, in which nothing is learnt.
        sizes={CHAIN3: Size(count=40, in_flight=4), ALONE: Size(count=20)},
    ),
}
"""First the libraries, which are called in their own process; then the servers."""
