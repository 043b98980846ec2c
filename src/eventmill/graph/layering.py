"""Which transitions lead back, and on which layer each node stands.

The first two steps of a layered drawing (Sugiyama, Tagawa and Toda, 1981): without the
transitions that lead back the graph has no cycle, and every other one leads downwards.
"""

from collections.abc import Sequence
from typing import TypeAlias

Edge: TypeAlias = tuple[int, int]


def successors(count: int, edges: Sequence[Edge]) -> list[list[tuple[int, int]]]:
    """For each node, what it leads to: pairs of an edge's index and its target."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for index, (source, target) in enumerate(edges):
        found[source].append((index, target))
    return found


def edges_back(count: int, edges: Sequence[Edge], start: int) -> set[int]:
    """The indexes of edges that close a cycle on a walk from `start`, depth first.

    Nodes that the walk does not reach are walked from afterwards. An edge from a node to itself
    is among them.
    """
    leads_to = successors(count, edges)
    back: set[int] = set()
    done, under_way = [False] * count, [False] * count
    for root in (start, *range(count)):
        if done[root]:
            continue
        under_way[root] = True
        walk = [(root, iter(leads_to[root]))]
        while walk:
            node, rest = walk[-1]
            for index, target in rest:
                if under_way[target]:
                    back.add(index)
                elif not done[target]:
                    under_way[target] = True
                    walk.append((target, iter(leads_to[target])))
                    break
            else:
                walk.pop()
                under_way[node], done[node] = False, True
    return back


def layers(count: int, edges: Sequence[Edge], back: set[int]) -> list[int]:
    """The layer of each node: below all nodes that lead to it, else as high as may be."""
    leads_to = successors(count, [edge for at, edge in enumerate(edges) if at not in back])
    waits_for = [0] * count
    for targets in leads_to:
        for _, target in targets:
            waits_for[target] += 1
    layer = [0] * count
    ready = [node for node in range(count) if not waits_for[node]]
    while ready:
        node = ready.pop()
        for _, target in leads_to[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waits_for[target] -= 1
            if not waits_for[target]:
                ready.append(target)
    return layer
