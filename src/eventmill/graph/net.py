"""One flat graph as ordered layers, with nodes for the bends and labels of its lines.

A label is a node of its own, on a layer between two others, so nothing else can lie there.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from eventmill.graph.alignment import Layered, aligned
from eventmill.graph.layering import edges_back, layers, successors
from eventmill.graph.ordering import ordered
from eventmill.record import record

_NODE_MARGIN: Final = 28.0
_BEND_MARGIN: Final = 14.0
_LABEL_MARGIN: Final = 10.0


@record
class Size:
    """A width and a height."""

    width: float
    height: float


@record
class Edge:
    """A line to draw between two nodes, with the size of its label.

    Where they compete for the straight way down, `main` lines win over others.
    """

    source: int
    target: int
    label: Size | None = None
    main: bool = True


class Net:
    """The graph as layers of nodes that only lead from one layer to the next.

    Its first nodes are those of the graph; then come the bends and labels of long lines. `chains`
    has, for each edge that leads down, all its nodes from source to target; `labels` the node of
    an edge's label. `back` has the edges that lead back, `loops` those from a node to itself.
    """

    def __init__(self, sizes: Sequence[Size], edges: Sequence[Edge], start: int) -> None:
        self.edges = edges
        self.sizes = list(sizes)
        self.bends = [False] * len(sizes)
        self.margins = [_NODE_MARGIN] * len(sizes)
        self.chains: dict[int, list[int]] = {}
        self.labels: dict[int, int] = {}
        self.trunks: dict[tuple[int, bool], dict[int, int]] = {}
        pairs = [(edge.source, edge.target) for edge in edges]
        back = edges_back(len(sizes), pairs, start)
        self.loops = [at for at in sorted(back) if edges[at].source == edges[at].target]
        self.back = [at for at in sorted(back) if edges[at].source != edges[at].target]
        self.layer = self._layered(layers(len(sizes), pairs, back))
        for at, edge in enumerate(edges):
            if at not in back:
                self._add_chain(at, edge)
        self.layers = self._ordered(start)

    def _layered(self, plain: list[int]) -> list[int]:
        """Number the layers anew, with one for labels wherever a label begins."""
        down = set(range(len(self.edges))) - set(self.back) - set(self.loops)
        labelled = {plain[self.edges[at].source] for at in down if self.edges[at].label is not None}
        numbers, next_number = [], 0
        for number in range(max(plain, default=-1) + 1):
            numbers.append(next_number)
            next_number += 2 if number in labelled else 1
        self.label_layers = {numbers[each] + 1 for each in labelled}
        return [numbers[each] for each in plain]

    def _add_chain(self, at: int, edge: Edge) -> None:
        """The nodes of one line; lines of a kind to the same target share their bends."""
        first, last = self.layer[edge.source], self.layer[edge.target]
        trunk = self.trunks.setdefault((edge.target, edge.main), {})
        chain = [edge.source]
        for layer in range(first + 1, last):
            if edge.label is not None and layer == first + 1:
                self.labels[at] = self._add(layer, edge.label)
                chain.append(self.labels[at])
                continue
            if layer not in trunk:
                trunk[layer] = self._add(layer, None)
            chain.append(trunk[layer])
        self.chains[at] = [*chain, edge.target]

    def _add(self, layer: int, label: Size | None) -> int:
        self.sizes.append(label or Size(width=0, height=0))
        self.margins.append(_BEND_MARGIN if label is None else _LABEL_MARGIN)
        self.bends.append(label is None)
        self.layer.append(layer)
        return len(self.sizes) - 1

    def _ordered(self, start: int) -> list[list[int]]:
        count = len(self.sizes)
        links = [pair for chain in self.chains.values() for pair in pairwise(chain)]
        self.above, self.below = _neighbours(count, links)
        found: list[list[int]] = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for node in _walk(count, links, start):
            found[self.layer[node]].append(node)
        return ordered(found, self.above, self.below)

    def centres(self) -> list[float]:
        """The x of the middle of every node."""
        widths = [size.width for size in self.sizes]
        links = [
            pair
            for at, chain in self.chains.items()
            if self.edges[at].main
            for pair in pairwise(chain)
        ]
        main_above, main_below = _neighbours(len(widths), links)
        above = _preferred(main_above, self.above, main_below)
        below = _preferred(main_below, self.below, main_above)
        self._keep_trunks(above, below)
        return aligned(Layered(self.layers, above, below, widths, self.margins, self.bends))

    def _keep_trunks(self, above: list[list[int]], below: list[list[int]]) -> None:
        """A line stays straight where others join it: they are no neighbours of its bends there."""
        for node, found in enumerate(above):
            former = [other for other in found if self.bends[other]]
            if not self.bends[node] or not former:
                continue
            for other in self.above[node]:
                if not self.bends[other] and node in below[other]:
                    below[other].remove(node)
            above[node] = former


def _neighbours(
    count: int, links: Iterable[tuple[int, int]]
) -> tuple[list[list[int]], list[list[int]]]:
    """For each node, those that lead to it, and those that it leads to."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in dict.fromkeys(links):
        below[source].append(target)
        above[target].append(source)
    return above, below


def _preferred(
    main: list[list[int]], everything: list[list[int]], main_back: list[list[int]]
) -> list[list[int]]:
    """For each node its main neighbours; others only where neither of the two has a main one."""
    return [
        found or [other for other in everything[node] if not main_back[other]]
        for node, found in enumerate(main)
    ]


def _walk(count: int, links: Sequence[tuple[int, int]], start: int) -> list[int]:
    """All nodes, depth first from `start`, each one's successors in their own order."""
    leads_to = successors(count, links)
    seen = [False] * count
    order: list[int] = []
    for root in (start, *range(count)):
        pending = [root] if count else []
        while pending:
            node = pending.pop()
            if seen[node]:
                continue
            seen[node] = True
            order.append(node)
            pending += [target for _, target in reversed(leads_to[node])]
    return order
