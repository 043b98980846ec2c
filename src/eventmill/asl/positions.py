"""Lines and columns: where the value of a JSON Pointer stands in a definition's text."""

import json
import re
from typing import Final

from eventmill.model import pointer_steps

_TOKEN: Final = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)


def position_of(text: str, pointer: str) -> tuple[int, int]:
    """The line and column, both counted from 1, at which the value of `pointer` starts.

    When there is no such value, or the text breaks off before it, the nearest value around it
    is meant. Columns count characters. Of repeated keys the last one counts.

    >>> position_of('{"StartAt":\\n  "A"}', "/StartAt")
    (2, 3)
    """
    offset = _offset_of(text, pointer_steps(pointer))
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _offset_of(text: str, wanted: list[str]) -> int:
    path: list[str] = []
    arrays: list[bool] = []
    best, best_length = 0, -1
    key: str | None = None
    at = 0
    while (token := _TOKEN.match(text, at)) is not None:
        at = token.end()
        mark = token[1]
        if mark in "}]":
            if not arrays:
                break
            arrays.pop()
            path.pop()
        elif mark == ",":
            if arrays and arrays[-1]:
                path[-1] = str(int(path[-1]) + 1)
        elif mark == ":":
            if key is None or not path or arrays[-1]:
                break
            path[-1] = key
        elif mark[0] == '"' and _is_key(text, at):
            key = _string(mark)
        else:
            if len(path) >= best_length and path == wanted[: len(path)]:
                best, best_length = token.start(1), len(path)
            if mark in "{[":
                arrays.append(mark == "[")
                path.append("0")
    return best


def _is_key(text: str, at: int) -> bool:
    after = _TOKEN.match(text, at)
    return after is not None and after[1] == ":"


def _string(token: str) -> str:
    try:
        value = json.loads(token, strict=False)
    except ValueError:
        return token
    return value if isinstance(value, str) else token
