"""One flat graph in layers: where its nodes stand and which way its lines run.

A line that leads back runs around: out below its source, up beside everything on the way, and in
from above.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from eventmill.graph.drawing import Point
from eventmill.graph.net import Edge, Net, Size
from eventmill.record import record

_GAP: Final = 34.0
_LABEL_GAP: Final = 20.0
_GAP_MAX: Final = 28.0  # what wide jumps between two layers may add
_GAP_SLOPE: Final = 0.08
_TRACK: Final = 9.0  # between two level stretches in the same gap
_TURN: Final = 12.0  # from a layer to the first level stretch
_AROUND: Final = 18.0  # from what a line back passes to the line
_PORT_REACH: Final = 0.3  # how far from the middle a line may leave, as a part of the width
_PORT_GAP: Final = 16.0
_IN_PORT: Final = 18.0  # how far from the middle a line back comes in
_LOOP: Final = 24.0  # how far a line from a node to itself stands out
_LOOP_HALF: Final = 9.0
_LOOP_Y: Final = 23.0  # of its middle, below the top of the node
_LOOP_LABEL: Final = 4.0  # from it to its label
_LOOPS_MAX: Final = 2


@record
class Arrangement:
    """Where everything stands: nodes by their top left corners, labels by their middles."""

    width: float
    height: float
    corners: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]


def arrange(sizes: Sequence[Size], edges: Sequence[Edge], start: int = 0) -> Arrangement:
    """Draw a graph from the top down, beginning with node `start`.

    No two nodes or labels overlap, and no line runs through a node that is not its own, or
    through another line's label. The same graph is always drawn the same.
    """
    return _Router(sizes, edges, start).arrangement()


class _Router:
    """Works on one graph. The middle of the layout is wherever the alignment has put it."""

    def __init__(self, sizes: Sequence[Size], edges: Sequence[Edge], start: int) -> None:
        self.own_sizes = sizes
        self.edges = edges
        widened = _with_loops(sizes, edges)
        self.net = Net(widened, edges, start)
        self.x = self.net.centres()
        self.right, self.left = self._sides()
        self.columns = self._columns()
        self.ports = self._ports()
        self.outs = self._tracks([edges[at].source for at in self.columns])
        self.ins = self._tracks([edges[at].target for at in self.columns])
        self.top, self.bottom = self._levels()

    # Across

    def _sides(self) -> tuple[list[float], list[float]]:
        """How far each layer reaches, to the right and to the left."""
        right, left = [], []
        for layer in self.net.layers:
            right.append(max(self.x[node] + self.net.sizes[node].width / 2 for node in layer))
            left.append(min(self.x[node] - self.net.sizes[node].width / 2 for node in layer))
        return right, left

    def _columns(self) -> dict[int, float]:
        """For each line back, the x of its way up; the shorter its way, the nearer it runs."""
        layer = self.net.layer
        length = {
            at: layer[self.edges[at].source] - layer[self.edges[at].target] for at in self.net.back
        }
        columns: dict[int, float] = {}
        for at in sorted(self.net.back, key=lambda at: (length[at], at)):
            edge = self.edges[at]
            span = range(layer[edge.target], layer[edge.source] + 1)
            half = edge.label.width / 2 if edge.label else 0.0
            ends = (self.x[edge.source], self.x[edge.target])
            right = self._column(span, half, 1)
            left = self._column(span, half, -1)
            detours = [sum(abs(column - end) for end in ends) for column in (left, right)]
            sign = -1 if detours[0] < detours[1] else 1
            columns[at] = right if sign == 1 else left
            self._occupy(span, half, sign, columns[at])
        return columns

    def _column(self, span: range, half: float, sign: int) -> float:
        sides = self.right if sign == 1 else self.left
        reach = max(sides[number] * sign for number in span) + _AROUND
        beside = sides[span[-1]] * sign + half + _AROUND / 2
        return max(reach, beside) * sign

    def _occupy(self, span: range, half: float, sign: int, column: float) -> None:
        sides = self.right if sign == 1 else self.left
        for number in span:
            sides[number] = column
        sides[span[-1]] = column + sign * half

    def _ports(self) -> dict[int, float]:
        """For each edge but loops, the x at which it leaves its source."""
        leaving: defaultdict[int, list[tuple[int, float, int]]] = defaultdict(list)
        for at, chain in self.net.chains.items():
            leaving[chain[0]].append((0, self.x[chain[1]], at))
        for at, column in self.columns.items():
            # Lines back leave outermost, that with the nearest way up first: so they do not cross.
            node = self.edges[at].source
            leaving[node].append((1 if column > self.x[node] else -1, -column, at))
        ports: dict[int, float] = {}
        for node, towards in leaving.items():
            towards.sort()
            centre, width = self.x[node], self.own_sizes[node].width
            wanted = [centre + side * width if side else x for side, x, _ in towards]
            places = _spread(wanted, centre, width)
            ports |= {at: place for (*_, at), place in zip(towards, places, strict=True)}
        return ports

    # Down

    def _tracks(self, nodes: Sequence[int]) -> dict[int, int]:
        """For each line back, its place among those that turn beside the layers of `nodes`."""
        used: defaultdict[int, int] = defaultdict(int)
        tracks = {}
        for at, node in zip(self.columns, nodes, strict=True):
            tracks[at] = used[self.net.layer[node]]
            used[self.net.layer[node]] += 1
        return tracks

    def _levels(self) -> tuple[list[float], list[float]]:
        """The y at which each layer begins and ends."""
        heights = self._heights()
        above, below = self._turns()
        steps = self._steps()
        top, bottom = [], []
        y = above[0] if heights else 0.0
        for number, height in enumerate(heights):
            if number:
                labels = {number, number - 1} & self.net.label_layers
                y += _LABEL_GAP if labels else _GAP
                y += min(_GAP_MAX, steps[number - 1] * _GAP_SLOPE) + above[number]
            top.append(y)
            y += height
            bottom.append(y)
            y += below[number]
        self.height = y
        return top, bottom

    def _heights(self) -> list[float]:
        heights = [max(self.net.sizes[node].height for node in layer) for layer in self.net.layers]
        for at in self.net.back:
            label = self.edges[at].label
            number = self.net.layer[self.edges[at].source]
            heights[number] = max(heights[number], label.height if label else 0.0)
        return heights

    def _turns(self) -> tuple[list[float], list[float]]:
        """The room that lines back need above and below each layer."""
        above, below = [0.0] * len(self.net.layers), [0.0] * len(self.net.layers)
        for at in self.net.back:
            over = self.net.layer[self.edges[at].target]
            under = self.net.layer[self.edges[at].source]
            above[over] = max(above[over], _TURN + 6 + self.ins[at] * _TRACK)
            below[under] = max(below[under], _TURN + self.outs[at] * _TRACK)
        return above, below

    def _steps(self) -> list[float]:
        """The widest jump aside in the gap below each layer."""
        steps = [0.0] * len(self.net.layers)
        for at, chain in self.net.chains.items():
            for upper, lower in pairwise(chain):
                start = self.ports[at] if upper == chain[0] else self.x[upper]
                number = self.net.layer[upper]
                steps[number] = max(steps[number], abs(self.x[lower] - start))
        return steps

    # Together

    def arrangement(self) -> Arrangement:
        """The finished arrangement, moved so that it begins at 0, 0."""
        routes = [self._route(at) for at in range(len(self.edges))]
        labels = [self._label(at) for at in range(len(self.edges))]
        low = min([*self.left, *self.columns.values()], default=0.0)
        high = max([*self.right, *self.columns.values()], default=0.0)
        corners = [
            (self.x[node] - size.width / 2 - low, self.top[self.net.layer[node]])
            for node, size in enumerate(self.own_sizes)
        ]
        return Arrangement(
            width=high - low,
            height=self.height,
            corners=tuple(corners),
            routes=tuple(tuple((x - low, y) for x, y in route) for route in routes),
            labels=tuple(place and (place[0] - low, place[1]) for place in labels),
        )

    def _route(self, at: int) -> tuple[Point, ...]:
        edge = self.edges[at]
        if edge.source == edge.target:
            return self._loop(at)
        if at in self.columns:
            return self._way_back(at, edge)
        chain = self.net.chains[at]
        points = [(self.ports[at], self._lower_side(edge.source))]
        points.append((self.ports[at], self.bottom[self.net.layer[edge.source]]))
        for node in chain[1:-1]:
            number = self.net.layer[node]
            points += [(self.x[node], self.top[number]), (self.x[node], self.bottom[number])]
        points.append((self.x[edge.target], self.top[self.net.layer[edge.target]]))
        return _without_repeats(points)

    def _way_back(self, at: int, edge: Edge) -> tuple[Point, ...]:
        column, port = self.columns[at], self.ports[at]
        over, under = self.net.layer[edge.target], self.net.layer[edge.source]
        out_y = self.bottom[under] + _TURN + self.outs[at] * _TRACK
        in_y = self.top[over] - _TURN - 6 - self.ins[at] * _TRACK
        aside = min(_IN_PORT, self.own_sizes[edge.target].width / 4)
        port_in = self.x[edge.target] + (aside if column > self.x[edge.target] else -aside)
        return _without_repeats(
            [
                (port, self._lower_side(edge.source)),
                (port, out_y),
                (column, out_y),
                (column, in_y),
                (port_in, in_y),
                (port_in, self.top[over]),
            ]
        )

    def _loop(self, at: int) -> tuple[Point, ...]:
        node = self.edges[at].source
        size, sign = self.own_sizes[node], self._loop_side(at)
        side = self.x[node] + sign * size.width / 2
        y = self.top[self.net.layer[node]] + _LOOP_Y
        out = side + sign * _LOOP
        return (
            (side, y + _LOOP_HALF),
            (out, y + _LOOP_HALF),
            (out, y - _LOOP_HALF),
            (side, y - _LOOP_HALF),
        )

    def _loop_side(self, at: int) -> int:
        """To the right; to the left for the second one of a node, and a state has two at most."""
        node = self.edges[at].source
        others = [loop for loop in self.net.loops if self.edges[loop].source == node]
        assert len(others) <= _LOOPS_MAX
        return 1 if at == others[0] else -1

    def _label(self, at: int) -> Point | None:
        edge = self.edges[at]
        if edge.label is None:
            return None
        number = self.net.layer[edge.source]
        middle = (self.top[number] + self.bottom[number]) / 2
        if edge.source == edge.target:
            out = self._loop(at)[1][0]
            aside = _LOOP_LABEL + edge.label.width / 2
            y = self.top[number] + max(_LOOP_Y, edge.label.height / 2)
            return out + self._loop_side(at) * aside, y
        if at in self.columns:
            return self.columns[at], middle
        node = self.net.labels[at]
        number = self.net.layer[node]
        return self.x[node], (self.top[number] + self.bottom[number]) / 2

    def _lower_side(self, node: int) -> float:
        return self.top[self.net.layer[node]] + self.own_sizes[node].height


def _with_loops(sizes: Sequence[Size], edges: Sequence[Edge]) -> list[Size]:
    """The sizes, with room on both sides where a line leads from a node to itself."""
    room: defaultdict[int, float] = defaultdict(float)
    height: defaultdict[int, float] = defaultdict(float)
    for edge in edges:
        if edge.source == edge.target:
            label = edge.label or Size(width=0, height=0)
            room[edge.source] = max(room[edge.source], _LOOP + 2 * _LOOP_LABEL + label.width)
            height[edge.source] = max(height[edge.source], label.height, 2 * _LOOP_Y)
    return [
        Size(
            width=size.width + 2 * room[node],
            height=max(size.height, height[node]),
        )
        for node, size in enumerate(sizes)
    ]


def _spread(wanted: Sequence[float], centre: float, width: float) -> list[float]:
    """Where lines leave a side: near where they go, near the middle, and apart from each other."""
    reach = width * _PORT_REACH
    if len(wanted) == 1:
        return [wanted[0] if abs(wanted[0] - centre) <= reach else centre]
    gap = min(_PORT_GAP, 2 * reach / (len(wanted) - 1))
    places = [min(max(x, centre - reach), centre + reach) for x in wanted]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    excess = places[-1] - centre - reach
    if excess > 0:
        places[-1] -= excess
        for index in range(len(places) - 2, -1, -1):
            places[index] = min(places[index], places[index + 1] - gap)
    return places


def _without_repeats(points: Sequence[Point]) -> tuple[Point, ...]:
    kept = [points[0]]
    for point in points[1:]:
        if point != kept[-1]:
            kept.append(point)
    return tuple(kept)
