"""What a JSONPath consists of, once read: roots, segments, and the conditions of filters."""

import re
from typing import TypeAlias

from eventmill.model import Json
from eventmill.record import record


@record
class Member:
    """`.name`, `['name']`."""

    name: str


@record
class Members:
    """`['a','b']`."""

    names: tuple[str, ...]


@record
class Index:
    """`[2]`, `[-1]`."""

    index: int


@record
class Indexes:
    """`[0,2]`."""

    indexes: tuple[int, ...]


@record
class Slice:
    """`[1:]`, `[:2]`, `[1:2]`."""

    start: int | None
    stop: int | None


@record
class Wildcard:
    """`.*`, `[*]`."""


@record
class Descent:
    """`..`, before the segment that it applies to everywhere below."""


@record
class Filter:
    """`[?(…)]`."""

    condition: "Condition"


@record
class Call:
    """`.length()` and the other functions."""

    function: str
    arguments: "tuple[Operand, ...]"


Segment: TypeAlias = Member | Members | Index | Indexes | Slice | Wildcard | Descent | Filter | Call


@record
class ParsedPath:
    """A root (`$`, `$$`, `@` or a variable's name) and what follows it."""

    root: str
    segments: tuple[Segment, ...]


@record
class Literally:
    """A JSON value in a filter or an argument."""

    value: Json


Operand: TypeAlias = ParsedPath | Literally


@record
class Regex:
    """`/pattern/flags`, for `=~`."""

    pattern: re.Pattern[str]


@record
class Comparison:
    """`@.price < 10`."""

    left: Operand
    operator: str
    right: Operand | Regex


@record
class Exists:
    """`@.isbn`."""

    path: ParsedPath


@record
class Not:
    """`!@.isbn`."""

    condition: "Condition"


@record
class Both:
    """`&&` (`all` is true) or `||` of several conditions."""

    all: bool
    conditions: "tuple[Condition, ...]"


Condition: TypeAlias = Comparison | Exists | Not | Both
