"""The x of every node: long lines straight, nodes in the middle of their neighbours.

The method of Brandes and Köpf (2001): nodes are aligned with a median neighbour into blocks, in
four ways; each way alone is packed as tightly as it may be, and a node takes the mean of the two
middle places. Blocks are placed along the longest path, which keeps its distances for nodes of
any width.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from eventmill.graph.ordering import Neighbours

Conflicts: TypeAlias = set[tuple[int, int]]


class Layered:
    """Ordered layers of nodes with the distances they need.

    `bends` says which nodes are only places where a line passes a layer. `widths` are those of
    the nodes, `margins` what stays free on either side of each.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[int]],
        above: Neighbours,
        below: Neighbours,
        widths: Sequence[float],
        margins: Sequence[float],
        bends: Sequence[bool],
    ) -> None:
        self.layers = layers
        self.above, self.below = above, below
        self.widths, self.margins, self.bends = widths, margins, bends

    def distance(self, left: int, right: int) -> float:
        """How far apart the middles of two neighbours in a layer must be."""
        room = max(self.margins[left], self.margins[right])
        return (self.widths[left] + self.widths[right]) / 2 + room


def aligned(graph: Layered) -> list[float]:
    """The x of the middle of each node; neighbours in a layer keep their distance."""
    count = len(graph.widths)
    if not count:
        return []
    conflicts = _conflicts(graph)
    candidates = []
    for downwards in (True, False):
        for from_left in (True, False):
            align = _alignment(graph, conflicts, downwards=downwards, from_left=from_left)
            candidates.append(_compacted(graph, align, from_left=from_left))
    _onto_narrowest(graph, candidates)
    places = (sorted(each[node] for each in candidates) for node in range(count))
    return [(four[1] + four[2]) / 2 for four in places]


def _conflicts(graph: Layered) -> Conflicts:
    """Pairs of nodes that are not aligned, since a long line between bends passes between them."""
    found: Conflicts = set()
    for upper, lower in pairwise(graph.layers):
        place = {node: index for index, node in enumerate(upper)}
        left, scanned = 0, 0
        for index, node in enumerate(lower):
            inner = next((up for up in graph.above[node] if graph.bends[up]), None)
            is_inner = inner is not None and graph.bends[node]
            if not is_inner and index < len(lower) - 1:
                continue
            right = place[inner] if is_inner and inner is not None else len(upper) - 1
            for other in lower[scanned : index + 1]:
                for up in graph.above[other]:
                    crosses = not left <= place[up] <= right
                    if crosses and not (graph.bends[up] and graph.bends[other]):
                        found.add((up, other))
            left, scanned = right, index + 1
    return found


def _alignment(
    graph: Layered, conflicts: Conflicts, *, downwards: bool, from_left: bool
) -> list[int]:
    """For each node the first of its block."""
    root = list(range(len(graph.widths)))
    layers = graph.layers if downwards else graph.layers[::-1]
    neighbours = graph.above if downwards else graph.below
    for former, layer in pairwise(layers):
        place = {node: index for index, node in enumerate(former)}
        sign = 1 if from_left else -1
        reached = -1 if from_left else len(former)
        for node in layer if from_left else layer[::-1]:
            for other in _medians(neighbours[node], place, from_left):
                pair = (other, node) if downwards else (node, other)
                beyond = (place[other] - reached) * sign > 0
                if root[node] == node and beyond and pair not in conflicts:
                    root[node] = root[other]
                    reached = place[other]
    return root


def _medians(nodes: Sequence[int], place: dict[int, int], from_left: bool) -> list[int]:
    by_place = sorted(nodes, key=place.__getitem__)
    half = len(by_place) // 2
    if not by_place:
        return []
    if len(by_place) % 2:
        return [by_place[half]]
    middle = by_place[half - 1 : half + 1]
    return middle if from_left else middle[::-1]


def _compacted(graph: Layered, root: list[int], *, from_left: bool) -> list[float]:
    """Places for blocks: each as far to one side as its neighbours let it, then drawn back."""
    after: dict[int, dict[int, float]] = {each: {} for each in root}
    for layer in graph.layers:
        for left, right in pairwise(layer):
            a, b = (left, right) if from_left else (right, left)
            room = after[root[a]].get(root[b], 0.0)
            after[root[a]][root[b]] = max(room, graph.distance(left, right))
    order = _topological(after)
    x = dict.fromkeys(order, 0.0)
    for block in order:
        for other, distance in after[block].items():
            x[other] = max(x[other], x[block] + distance)
    for block in reversed(order):
        if after[block]:
            x[block] = max(x[block], min(x[each] - room for each, room in after[block].items()))
    return [x[each] if from_left else -x[each] for each in root]


def _topological(after: dict[int, dict[int, float]]) -> list[int]:
    waits_for = dict.fromkeys(after, 0)
    for others in after.values():
        for other in others:
            waits_for[other] += 1
    order = [block for block, count in waits_for.items() if not count]
    for block in order:
        for other in after[block]:
            waits_for[other] -= 1
            if not waits_for[other]:
                order.append(other)
    return order


def _onto_narrowest(graph: Layered, candidates: list[list[float]]) -> None:
    """Move the four candidates so that they share a side with the narrowest of them."""
    halves = [width / 2 for width in graph.widths]
    sides = []
    for candidate in candidates:
        left = min(x - half for x, half in zip(candidate, halves, strict=True))
        right = max(x + half for x, half in zip(candidate, halves, strict=True))
        sides.append((left, right))
    narrowest = min(sides, key=lambda side: side[1] - side[0])
    for index, (left, right) in enumerate(sides):
        shift = narrowest[0] - left if index % 2 == 0 else narrowest[1] - right
        candidates[index] = [x + shift for x in candidates[index]]
