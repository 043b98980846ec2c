"""Random numbers that are facts: drawn from the execution's seed and an event's id.

The same log gives the same numbers for ever, so a decision can be made again.
"""

from collections.abc import Callable
from hashlib import blake2b


def draws(seed: int, event_id: int) -> Callable[[int], int]:
    """A source of integers below a given bound, each draw of it different.

    >>> draw = draws(7, 12)
    >>> [draw(100), draw(100)] == [draws(7, 12)(100), draws(7, 12)(100)]
    False
    >>> all(0 <= draw(6) < 6 for _ in range(100))
    True
    """
    drawn = 0

    def draw(below: int) -> int:
        nonlocal drawn
        drawn += 1
        digest = blake2b(b"%d %d %d" % (seed, event_id, drawn), digest_size=24).digest()
        return int.from_bytes(digest) % below

    return draw


def fraction(seed: int, event_id: int) -> float:
    """One number of 0 to 1, for the jitter of a retry decided at this event."""
    return draws(seed, event_id)(2**53) / 2**53
