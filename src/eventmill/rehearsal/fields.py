"""The fields of the objects in a test file, each read with a note about what is wrong with it."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from eventmill.asl.fields import did_you_mean
from eventmill.instant import parse_instant
from eventmill.model import Json

Note: TypeAlias = Callable[[str, str], None]
"""Takes a mistake: the JSON Pointer (RFC 6901) of its place, and what is wrong there."""

_SECONDS_MAX: Final = 31_536_000_000

_TYPES: Final = {
    dict: "an object",
    list: "an array",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def pointer_to(pointer: str, *steps: str | int) -> str:
    """The pointer to what lies `steps` below `pointer`.

    >>> pointer_to("/Tests", 0, "a/b")
    '/Tests/0/a~1b'
    """
    escaped = (str(each).replace("~", "~0").replace("/", "~1") for each in steps)
    return "/".join((pointer, *escaped))


def type_of(value: Json) -> str:
    """What kind of JSON a value is, in words."""
    return _TYPES.get(type(value), "a number")


class Fields:
    """The members of one JSON object; a field is known once it was asked for.

    A method that finds a mistake notes it and returns what an absent field gives.
    """

    def __init__(self, value: Json, pointer: str, note: Note) -> None:
        self.pointer = pointer
        self.note_at = note
        self._known: list[str] = []
        if isinstance(value, dict):
            self._values = value
        else:
            self._values = {}
            note(pointer, f"must be an object, not {type_of(value)}")

    def note(self, message: str, *steps: str | int) -> None:
        """Note a mistake at `steps` below the object."""
        self.note_at(pointer_to(self.pointer, *steps), message)

    def names(self) -> list[str]:
        """The names of all fields; for objects whose fields may have any name."""
        self._known += self._values
        return list(self._values)

    def has(self, name: str) -> bool:
        """Whether the field is there, with whatever value; null is one."""
        self._known.append(name)
        return name in self._values

    def json(self, name: str) -> Json:
        """Any JSON; null when the field is absent."""
        self._known.append(name)
        return self._values.get(name)

    def text(self, name: str, *, required: bool = False, empty: bool = False) -> str | None:
        """A text; only where `empty` says so, one without characters."""
        if not self.has(name):
            if required:
                self.note(f"{name} is missing")
            return None
        value = self._values[name]
        if isinstance(value, str) and (value or empty):
            return value
        shown = "an empty one" if value == "" else type_of(value)
        self.note(f"must be a text, not {shown}", name)
        return None

    def flag(self, name: str) -> bool:
        """True or false; false when the field is absent."""
        value = self.json(name)
        if not isinstance(value, bool) and self.has(name):
            self.note(f"must be true or false, not {type_of(value)}", name)
        return value is True

    def seconds(self, name: str) -> float | None:
        """A number of seconds, from 0 to a thousand years."""
        value = self.json(name)
        if not self.has(name):
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        seconds = float(value) if is_number else -1.0  # type: ignore[arg-type]  # it is a number
        if not 0 <= seconds <= _SECONDS_MAX:
            self.note(f"must be a number of seconds, 0 or more, at most {_SECONDS_MAX:,}", name)
            return None
        return seconds

    def instant(self, name: str) -> int | None:
        """An RFC 3339 timestamp, as milliseconds since the epoch."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse_instant(text)
        except ValueError as error:
            self.note(f"{text!r} is no RFC 3339 timestamp: {error}", name)
            return None

    def members(self, name: str) -> Iterator[tuple[str, Json]]:
        """The members of an object, in the order of the file."""
        value = self.json(name)
        if isinstance(value, dict):
            yield from value.items()
        elif self.has(name):
            self.note(f"must be an object, not {type_of(value)}", name)

    def items(self, name: str) -> Iterator[tuple[int, Json]]:
        """The elements of an array, with their indices."""
        value = self.json(name)
        if isinstance(value, list):
            yield from enumerate(value)
        elif self.has(name):
            self.note(f"must be an array, not {type_of(value)}", name)

    def refuse_others(self) -> None:
        """Note every field that nobody has asked for."""
        for name in self._values:
            if name not in self._known:
                hint = did_you_mean(name, self._known)
                known = hint or f"there are: {', '.join(dict.fromkeys(self._known))}"
                self.note(f"there is no field {name!r} here; {known}", name)
