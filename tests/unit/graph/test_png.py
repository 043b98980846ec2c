"""PNG: painted from the SVG, in its own size, with text in it."""

import struct

import pytest

from eventmill.graph import png
from eventmill.graph.layout import layout
from eventmill.graph.outline import outline
from eventmill.graph.png import NoFont, TooLarge, render_png
from eventmill.graph.svg import render_svg
from tests.unit.graph.machines import row

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def size(picture: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def test_it_has_the_size_of_the_drawing_times_the_scale() -> None:
    drawing = layout(outline(row(2)))
    svg = render_svg(drawing, "t", theme="light")

    plain, larger = render_png(svg, scale=1), render_png(svg, scale=3)

    assert plain.startswith(SIGNATURE)
    assert size(plain) == pytest.approx((drawing.width, drawing.height), abs=1)
    assert size(larger) == pytest.approx((3 * drawing.width, 3 * drawing.height), abs=2)


def test_the_text_is_painted() -> None:
    svg = render_svg(layout(outline(row(1))), "t", theme="light")

    assert render_png(svg) != render_png(svg.replace(">s0</text>", "></text>"))


def test_a_machine_without_fonts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "FONTS", ("No Such Font", "Nor This"))

    with pytest.raises(NoFont, match="no font is installed; a PNG needs one of No Such Font, Nor"):
        render_png(render_svg(layout(outline(row(1))), "t", theme="light"))


def test_a_picture_that_is_too_large_is_refused() -> None:
    svg = render_svg(layout(outline(row(900))), "t", theme="light")

    with pytest.raises(TooLarge, match="pixels are too many"):
        render_png(svg, scale=8)
