"""When two JSON values are the same: types matter, `1` is `1.0`, and `true` is not `1`."""

from collections.abc import Iterable

from eventmill.model import Json


def same(left: Json, right: Json) -> bool:
    """Whether two JSON values are equal, at any depth; the order of keys does not matter."""
    # A list of work instead of recursion, for values may be nested deeply.
    pending: list[tuple[Json, Json]] = [(left, right)]
    while pending:
        one, other = pending.pop()
        if isinstance(one, dict):
            if not isinstance(other, dict) or one.keys() != other.keys():
                return False
            pending.extend((value, other[name]) for name, value in one.items())
        elif isinstance(one, list):
            if not isinstance(other, list) or len(one) != len(other):
                return False
            pending.extend(zip(one, other, strict=True))
        elif isinstance(one, bool) or isinstance(other, bool):
            if one is not other:
                return False
        elif isinstance(other, dict | list) or one != other:
            return False
    return True


def contains(values: Iterable[Json], wanted: Json) -> bool:
    """Whether one of the values is the same as `wanted`."""
    return any(same(value, wanted) for value in values)
