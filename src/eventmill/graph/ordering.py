"""The order of the nodes within their layers, so that few lines cross.

Each layer is sorted by the barycentres of its nodes' neighbours, downwards and upwards in turn.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeAlias

Neighbours: TypeAlias = Sequence[Sequence[int]]

_SWEEPS_MAX: Final = 24
_SWEEPS_WITHOUT_GAIN: Final = 4


def ordered(
    layers: Sequence[Sequence[int]], above: Neighbours, below: Neighbours
) -> list[list[int]]:
    """The layers, each in the order that was found to have the fewest crossings.

    `above` and `below` have the neighbours of each node in the layers next to its own. The same
    graph always gets the same order, and the order given if no other is better.
    """
    current = [list(layer) for layer in layers]
    best, fewest = current, crossings(current, below)
    without_gain = 0
    for sweep in range(_SWEEPS_MAX):
        if not fewest or without_gain == _SWEEPS_WITHOUT_GAIN:
            break
        turns = sweep % 4 >= 2  # equals change places in every other pair of sweeps
        current = _swept(current, above, below, downwards=sweep % 2 == 0, turns=turns)
        found = crossings(current, below)
        without_gain += 1
        if found < fewest:
            best, fewest, without_gain = current, found, 0
    return best


def _swept(
    layers: list[list[int]],
    above: Neighbours,
    below: Neighbours,
    *,
    downwards: bool,
    turns: bool,
) -> list[list[int]]:
    neighbours = above if downwards else below
    numbers = range(len(layers)) if downwards else range(len(layers) - 1, -1, -1)
    swept = [list(layer) for layer in layers]
    place: dict[int, int] = {}
    for number in numbers:
        swept[number] = _sorted(swept[number], neighbours, place, turns)
        place.update((node, index) for index, node in enumerate(swept[number]))
    return swept


def _sorted(
    layer: list[int], neighbours: Neighbours, place: dict[int, int], turns: bool
) -> list[int]:
    """The layer by barycentres; nodes without neighbours stay where they are."""
    weighed = [
        (
            sum(place[each] for each in neighbours[node]) / len(neighbours[node]),
            -index if turns else index,
            node,
        )
        for index, node in enumerate(layer)
        if neighbours[node]
    ]
    weighed.sort()
    moved = iter([node for _, _, node in weighed])
    return [next(moved) if neighbours[node] else node for node in layer]


def crossings(layers: Sequence[Sequence[int]], below: Neighbours) -> int:
    """How many pairs of lines between neighbouring layers cross."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {node: index for index, node in enumerate(lower)}
        targets = [at for node in upper for at in sorted(place[each] for each in below[node])]
        total += _inversions(targets, len(lower))
    return total


def _inversions(numbers: Sequence[int], limit: int) -> int:
    """How many pairs of `numbers`, all below `limit`, stand in falling order (a Fenwick tree)."""
    tree = [0] * (limit + 1)
    found = 0
    for seen, number in enumerate(numbers):
        at, not_above = number + 1, 0
        while at:
            not_above += tree[at]
            at &= at - 1
        found += seen - not_above
        at = number + 1
        while at <= limit:
            tree[at] += 1
            at += at & -at
    return found
