"""From the outline of a state machine to its drawing.

A transition never leaves its branch, so each branch is arranged on its own, from the inside out;
a Parallel or Map is then one large box of the branch around it.
"""

from collections.abc import Sequence
from typing import Final

from eventmill.graph.arrangement import Arrangement, arrange
from eventmill.graph.drawing import Box, Drawing, Label, Lane, Line, Point, Rectangle
from eventmill.graph.lettering import fitted, text_width
from eventmill.graph.net import Edge, Size
from eventmill.graph.outline import END, START, Node, Outline, Transition
from eventmill.record import record

NAME_SIZE: Final = 13.0
DETAIL_SIZE: Final = 11.0
LABEL_SIZE: Final = 11.0
LABEL_LINE: Final = 15.0  # the height of one line of a label
HEADER: Final = 46.0  # the height of a state, and of the head of one that holds others

_BOLD: Final = 1.1  # how much wider bold text is
_MARGIN: Final = 20.0
_ICON: Final = 44.0  # left of the text
_AFTER_TEXT: Final = 16.0
_RETRY_MARK: Final = 22.0
_POINT: Final = 8.0  # for the pointed side of a Choice
_TEXT_MIN: Final = 70.0
_TEXT_MAX: Final = 220.0
_TERMINAL: Final = 26.0  # the width and height of start and end
_PADDING: Final = 12.0  # inside of a state that holds others
_LANE_GAP: Final = 12.0
_LANE_PADDING: Final = 16.0
_LABEL_MAX: Final = 210.0
_LABEL_LINES_MAX: Final = 4
_LABEL_PADDING: Final = 7.0


def layout(machine: Outline) -> Drawing:
    """Lay out a state machine from the top down. The same outline gives the same drawing."""
    plan = _planned(machine)
    drawing = _Placing()
    drawing.place(plan, _MARGIN, _MARGIN, None)
    return Drawing(
        width=plan.arrangement.width + 2 * _MARGIN,
        height=plan.arrangement.height + 2 * _MARGIN,
        boxes=tuple(drawing.boxes),
        lanes=tuple(drawing.lanes),
        lines=tuple(drawing.lines),
    )


@record
class _Plan:
    """One branch, arranged; `inner` has the plans of what its nodes hold."""

    outline: Outline
    sizes: tuple[Size, ...]
    labels: tuple["_Lettering | None", ...]
    arrangement: Arrangement
    inner: tuple[tuple["_Plan", ...], ...]


@record
class _Lettering:
    """A label before it has a place."""

    lines: tuple[str, ...]
    full: tuple[str, ...]
    size: Size


def _planned(outline: Outline) -> _Plan:
    inner = tuple(tuple(_planned(each) for each in node.branches) for node in outline.nodes)
    sizes = tuple(_size(node, plans) for node, plans in zip(outline.nodes, inner, strict=True))
    labels = tuple(_lettering(each) for each in outline.transitions)
    edges = [
        Edge(
            source=each.source,
            target=each.target,
            label=label.size if label is not None else None,
            main=each.kind != "Catch",
        )
        for each, label in zip(outline.transitions, labels, strict=True)
    ]
    return _Plan(
        outline=outline,
        sizes=sizes,
        labels=labels,
        arrangement=arrange(sizes, edges, outline.start),
        inner=inner,
    )


# Sizes


def _size(node: Node, plans: Sequence[_Plan]) -> Size:
    if node.type in (START, END):
        return Size(width=_TERMINAL, height=_TERMINAL)
    shown, detail = _texts(node)
    text = max(_BOLD * text_width(shown, NAME_SIZE), text_width(detail, DETAIL_SIZE), _TEXT_MIN)
    mark = _RETRY_MARK if node.retries else _POINT if node.type == "Choice" else 0
    width = _ICON + text + _AFTER_TEXT + mark
    if not _filled(plans):
        return Size(width=round(width), height=HEADER)
    lanes = [_lane_size(plan) for plan in plans]
    inside = sum(lane.width for lane in lanes) + _LANE_GAP * (len(lanes) - 1) + 2 * _PADDING
    height = HEADER + max(lane.height for lane in lanes) + _PADDING
    return Size(width=max(round(width), inside), height=height)


def _filled(plans: Sequence[_Plan]) -> bool:
    return any(plan.outline.nodes for plan in plans)


def _lane_size(plan: _Plan) -> Size:
    return Size(
        width=plan.arrangement.width + 2 * _LANE_PADDING,
        height=plan.arrangement.height + 2 * _LANE_PADDING,
    )


def _texts(node: Node) -> tuple[str, str]:
    shown = fitted(node.name, NAME_SIZE, _TEXT_MAX)
    return shown, fitted(node.detail, DETAIL_SIZE, _TEXT_MAX)


def _lettering(transition: Transition) -> _Lettering | None:
    if not transition.texts:
        return None
    texts = transition.texts
    if len(texts) > _LABEL_LINES_MAX:
        hidden = len(texts) - _LABEL_LINES_MAX + 1
        texts = (*texts[: _LABEL_LINES_MAX - 1], f"and {hidden} more")
    lines = tuple(fitted(text, LABEL_SIZE, _LABEL_MAX) for text in texts)
    width = max(text_width(line, LABEL_SIZE) for line in lines)
    size = Size(width=round(width + 2 * _LABEL_PADDING), height=LABEL_LINE * len(lines) + 4)
    return _Lettering(lines=lines, full=transition.texts, size=size)


# Places


class _Placing:
    """Collects what has got its place, what holds others before what it holds."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.lanes: list[Lane] = []
        self.lines: list[Line] = []

    def place(self, plan: _Plan, x: float, y: float, parent: int | None) -> None:
        """Place a branch with its top left corner at `x`, `y`."""
        indexes = []
        for index, node in enumerate(plan.outline.nodes):
            left, top = plan.arrangement.corners[index]
            size, inner = plan.sizes[index], plan.inner[index]
            place = Rectangle(x=x + left, y=y + top, width=size.width, height=size.height)
            indexes.append(len(self.boxes))
            self._place_node(node, place, inner, parent)
        for index, transition in enumerate(plan.outline.transitions):
            self.lines.append(
                Line(
                    source=indexes[transition.source],
                    target=indexes[transition.target],
                    kind=transition.kind,
                    points=tuple((x + a, y + b) for a, b in plan.arrangement.routes[index]),
                    label=_label(plan.labels[index], plan.arrangement.labels[index], x, y),
                )
            )

    def _place_node(
        self, node: Node, place: Rectangle, inner: Sequence[_Plan], parent: int | None
    ) -> None:
        own = len(self.boxes)
        shown, detail = _texts(node)
        self.boxes.append(
            Box(
                name=node.name,
                type=node.type,
                shown=shown,
                detail=detail,
                place=place,
                parent=parent,
                retries=node.retries,
                holds_states=_filled(inner),
                distributed=node.distributed,
            )
        )
        if _filled(inner):
            self._place_lanes(own, place, inner)

    def _place_lanes(self, own: int, place: Rectangle, inner: Sequence[_Plan]) -> None:
        sizes = [_lane_size(plan) for plan in inner]
        height = max(size.height for size in sizes)
        used = sum(size.width for size in sizes) + _LANE_GAP * (len(sizes) - 1) + 2 * _PADDING
        stretch = (place.width - used) / len(sizes)
        x, y = place.x + _PADDING, place.y + HEADER
        for plan, size in zip(inner, sizes, strict=True):
            width = size.width + stretch
            area = Rectangle(x=x, y=y, width=width, height=height)
            self.lanes.append(Lane(parent=own, place=area))
            self.place(plan, x + _LANE_PADDING + stretch / 2, y + _LANE_PADDING, own)
            x += width + _LANE_GAP


def _label(lettering: _Lettering | None, middle: Point | None, x: float, y: float) -> Label | None:
    if lettering is None or middle is None:
        return None
    size = lettering.size
    place = Rectangle(
        x=x + middle[0] - size.width / 2,
        y=y + middle[1] - size.height / 2,
        width=size.width,
        height=size.height,
    )
    return Label(lines=lettering.lines, full=lettering.full, place=place)
