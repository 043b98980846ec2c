"""How wide text is, near enough to leave room for it, and what fits into a width.

There is no font to ask: the widths are those of the widest common sans-serif fonts, so text in
other fonts never needs more room.
"""

import unicodedata
from typing import Final

_NARROW: Final = frozenset("fijlrtI.,:;'!|()[]{}/\\ -`\"")
_WIDE: Final = frozenset("mwMW@%—…")
_EM_NARROW: Final = 0.40
_EM_LOWER: Final = 0.62
_EM_UPPER: Final = 0.74
_EM_WIDE: Final = 1.0

ELLIPSIS: Final = "…"


def text_width(text: str, size: float) -> float:
    """The width of one line of text in pixels, rather too wide; `size` is that of the font."""
    return size * sum(_em(character) for character in text)


def _em(character: str) -> float:
    if character in _NARROW:
        return _EM_NARROW
    if character in _WIDE:
        return _EM_WIDE
    if character.isascii():
        return _EM_UPPER if character.isupper() or character in "=<>+~#&_$?^*" else _EM_LOWER
    if unicodedata.combining(character):
        return 0.0
    return _EM_WIDE if unicodedata.east_asian_width(character) in "FWA" else _EM_UPPER


def fitted(text: str, size: float, width: float) -> str:
    """`text` on one line, cut with an ellipsis where it is wider than `width` pixels.

    >>> fitted("a rather long name", 13, 80)
    'a rather …'
    """
    text = " ".join(_printable(text).split())
    room = width / size
    used = 0.0
    cut = 0  # how much of it leaves room for the ellipsis
    for index, character in enumerate(text):
        used += _em(character)
        if used <= room - _EM_WIDE:
            cut = index + 1
        if used > room:
            return text[:cut] + ELLIPSIS
    return text


def _printable(text: str) -> str:
    # Characters that XML 1.0 cannot hold or that reorder their surroundings show as spaces.
    return "".join(each if each.isprintable() else " " for each in text)
