"""The fields of a trigger's file, taken one by one; every mistake is noted with its place."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from eventmill.asl.fields import did_you_mean
from eventmill.model import Json
from eventmill.query.jsonpath import Path, PathSyntaxError, compile_path

SECONDS_MAX: Final = 86_400.0

Note: TypeAlias = Callable[[str, str], None]
"""Takes note of a mistake: a JSON Pointer, and what is wrong there."""


class Fields:
    """One object of the file: its fields are taken one by one, and the others are refused.

    What is missing or of the wrong type is noted and replaced by something harmless, so that one
    pass finds every mistake.
    """

    def __init__(self, value: Json, pointer: str, note: Note) -> None:
        self._values: dict[str, Json] = value if isinstance(value, dict) else {}
        self._pointer = pointer
        self._note = note
        self._known: set[str] = set()
        # When nothing is there, its fields are not missed one by one.
        self._hollow = not isinstance(value, dict)
        if self._hollow:
            note(pointer, f"must be an object, not {_kind(value)}")

    def note(self, message: str, *place: str | int) -> None:
        """Take note of a mistake in the field at `place`, or in the object itself."""
        self._note(self._at(*place), message)

    def names(self) -> list[str]:
        """The names of all fields."""
        return list(self._values)

    def has(self, name: str) -> bool:
        """Whether there is such a field; it is known from now on."""
        self._known.add(name)
        return name in self._values

    def take(self, name: str) -> Json:
        """The value of a field, None when it is missing."""
        self._known.add(name)
        return self._values.get(name)

    def object(self, name: str, *, required: bool = True) -> "Fields":
        """The fields of the object in a field; none when there is no such object."""
        if self.has(name):
            return Fields(self.take(name), self._at(name), self._note)
        if required:
            self.miss(name)
        nothing = Fields({}, self._at(name), self._note)
        nothing._hollow = True
        return nothing

    def text(self, name: str, *, required: bool = False) -> str:
        """The text in a field, "" without one."""
        if not self.has(name):
            if required:
                self.miss(name)
            return ""
        value = self.take(name)
        if not isinstance(value, str):
            self.note(f"must be a string, not {_kind(value)}", name)
            return ""
        if not value and required:
            self.note("must not be empty", name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts in an array."""
        value = self.take(name) if self.has(name) else []
        if not isinstance(value, list):
            self.note(f"must be an array of strings, not {_kind(value)}", name)
            return ()
        for index, each in enumerate(value):
            if not isinstance(each, str):
                self.note(f"must be a string, not {_kind(each)}", name, index)
        texts = tuple(each for each in value if isinstance(each, str))
        return texts if len(texts) == len(value) else ()

    def flag(self, name: str, *, default: bool) -> bool:
        """A truth value."""
        value = self.take(name) if self.has(name) else default
        if not isinstance(value, bool):
            self.note(f"must be true or false, not {_kind(value)}", name)
            return default
        return value

    def seconds(self, name: str, *, default: float, least: float) -> float:
        """A number of seconds from `least` to a day."""
        value = self.take(name) if self.has(name) else default
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.note(f"must be a number of seconds, not {_kind(value)}", name)
            return default
        if not least <= value <= SECONDS_MAX:
            self.note(f"must lie between {least:g} and {SECONDS_MAX:g} seconds, not {value}", name)
        return float(value)

    def whole(self, name: str, *, default: int, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        value = self.take(name) if self.has(name) else default
        if type(value) is not int or not least <= value <= most:
            self.note(f"must be a whole number, {least:,} to {most:,}", name)
            return default
        return value

    def path(self, name: str) -> Path | None:
        """A compiled JSONPath into the event."""
        if not self.has(name):
            return None
        value = self.take(name)
        if not isinstance(value, str):
            self.note(f"must be a JSONPath, not {_kind(value)}", name)
            return None
        try:
            path = compile_path(value)
        except PathSyntaxError as error:
            self.note(f"{value!r} is no JSONPath: {error}", name)
            return None
        if path.root != "$":
            self.note(f"{value!r} does not begin with $, the event", name)
        return path

    def miss(self, name: str, why: str = "") -> None:
        """Take note that a field is missing, unless all of them are."""
        if not self._hollow:
            self.note("is missing" + why, name)

    def refuse_others(self) -> None:
        """Note every field that nobody has asked for."""
        for name in self._values:
            if name not in self._known:
                self.note(f"there is no such field{hint(name, self._known)}", name)

    def _at(self, *place: str | int) -> str:
        keys = (str(key).replace("~", "~0").replace("/", "~1") for key in place)
        return "".join((self._pointer, *(f"/{key}" for key in keys)))


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "an array"
    return "an object" if isinstance(value, dict) else "a number"


def hint(name: str, known: Iterable[str]) -> str:
    """What the author may have meant by `name`, to be put behind a message; else nothing."""
    meant = did_you_mean(name, known)
    return f"; {meant}" if meant else ""
