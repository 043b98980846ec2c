"""The mistakes in one definition, each at its place, in the order in which AWS lists them.

Knows how places and diagnostics are written, not which rules there are.
"""

from dataclasses import replace
from typing import Final

from eventmill.errors import Diagnostic
from eventmill.model import Json, pointer_steps

SCHEMA_VALIDATION_FAILED: Final = "SCHEMA_VALIDATION_FAILED"
UNSUPPORTED_FEATURE: Final = "UNSUPPORTED_FEATURE"


class Place:
    """A place in a definition: its JSON Pointer (RFC 6901) and AWS's way to write it."""

    __slots__ = ("location", "pointer")

    def __init__(self, pointer: str = "", location: str = "") -> None:
        self.pointer = pointer
        self.location = location

    def field(self, name: str) -> "Place":
        """The place of a member of the object here.

        >>> Place().field("States").field("a/b").pointer
        '/States/a~1b'
        """
        escaped = name.replace("~", "~0").replace("/", "~1")
        return Place(f"{self.pointer}/{escaped}", f"{self.location}/{name}")

    def item(self, index: int) -> "Place":
        """The place of an element of the array here.

        >>> Place().field("Choices").item(0).location
        '/Choices[0]'
        """
        return Place(f"{self.pointer}/{index}", f"{self.location}[{index}]")

    def inside(self, pointer: str) -> "Place":
        """A place inside the payload template here, for which AWS names the template only."""
        return Place(self.pointer + pointer, self.location)

    def within(self, value: Json, pointer: str) -> "Place":
        """A place inside the JSON `value` that stands here, written out as AWS does for JSONata.

        >>> Place().field("Output").within({"a": [1]}, "/a/0").location
        '/Output/a[0]'
        """
        place = self
        for step in pointer_steps(pointer):
            if isinstance(value, list):
                place, value = place.item(int(step)), value[int(step)]
            else:
                place, value = place.field(step), value[step] if isinstance(value, dict) else None
        return place


class Report:
    """Collects diagnostics: errors as they come, then what cannot run here yet, then warnings."""

    def __init__(self) -> None:
        self._errors: list[Diagnostic] = []
        self._unsupported: list[Diagnostic] = []
        self._warnings: list[Diagnostic] = []

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """All that keeps the definition from running."""
        return (*self._errors, *self._unsupported)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What looks like a mistake and runs all the same."""
        return tuple(self._warnings)

    def error(self, code: str, place: Place | None, message: str, hint: str | None = None) -> None:
        """Add an error; `place` None stands for the whole text, where AWS gives no location."""
        self._errors.append(_diagnostic(code, place, message, hint=hint))

    def syntax_error(self, message: str, location: str | None, hint: str) -> None:
        """Add the error of a text that is no JSON; `location` is Jackson's, as AWS prints it."""
        found = _diagnostic("INVALID_JSON_DESCRIPTION", None, message, hint=hint)
        self._errors.append(replace(found, location=location))

    def schema(self, place: Place, message: str, hint: str | None = None) -> None:
        """Add an error of AWS's most common kind."""
        self.error(SCHEMA_VALIDATION_FAILED, place, message, hint)

    def unsupported(self, place: Place, message: str) -> None:
        """Add something that AWS runs and Eventmill does not yet."""
        self._unsupported.append(_diagnostic(UNSUPPORTED_FEATURE, place, message))

    def warning(self, code: str, place: Place, message: str) -> None:
        """Add a warning."""
        self._warnings.append(_diagnostic(code, place, message, severity="WARNING"))


def _diagnostic(
    code: str,
    place: Place | None,
    message: str,
    *,
    severity: str = "ERROR",
    hint: str | None = None,
) -> Diagnostic:
    return Diagnostic(
        code=code,
        message=message,
        pointer=place.pointer if place else "",
        location=(place.location or "/") if place else None,
        severity=severity,
        hint=hint,
    )
