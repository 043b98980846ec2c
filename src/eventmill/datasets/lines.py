"""Lines of text and of JSON, from pieces that end anywhere."""

import codecs
from collections.abc import AsyncIterator

from eventmill.datasets.content import ITEM_BYTES_MAX
from eventmill.model import Json, decode_json

_BYTE_ORDER_MARK = codecs.BOM_UTF8


async def text_lines(content: AsyncIterator[bytes]) -> AsyncIterator[list[str]]:
    """The lines of a text in UTF-8, without their ends (`\\n`, `\\r\\n`, `\\r`), in batches.

    Raises:
        ValueError: The text is not UTF-8, or a line is longer than an item may be.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    async for piece in content:
        text = rest + _decoded(decoder, piece)
        # What follows a `\r` at the end of a piece tells whether it is half of a line's end.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _one_end(text.removesuffix(held)).split("\n")
        rest += held
        if len(rest) > ITEM_BYTES_MAX:
            raise ValueError(f"a line is longer than {ITEM_BYTES_MAX} bytes")
        if lines:
            yield lines
    *lines, rest = _one_end(rest + _decoded(decoder, b"", final=True)).split("\n")
    if rest:
        lines.append(rest)
    if lines:
        yield lines


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> str:
    try:
        return decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        raise ValueError(f"the text is not UTF-8: {error.reason}") from error


def _one_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


async def json_lines(content: AsyncIterator[bytes]) -> AsyncIterator[list[Json]]:
    """The value of each line of JSON Lines, in batches; blank lines are passed over.

    Raises:
        ValueError: A line is not JSON, or longer than an item may be.
    """
    number, rest = 0, b""
    async for piece in content:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > ITEM_BYTES_MAX:
            raise ValueError(
                f"line {number + len(lines) + 1} is longer than {ITEM_BYTES_MAX} bytes"
            )
        yield _values(lines, number)
        number += len(lines)
    yield _values([rest], number)


def _values(lines: list[bytes], before: int) -> list[Json]:
    values: list[Json] = []
    for number, line in enumerate(lines, start=before + 1):
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line or line.isspace():
            continue
        try:
            values.append(decode_json(line))
        except ValueError as error:
            raise ValueError(f"line {number} is not JSON: {error}") from None
    return values
