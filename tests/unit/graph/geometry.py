"""What must hold in every drawing, whatever the machine: the rules as a list of mistakes."""

from collections.abc import Iterator
from itertools import combinations, pairwise

from eventmill.graph.drawing import Drawing, Line, Point, Rectangle

SLACK = 0.001


def mistakes(drawing: Drawing) -> list[str]:
    return [
        *_boxes(drawing),
        *_lanes(drawing),
        *_ends(drawing),
        *_ways(drawing),
        *_labels(drawing),
        *_shared_stretches(drawing),
    ]


def segments(line: Line) -> Iterator[Rectangle]:
    """What each segment spans: an aslant one may be drawn anywhere inside."""
    for a, b in pairwise(line.points):
        yield Rectangle(
            x=min(a[0], b[0]),
            y=min(a[1], b[1]),
            width=abs(a[0] - b[0]),
            height=abs(a[1] - b[1]),
        )


def overlap(a: Rectangle, b: Rectangle) -> bool:
    across = min(a.right, b.right) - max(a.x, b.x)
    down = min(a.bottom, b.bottom) - max(a.y, b.y)
    # A line has no width, but runs through what lies on both sides of it.
    thin = 0.0 in (a.width, b.width, a.height, b.height)
    if thin:
        return across > -SLACK and down > -SLACK and not _touches(a, b)
    return across > SLACK and down > SLACK


def _touches(a: Rectangle, b: Rectangle) -> bool:
    return (
        a.right <= b.x + SLACK
        or b.right <= a.x + SLACK
        or a.bottom <= b.y + SLACK
        or b.bottom <= a.y + SLACK
    )


def inside(inner: Rectangle, outer: Rectangle) -> bool:
    return (
        inner.x >= outer.x - SLACK
        and inner.y >= outer.y - SLACK
        and inner.right <= outer.right + SLACK
        and inner.bottom <= outer.bottom + SLACK
    )


def _on_border(point: Point, place: Rectangle) -> bool:
    x, y = point
    within = (
        place.x - SLACK <= x <= place.right + SLACK and place.y - SLACK <= y <= place.bottom + SLACK
    )
    near = min(abs(x - place.x), abs(x - place.right), abs(y - place.y), abs(y - place.bottom))
    return within and near <= SLACK


def _areas(drawing: Drawing, parent: int | None) -> list[Rectangle]:
    if parent is None:
        return [Rectangle(x=0, y=0, width=drawing.width, height=drawing.height)]
    return [lane.place for lane in drawing.lanes if lane.parent == parent]


def _boxes(drawing: Drawing) -> Iterator[str]:
    siblings: dict[int | None, list[int]] = {}
    for index, box in enumerate(drawing.boxes):
        siblings.setdefault(box.parent, []).append(index)
        if not any(inside(box.place, area) for area in _areas(drawing, box.parent)):
            yield f"{box.name} lies outside of what holds it"
        if box.parent is not None and box.parent >= index:
            yield f"{box.name} comes before what holds it"
    for indexes in siblings.values():
        for a, b in combinations((drawing.boxes[index] for index in indexes), 2):
            if overlap(a.place, b.place):
                yield f"{a.name} overlaps {b.name}"


def _lanes(drawing: Drawing) -> Iterator[str]:
    for lane in drawing.lanes:
        if not inside(lane.place, drawing.boxes[lane.parent].place):
            yield f"a lane sticks out of {drawing.boxes[lane.parent].name}"
    for a, b in combinations(drawing.lanes, 2):
        if a.parent == b.parent and overlap(a.place, b.place):
            yield f"lanes of {drawing.boxes[a.parent].name} overlap"


def named(drawing: Drawing, line: Line) -> str:
    return f"{drawing.boxes[line.source].name!r} -> {drawing.boxes[line.target].name!r}"


def _ends(drawing: Drawing) -> Iterator[str]:
    for line in drawing.lines:
        first, last = drawing.boxes[line.source].place, drawing.boxes[line.target].place
        if not _on_border(line.points[0], first) or not _on_border(line.points[-1], last):
            yield f"{named(drawing, line)} does not join its boxes"


def _ways(drawing: Drawing) -> Iterator[str]:
    for line in drawing.lines:
        parent = drawing.boxes[line.source].parent
        spans = list(segments(line))
        if drawing.boxes[line.target].parent != parent:
            yield f"{named(drawing, line)} leaves its branch"
        if not any(all(inside(each, area) for each in spans) for area in _areas(drawing, parent)):
            yield f"{named(drawing, line)} runs outside of what holds it"
        for box in drawing.boxes:
            if box.parent == parent and any(overlap(each, box.place) for each in spans):
                yield f"{named(drawing, line)} runs through {box.name}"


def _labels(drawing: Drawing) -> Iterator[str]:
    labelled = [line for line in drawing.lines if line.label is not None]
    for line in labelled:
        assert line.label is not None
        place, parent = line.label.place, drawing.boxes[line.source].parent
        for box in drawing.boxes:
            if box.parent == parent and overlap(place, box.place):
                yield f"the label of {named(drawing, line)} overlaps {box.name}"
        for other in drawing.lines:
            is_near = other is not line and drawing.boxes[other.source].parent == parent
            if is_near and any(overlap(each, place) for each in segments(other)):
                yield f"{named(drawing, other)} crosses the label of {named(drawing, line)}"
        if not any(inside(place, area) for area in _areas(drawing, parent)):
            yield f"the label of {named(drawing, line)} sticks out"
    for one, other in combinations(labelled, 2):
        assert one.label is not None
        assert other.label is not None
        if overlap(one.label.place, other.label.place):
            yield f"the labels of {named(drawing, one)} and {named(drawing, other)} overlap"


def _shared_stretches(drawing: Drawing) -> Iterator[str]:
    """Upright or level stretches of two lines on top of each other, but where they come in."""
    for one, other in combinations(drawing.lines, 2):
        if one.target == other.target:
            continue
        for a in segments(one):
            for b in segments(other):
                upright = a.width == b.width == 0 and abs(a.x - b.x) < SLACK
                level = a.height == b.height == 0 and abs(a.y - b.y) < SLACK
                down = min(a.bottom, b.bottom) - max(a.y, b.y)
                across = min(a.right, b.right) - max(a.x, b.x)
                if (upright and down > SLACK) or (level and across > SLACK):
                    yield f"{named(drawing, one)} runs on {named(drawing, other)}"
