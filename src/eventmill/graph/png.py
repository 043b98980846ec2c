"""A drawing as PNG, painted from its SVG with the fonts of this machine."""

import re
from typing import Final

import resvg_py

from eventmill.graph.palette import FONTS

_PIXELS_MAX: Final = 200_000_000

_SIZE: Final = re.compile(r'<svg [^>]*width="(?P<width>[\d.]+)" height="(?P<height>[\d.]+)"')

_PROBE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">'
    "<text x='2' y='20' font-size='20' font-family=\"{fonts}\">{text}</text></svg>"
)


class NoFont(Exception):
    """No font of this machine can write the text of a drawing."""


class TooLarge(Exception):
    """The picture would have more pixels than can be painted."""


def render_png(svg: str, *, scale: float = 2.0) -> bytes:
    """Paint what `render_svg` wrote in a fixed theme; `scale` is in pixels for one of the drawing.

    Raises:
        NoFont: The machine has none of the fonts that a drawing asks for, nor another one.
        TooLarge: At this scale the picture would have over 200 million pixels.
    """
    size = _SIZE.match(svg)
    assert size is not None, "the drawing begins with its size"
    width, height = float(size["width"]) * scale, float(size["height"]) * scale
    if width * height > _PIXELS_MAX:
        raise TooLarge(f"{width:,.0f} by {height:,.0f} pixels are too many for a PNG")
    fallback = _font()
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=scale, sans_serif_family=fallback))


def _font() -> str:
    """A font of this machine, for text whose own fonts are not here.

    Raises:
        NoFont: There is none.
    """
    blank = _probe("", FONTS[0])
    for font in FONTS:
        if _probe("M", font) != blank:
            return font
    raise NoFont(f"no font is installed; a PNG needs one of {', '.join(FONTS)}")


def _probe(text: str, font: str) -> bytes:
    svg = _PROBE.format(fonts=f"'{font}'", text=text)
    return bytes(resvg_py.svg_to_bytes(svg_string=svg))
