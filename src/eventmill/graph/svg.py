"""A drawing as SVG: self-contained, readable by screen readers, coloured by classes.

Each state is a group with its name in `data-state`, each transition one with `data-from` and
`data-to`. A web page changes a state's colour by the class of its group, `is-` and a status.
"""

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from eventmill.graph.coverage import Coverage, StateCoverage, Status
from eventmill.graph.drawing import Box, Drawing, Label, Lane, Line, Rectangle
from eventmill.graph.layout import DETAIL_SIZE, HEADER, LABEL_LINE, LABEL_SIZE
from eventmill.graph.lettering import text_width
from eventmill.graph.outline import END, START
from eventmill.graph.palette import Theme, style_sheet
from eventmill.graph.paths import ICONS, RETRY_MARK, arrow_head, hexagon, line_path, number

_MARGIN: Final = 20.0
_LEGEND_LINE: Final = 24.0
_SWATCH: Final = 14.0
_BADGE: Final = 16.0

_LEGEND: Final[tuple[tuple[Status, str], ...]] = (
    ("succeeded", "succeeded"),
    ("retried", "succeeded after a retry"),
    ("running", "running"),
    ("caught", "failed and caught"),
    ("failed", "failed"),
    ("aborted", "cut off"),
    ("unreached", "not reached"),
)


def render_svg(
    drawing: Drawing, title: str, *, coverage: Coverage | None = None, theme: Theme = "auto"
) -> str:
    """The drawing as an SVG document; `coverage` colours what an execution ran, with a legend."""
    legend = _legend_rows(drawing, coverage) if coverage is not None else []
    width = max([drawing.width, *(_legend_width(row) for row in legend)])
    height = drawing.height + (_LEGEND_LINE * len(legend) + _MARGIN / 2 if legend else 0)
    size = f'width="{number(width)}" height="{number(height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="em-graph em-text" role="img" {size} '
        f'viewBox="0 0 {number(width)} {number(height)}" aria-label={_attribute(title)}>',
        f"<title>{_text(title)}</title>",
        f"<desc>{_text(_description(drawing))}</desc>",
        f"<style>\n{style_sheet(theme)}\n</style>",
        f'<rect class="em-paper" {size}/>',
        *_contents(drawing, coverage, (width - drawing.width) / 2),
        *_legend(legend, drawing.height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _contents(drawing: Drawing, coverage: Coverage | None, shift: float) -> Iterator[str]:
    if shift:
        yield f'<g transform="translate({number(shift)} 0)">'
    lanes: dict[int, list[Lane]] = {}
    for lane in drawing.lanes:
        lanes.setdefault(lane.parent, []).append(lane)
    # What holds others comes before them, so it is painted below.
    for index, box in enumerate(drawing.boxes):
        yield _box(box, coverage)
        for lane in lanes.get(index, ()):
            yield f'<rect class="em-lane" {_placed(lane.place)} rx="8"/>'
    # A line that was taken is painted over those that were not.
    lines = sorted(drawing.lines, key=lambda line: _is_taken(line, drawing, coverage))
    for line in lines:
        yield _line(line, drawing, coverage)
    if shift:
        yield "</g>"


def _description(drawing: Drawing) -> str:
    states = [box for box in drawing.boxes if box.type not in (START, END)]
    first = next((line for line in drawing.lines if line.kind == "Start"), None)
    begin = f", beginning with {drawing.boxes[first.target].name}" if first else ""
    ways = [
        f"{drawing.boxes[line.source].name} to {drawing.boxes[line.target].name}"
        + (f" ({'; '.join(line.label.full)})" if line.label else "")
        for line in drawing.lines
        if line.kind not in ("Start", "End")
    ]
    count = f"{len(states)} {'state' if len(states) == 1 else 'states'}"
    return f"A state machine of {count}{begin}. {'. '.join(ways)}{'.' if ways else ''}"


# States


def _box(box: Box, coverage: Coverage | None) -> str:
    if box.type in (START, END):
        return _terminal(box)
    runs = coverage.of(box.name) if coverage is not None else None
    classes = ["em-state", f"em-{_word(box.type)}"]
    classes += ["em-holder"] if box.holds_states else []
    classes += [f"is-{runs.status}"] if runs is not None else []
    parts = [
        f'<g class="{" ".join(classes)}" data-state={_attribute(box.name)} '
        f"data-type={_attribute(box.type)}>",
        f"<title>{_text(_tooltip(box, runs))}</title>",
        *_shape(box),
        *_face(box),
        *(_badge(box, runs) if runs is not None else ()),
        "</g>",
    ]
    return "".join(parts)


def _terminal(box: Box) -> str:
    x, y = box.place.centre_x, box.place.y + box.place.height / 2
    centre = f'cx="{number(x)}" cy="{number(y)}"'
    outer, inner = box.place.width / 2, box.place.width / 2 - 5
    shapes = (
        f'<circle class="em-dot" {centre} r="{number(outer - 3)}"/>'
        if box.type == START
        else f'<circle class="em-ring" {centre} r="{number(outer - 1)}"/>'
        f'<circle class="em-dot" {centre} r="{number(inner - 1)}"/>'
    )
    what = "The execution starts" if box.type == START else "The execution ends"
    return f'<g class="em-{_word(box.type)}"><title>{what}</title>{shapes}</g>'


def _tooltip(box: Box, runs: StateCoverage | None) -> str:
    lines = [box.name, box.detail or box.type]
    lines += [f"Retries {each}" for each in box.retries]
    if runs is not None:
        lines.append(_told(runs))
    return "\n".join(lines)


def _told(runs: StateCoverage) -> str:
    if not runs.entered:
        return "not reached"
    pairs = [
        (runs.running, "running"), (runs.succeeded, "succeeded"), (runs.caught, "caught"),
        (runs.failed, "failed"), (runs.aborted, "cut off"), (runs.retries, "retries"),
    ]  # fmt: skip
    said = ", ".join(f"{count:,} {word}" for count, word in pairs if count)
    return f"entered {runs.entered:,} times: {said}"


def _shape(box: Box) -> Iterator[str]:
    place = box.place
    if box.type == "Map":  # a sheet behind it: it runs many times
        behind = Rectangle(x=place.x + 4, y=place.y + 4, width=place.width, height=place.height)
        yield f'<rect class="em-shape" {_placed(behind)} rx="8"/>'
    if box.type == "Choice":
        path = hexagon(place.x, place.y, place.width, place.height)
        yield f'<path class="em-shape" d="{path}"/>'
    else:
        radius = place.height / 2 if box.type in ("Succeed", "Fail") else 8
        yield f'<rect class="em-shape" {_placed(place)} rx="{number(radius)}"/>'
    if box.type == "Fail":  # the double border of an end
        inner = Rectangle(
            x=place.x + 3, y=place.y + 3, width=place.width - 6, height=place.height - 6
        )
        yield f'<rect class="em-shape" {_placed(inner)} rx="{number(radius - 3)}"/>'


def _face(box: Box) -> Iterator[str]:
    """The icon, the name, the detail, and the mark of retries."""
    x, y = box.place.x, box.place.y
    if box.type in ICONS:
        move = f"translate({number(x + 16)} {number(y + HEADER / 2 - 8)})"
        yield f'<path class="em-icon" transform="{move}" d="{ICONS[box.type]}"/>'
    left = number(x + 42)
    yield f'<text class="em-name" x="{left}" y="{number(y + 20)}">{_text(box.shown)}</text>'
    yield f'<text class="em-detail" x="{left}" y="{number(y + 36)}">{_text(box.detail)}</text>'
    if box.retries:
        move = f"translate({number(box.place.right - 24)} {number(y + HEADER / 2 - 6)})"
        yield f'<path class="em-mark" transform="{move}" d="{RETRY_MARK}"/>'


def _badge(box: Box, runs: StateCoverage) -> Iterator[str]:
    """How often it was entered, and tried again, at the upper right corner."""
    said = [f"{runs.entered:,}×"] if runs.entered > 1 else []
    said += [f"{runs.retries:,} {'retry' if runs.retries == 1 else 'retries'}"] * bool(runs.retries)
    if not said:
        return
    text = " · ".join(said)
    width = text_width(text, 10) + 12
    corner = 20 if box.type == "Choice" else 8
    x, y = box.place.right - width - corner, box.place.y - _BADGE / 2
    yield (
        f'<rect class="em-badge" x="{number(x)}" y="{number(y)}" width="{number(width)}" '
        f'height="{number(_BADGE)}" rx="{number(_BADGE / 2)}"/>'
        f'<text class="em-count" text-anchor="middle" x="{number(x + width / 2)}" '
        f'y="{number(y + 11.5)}">{text}</text>'
    )


# Transitions


def _is_taken(line: Line, drawing: Drawing, coverage: Coverage | None) -> bool:
    source, target = drawing.boxes[line.source], drawing.boxes[line.target]
    key = source.name or None, target.name or None, line.kind == "Catch"
    return coverage is not None and key in coverage.taken


def _line(line: Line, drawing: Drawing, coverage: Coverage | None) -> str:
    source, target = drawing.boxes[line.source], drawing.boxes[line.target]
    classes = ["em-transition", f"em-{line.kind.lower()}"]
    if coverage is not None:
        classes.append("is-taken" if _is_taken(line, drawing, coverage) else "is-untaken")
    names = f"data-from={_attribute(source.name)} data-to={_attribute(target.name)}"
    parts = [
        f'<g class="{" ".join(classes)}" {names}>',
        # From its end: so the dashes of lines that have joined lie on each other.
        f'<path class="em-line" d="{line_path(line.points[::-1])}"/>',
        f'<path class="em-head" d="{arrow_head(line.points)}"/>',
        *(_label(line.label) if line.label is not None else ()),
        "</g>",
    ]
    return "".join(parts)


def _label(label: Label) -> Iterator[str]:
    yield f'<title>{_text(chr(10).join(label.full))}</title><rect class="em-chip" '
    yield f'{_placed(label.place)} rx="5"/>'
    y = label.place.y + LABEL_LINE / 2 + LABEL_SIZE / 2
    for line in label.lines:
        yield (
            f'<text class="em-label" text-anchor="middle" x="{number(label.place.centre_x)}" '
            f'y="{number(y)}">{_text(line)}</text>'
        )
        y += LABEL_LINE


# The legend

_Row = list[tuple[Status, str]]


def _legend_rows(drawing: Drawing, coverage: Coverage | None) -> list[_Row]:
    """The statuses that there are, in as many rows as the width of the drawing needs."""
    if coverage is None:
        return []
    present = {
        coverage.of(box.name).status for box in drawing.boxes if box.type not in (START, END)
    }
    rows: list[_Row] = [[]]
    for status, text in _LEGEND:
        if status not in present:
            continue
        if rows[-1] and _legend_width([*rows[-1], (status, text)]) > drawing.width:
            rows.append([])
        rows[-1].append((status, text))
    return rows


def _legend_width(row: _Row) -> float:
    return 2 * _MARGIN + sum(_entry_width(text) for _, text in row)


def _entry_width(text: str) -> float:
    return _SWATCH + 8 + text_width(text, DETAIL_SIZE) + 16


def _legend(rows: list[_Row], y: float) -> Iterator[str]:
    if not rows:
        return
    yield '<g class="em-legend">'
    for row in rows:
        x = _MARGIN
        for status, text in row:
            place = Rectangle(x=x, y=y, width=_SWATCH, height=_SWATCH)
            label_x, label_y = number(x + _SWATCH + 6), number(y + 11)
            yield (
                f'<g class="is-{status}"><rect class="em-shape" {_placed(place)} rx="4"/>'
                f'<text class="em-detail" x="{label_x}" y="{label_y}">{text}</text></g>'
            )
            x += _entry_width(text)
        y += _LEGEND_LINE
    yield "</g>"


# Writing


def _placed(place: Rectangle) -> str:
    return (
        f'x="{number(place.x)}" y="{number(place.y)}" '
        f'width="{number(place.width)}" height="{number(place.height)}"'
    )


def _word(type: str) -> str:
    """A class name of a type, whatever a definition with mistakes calls it."""
    return "".join(each for each in type.lower() if each.isascii() and each.isalnum()) or "unknown"


def _text(text: str) -> str:
    return escape(_holdable(text))


def _attribute(text: str) -> str:
    return quoteattr(_holdable(text))


def _holdable(text: str) -> str:
    """`text` without the characters that XML 1.0 cannot hold, each replaced by U+FFFD."""
    return "".join(each if _is_holdable(ord(each)) else "\ufffd" for each in text)


def _is_holdable(code: int) -> bool:
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or code >= 0x10000
    )
