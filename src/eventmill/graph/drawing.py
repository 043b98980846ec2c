"""A drawing of a state machine as geometry: boxes, lanes and lines, without a look.

All lengths are in pixels at scale 1; x grows to the right, y downwards, from the top left corner.
"""

from typing import Literal, TypeAlias

from eventmill.record import record

Point: TypeAlias = tuple[float, float]

Kind: TypeAlias = Literal["Next", "Choice", "Default", "Catch", "Start", "End"]
"""Why a transition is taken. `Start` leads to the first state, `End` away from a last one."""


@record
class Rectangle:
    """An upright rectangle; `x` and `y` are its top left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower side."""
        return self.y + self.height

    @property
    def centre_x(self) -> float:
        """The x of the middle."""
        return self.x + self.width / 2


@record
class Box:
    """A state, or the point where the execution starts or ends (types `Start` and `End`).

    `name` is the state's whole name, `shown` what of it has room, `detail` the line below it.
    `retries` has one line for each retrier. A Parallel or Map holds other boxes; theirs is the
    `parent`, an index into the boxes of the drawing, and they come after it.
    """

    name: str
    type: str
    shown: str
    detail: str
    place: Rectangle
    parent: int | None = None
    retries: tuple[str, ...] = ()
    holds_states: bool = False
    distributed: bool = False


@record
class Lane:
    """The area of one branch of a Parallel, or of the processor of a Map: box `parent`."""

    parent: int
    place: Rectangle


@record
class Label:
    """The text of a line, centred in its place; `full` has what `lines` had no room for."""

    lines: tuple[str, ...]
    full: tuple[str, ...]
    place: Rectangle


@record
class Line:
    """A transition between two boxes, by their indexes: a polyline from `source` to `target`.

    A segment is upright, level, or leads aslant from one layer to the next; an aslant one may be
    drawn as any curve inside the rectangle that it spans. Only the first and last point touch a
    box, and labels other than its own are never crossed.
    """

    source: int
    target: int
    kind: Kind
    points: tuple[Point, ...]
    label: Label | None = None


@record
class Drawing:
    """A whole state machine, laid out."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lanes: tuple[Lane, ...]
    lines: tuple[Line, ...]
