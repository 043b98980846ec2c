"""The outlines of lines and icons as SVG path data."""

from collections.abc import Mapping, Sequence
from typing import Final

from eventmill.graph.drawing import Point

_CORNER: Final = 8.0
_HEAD_LENGTH: Final = 8.0
_HEAD_HALF: Final = 4.0

# Drawn with strokes, in a square of 16 by 16.
ICONS: Final[Mapping[str, str]] = {
    "Task": "M9 1.5 L3.5 9 H8 L7 14.5 L12.5 7 H8 Z",
    "Choice": "M8 1.5 L14.5 8 L8 14.5 L1.5 8 Z M8 5.5 V8.5 M8 10.8 V11",
    "Wait": "M8 1.5 A6.5 6.5 0 1 1 7.99 1.5 Z M8 4.5 V8 L10.5 10",
    "Pass": "M1.5 8 H13.5 M9.5 4 L13.5 8 L9.5 12",
    "Parallel": "M3 2 V14 M8 2 V14 M13 2 V14",
    "Map": "M2 6 L8 3 L14 6 L8 9 Z M2 9.5 L8 12.5 L14 9.5",
    "Succeed": "M2.5 8.5 L6.5 12.5 L13.5 4",
    "Fail": "M3.5 3.5 L12.5 12.5 M12.5 3.5 L3.5 12.5",
}
RETRY_MARK: Final = "M11 3.2 A5 5 0 1 0 12 7 M11.6 0.8 L11.2 3.6 L8.4 3.4"


def number(value: float) -> str:
    """A length as short as one tenth of a pixel allows.

    >>> number(12.0), number(3.14159)
    ('12', '3.1')
    """
    return f"{round(value, 1):g}" if abs(value) < 100_000 else f"{value:.0f}"


def line_path(points: Sequence[Point]) -> str:
    """A polyline: aslant segments as curves that begin and end upright, corners rounded."""
    first = points[0]
    parts = [f"M{_at(first)}"]
    for before, point, after in zip(points[:-1], points[1:], [*points[2:], None], strict=True):
        if _is_aslant(before, point):
            middle = (before[1] + point[1]) / 2
            parts.append(f"C{_at((before[0], middle))} {_at((point[0], middle))} {_at(point)}")
        elif after is None or _is_aslant(point, after) or not _turns(before, point, after):
            parts.append(f"L{_at(point)}")
        else:
            near, far = _towards(point, before), _towards(point, after)
            parts.append(f"L{_at(near)} Q{_at(point)} {_at(far)}")
    return " ".join(parts)


def arrow_head(points: Sequence[Point]) -> str:
    """The head at the end of a polyline."""
    (x, y), before = points[-1], points[-2]
    if before[1] == y:
        back = _HEAD_LENGTH if before[0] > x else -_HEAD_LENGTH
        corners = [(x + back, y - _HEAD_HALF), (x + back, y + _HEAD_HALF)]
    else:
        corners = [(x - _HEAD_HALF, y - _HEAD_LENGTH), (x + _HEAD_HALF, y - _HEAD_LENGTH)]
    return f"M{_at((x, y))} L{_at(corners[0])} L{_at(corners[1])} Z"


def hexagon(x: float, y: float, width: float, height: float) -> str:
    """A box with pointed sides."""
    point = height / 3.2
    middle, right = y + height / 2, x + width
    corners = [
        (x, middle), (x + point, y), (right - point, y),
        (right, middle), (right - point, y + height), (x + point, y + height),
    ]  # fmt: skip
    return f"M{' L'.join(_at(corner) for corner in corners)} Z"


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _is_aslant(a: Point, b: Point) -> bool:
    return a[0] != b[0] and a[1] != b[1]


def _turns(before: Point, point: Point, after: Point) -> bool:
    return (before[0] == point[0]) != (point[0] == after[0])


def _towards(point: Point, other: Point) -> Point:
    """Where the rounding of a corner begins or ends: at most half the way to `other`."""
    x, y = point
    length = abs(other[0] - x) + abs(other[1] - y)
    part = min(_CORNER, length / 2) / length
    return x + (other[0] - x) * part, y + (other[1] - y) * part
