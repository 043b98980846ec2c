"""The fields of one object in a definition, each read with the checks that AWS makes.

A method that finds a mistake reports it and returns None, as for a field that is absent. The
fields know the query language they are written in.
"""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Final, TypeVar

from eventmill.asl.grammar import (
    JSONATA,
    JSONATA_ONLY,
    JSONPATH,
    JSONPATH_ONLY,
    OF_INPUT,
)
from eventmill.asl.report import Place, Report
from eventmill.asl.syntax import AnyTemplate, Language
from eventmill.instant import parse_instant
from eventmill.model import Json
from eventmill.query.jsonata import (
    Query,
    QueryTemplate,
    compile_query,
    compile_query_template,
    is_query,
)
from eventmill.query.jsonpath import (
    Path,
    PathSyntaxError,
    ReferencePath,
    compile_path,
    compile_reference_path,
)
from eventmill.query.template import Template, compile_expression, compile_template

_T = TypeVar("_T")

NOT_A_PATH: Final = "Value must be a valid JSONPath."
NOT_A_REFERENCE: Final = "Value is not a Reference Path"

_LOOKS_LIKE_PATH: Final = re.compile(r"\$\$?(?:[.\[].*)?", re.DOTALL)
_LOOKS_LIKE_INTRINSIC: Final = re.compile(r"States\.[A-Za-z0-9]+\(.*\)", re.DOTALL)


class Fields:
    """The members of one JSON object of the definition.

    `state` is the place of the state that the object belongs to: expressions of JSONata are
    named by their way from there, such as `Choices[0]/Condition`.
    """

    __slots__ = ("language", "place", "report", "state", "values")

    def __init__(
        self,
        values: dict[str, Json],
        place: Place,
        report: Report,
        language: Language = JSONPATH,
        state: Place | None = None,
    ) -> None:
        self.values = values
        self.place = place
        self.report = report
        self.language = language
        self.state = place if state is None else state

    def __contains__(self, name: str) -> bool:
        return name in self.values

    # Which fields there are.

    def require(self, *names: str) -> None:
        """Report the names that are missing, together."""
        missing = [name for name in names if name not in self.values]
        if missing:
            self.report.schema(self.place, f"These fields are required: [{', '.join(missing)}]")

    def allow(self, allowed: Collection[str]) -> None:
        """Report each field that is not `allowed`, with the name that may have been meant."""
        for name in self.values:
            if name not in allowed:
                self.report.schema(
                    self.place, f"Field '{name}' is not supported", did_you_mean(name, allowed)
                )

    def at_most_one(self, names: Collection[str]) -> None:
        """Report fields that exclude each other."""
        if sum(name in self.values for name in names) > 1:
            self.report.schema(
                self.place,
                f"There should only be one of the following fields: [{', '.join(names)}]",
            )

    def exactly_one(self, names: Collection[str]) -> None:
        """Report that none, or more than one, of `names` is there."""
        if not any(name in self.values for name in names):
            self.report.schema(
                self.place,
                f"This object should have only one of the following fields: [{', '.join(names)}]",
            )
        self.at_most_one(names)

    def check_language(self) -> None:
        """Report the fields that belong to the other query language."""
        other, only_there = (
            (JSONATA, JSONATA_ONLY) if self.language == JSONPATH else (JSONPATH, JSONPATH_ONLY)
        )
        for name in self.values:
            if name in only_there:
                self.report.schema(
                    self.place,
                    f"The QueryLanguage is set to '{self.language}', but field '{name}' is only"
                    f" supported for the '{other}' QueryLanguage",
                )

    # Plain values.

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.values.get(name, "")
        if isinstance(value, str):
            return value if name in self.values else None
        self._mistyped(name, "String")
        return None

    def boolean(self, name: str) -> bool | None:
        """True or false."""
        value = self.values.get(name)
        if isinstance(value, bool):
            return value
        if name in self.values:
            self._mistyped(name, "Boolean")
        return None

    def integer(self, name: str, minimum: int, maximum: int | None = None) -> int | None:
        """A whole number within bounds; 3.0 is one."""
        value = self.values.get(name)
        if name not in self.values:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self._mistyped(name, "Integer")
            return None
        return value if self._in_bounds(name, value, minimum, maximum) else None

    def number(
        self, name: str, minimum: float = -math.inf, maximum: float = math.inf
    ) -> int | float | None:
        """A number within bounds."""
        value = self.values.get(name)
        if name not in self.values:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._mistyped(name, "Double")
            return None
        return value if self._in_bounds(name, value, minimum, maximum) else None

    def one_of(self, name: str, *allowed: str) -> str | None:
        """One of a few strings."""
        if name not in self.values:
            return None
        value = self.values[name]
        place = self.place.field(name)
        if not isinstance(value, str):
            self.report.schema(place, "Expected value of type [STRING]")
        elif value in allowed:
            return value
        else:
            self.report.schema(
                place,
                f"Value should be one of the following: [{', '.join(allowed)}]",
                did_you_mean(value, allowed),
            )
        return None

    def language_of(self, default: Language) -> Language:
        """The QueryLanguage that is given here, else `default`."""
        name = self.one_of("QueryLanguage", JSONPATH, JSONATA)
        return JSONATA if name == JSONATA else JSONPATH if name == JSONPATH else default

    def timestamp(self, name: str) -> int | None:
        """An RFC 3339 timestamp, as milliseconds since the epoch."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse_instant(text)
        except ValueError as error:
            self.report.schema(
                self.place.field(name), "String does not match RFC3339 timestamp", str(error)
            )
            return None

    # Objects and arrays.

    def object(self, name: str) -> "Fields | None":
        """An object."""
        if name not in self.values:
            return None
        return self._object(self.values[name], self.place.field(name))

    def object_or_empty(self, name: str) -> "Fields":
        """An object; one without fields when it is absent."""
        place = self.place.field(name)
        return self.object(name) or Fields({}, place, self.report, self.language, self.state)

    def objects(self, name: str, *, filled: bool = False) -> Iterator["Fields"]:
        """The objects of an array, in order; `filled` arrays need one at least."""
        place = self.place.field(name)
        for index, value in enumerate(self.array(name, filled=filled)):
            each = self._object(value, place.item(index))
            if each is not None:
                yield each

    def array(self, name: str, *, filled: bool = False) -> list[Json]:
        """An array; empty when it is absent."""
        value = self.values.get(name, [])
        if not isinstance(value, list):
            self._mistyped(name, "Array")
            return []
        if filled and not value and name in self.values:
            self.report.schema(self.place.field(name), "Value cannot be empty")
        return value

    # Paths, expressions and templates.

    def path(self, name: str) -> Path | None:
        """A path; null is None as well."""
        if self.values.get(name) is None:
            return None
        return self._compiled(name, self.text(name), compile_path, NOT_A_PATH)

    def single_path(self, name: str, *, context: bool = True) -> Path | None:
        """A path to one place; into the Context Object (`$$`) only where `context` says so."""
        path = self._compiled(name, self.text(name), compile_path, NOT_A_PATH)
        if path is not None and not (path.is_reference and (context or path.root != "$$")):
            self.report.schema(self.place.field(name), NOT_A_REFERENCE)
            return None
        return path

    def operand_path(self, name: str) -> Path | None:
        """The Variable of a Choice rule, or what it is compared with."""
        text = self.text(name)
        message = NOT_A_REFERENCE
        if text is not None and not text.startswith("$"):
            message = f"{NOT_A_REFERENCE}: Reference path didn't start with '$'"
        return self._compiled(name, text, compile_path, message)

    def result_path(self, name: str) -> ReferencePath | None:
        """A Reference Path to write to; absent it is `$`, and null stays None."""
        if name not in self.values:
            return whole_result()
        if self.values[name] is None:
            return None
        text = self.text(name)
        message = NOT_A_REFERENCE if text and text.startswith("$") else NOT_A_PATH
        return self._compiled(name, text, compile_reference_path, message)

    def expression(self, name: str) -> Template | None:
        """A path or an intrinsic function, as `ErrorPath` takes it."""
        return self._compiled(name, self.text(name), compile_expression, NOT_A_PATH)

    def template(self, name: str, members: frozenset[str] = OF_INPUT) -> AnyTemplate | None:
        """A template in the query language of the fields.

        `members` are those of `$states` that JSONata may read in it.
        """
        if self.language == JSONATA:
            return self.query_template(name, members)
        return self.payload_template(name)

    def assign(self, members: frozenset[str]) -> AnyTemplate | None:
        """What the variables are set to: an object, in either language."""
        return None if self.object("Assign") is None else self.template("Assign", members)

    def output(self, members: frozenset[str]) -> QueryTemplate | None:
        """The Output of JSONata; JSONPath has none, and `check_language` has said so."""
        return self.query_template("Output", members) if self.language == JSONATA else None

    def query_template(self, name: str, members: frozenset[str] = OF_INPUT) -> QueryTemplate | None:
        """Any JSON, null included, with expressions of JSONata in it."""
        if name not in self.values:
            return None
        value, place = self.values[name], self.place.field(name)
        self._check_delimiters(value, place)

        def note(pointer: str, code: str, message: str) -> None:
            self.report.error(code, place.within(value, pointer), message)

        return compile_query_template(value, self._way_to(place), members, note)

    def has_query(self, name: str) -> bool:
        """Whether an expression of JSONata stands where a literal could."""
        text = self.values.get(name)
        return self.language == JSONATA and isinstance(text, str) and is_query(text)

    def query(self, name: str) -> Query | None:
        """One expression of JSONata over the input; `has_query` has said that it is one."""
        text, place = self.text(name), self.place.field(name)
        if text is None:
            return None

        def note(code: str, message: str) -> None:
            self.report.error(code, place, message)

        return compile_query(text, self._way_to(place), OF_INPUT, note)

    def payload_template(self, name: str) -> Template | None:
        """A payload template of JSONPath, with warnings for what looks like a path and is none."""
        if name not in self.values:
            return None
        value, place = self.values[name], self.place.field(name)
        self._look_over(value, place)

        def note(pointer: str, message: str) -> None:
            self.report.schema(place.inside(pointer), message)

        return compile_template(value, note)

    def check_static(self, name: str) -> None:
        """Warn about text that looks like an expression and is none.

        In JSONPath an expression has a field of its own, whose name ends in `Path`.
        """
        if self.language == JSONATA:
            self._check_delimiters(self.values.get(name), self.place.field(name))
            return
        if (kind := _looks_like(self.values.get(name))) is not None:
            self.report.warning(
                "NO_PATH",
                self.place.field(name),
                f"The value of '{name}' looks like a {kind}. Instead of '{name}', use"
                f" '{name}Path' to evaluate it as a {kind} at runtime.",
            )

    def _check_delimiters(self, value: Json, place: Place) -> None:
        """Report strings with one of the two delimiters of an expression only."""
        for text, at in texts(value, place):
            if text.startswith("{%") != text.endswith("%}"):
                self.report.error(
                    "INVALID_JSONATA_EXPRESSION",
                    at,
                    "An expression must start with '{%' and end with '%}'",
                )

    def _way_to(self, place: Place) -> str:
        return place.location.removeprefix(f"{self.state.location}/")

    def _compiled(
        self, name: str, text: str | None, compile_text: Callable[[str], _T], message: str
    ) -> _T | None:
        if text is None:
            return None
        try:
            return compile_text(text)
        except PathSyntaxError as error:
            self.report.schema(self.place.field(name), message, str(error))
            return None

    def _look_over(self, template: Json, place: Place) -> None:
        for pointer, key, value in members(template):
            kind = None if key.endswith(".$") else _looks_like(value)
            if kind is not None:
                self.report.warning(
                    "NO_DOLLAR",
                    place.inside(pointer),
                    f"The value of '{key}' looks like a {kind}. Instead of '{key}', use"
                    f" '{key}.$' to evaluate it as a {kind} at runtime.",
                )

    def _object(self, value: Json, place: Place) -> "Fields | None":
        inner = object_at(value, place, self.report)
        if inner is None:
            return None
        return Fields(inner.values, place, self.report, self.language, self.state)

    def _mistyped(self, name: str, expected: str) -> None:
        self.report.schema(self.place.field(name), f"Expected value of type {expected}")

    def _in_bounds(self, name: str, value: float, minimum: float, maximum: float | None) -> bool:
        if value < minimum:
            self.report.schema(self.place.field(name), f"Minimum value is {minimum}")
        elif maximum is not None and value > maximum:
            self.report.schema(self.place.field(name), f"Maximum value is {maximum}")
        else:
            return True
        return False


def object_at(value: Json, place: Place, report: Report) -> Fields | None:
    """The fields of `value`, which must be an object."""
    if isinstance(value, dict):
        return Fields(value, place, report)
    report.schema(place, "Expected value of type Object")
    return None


def members(template: Json) -> Iterator[tuple[str, str, Json]]:
    """Every member of every object in a payload template: its pointer, key and value."""
    pending: list[tuple[Json, Place]] = [(template, Place())]
    while pending:
        value, place = pending.pop()
        if isinstance(value, dict):
            for key, each in value.items():
                yield place.field(key).pointer, key, each
                pending.append((each, place.field(key)))
        elif isinstance(value, list):
            pending += [(each, place.item(index)) for index, each in enumerate(value)]


def texts(value: Json, place: Place) -> Iterator[tuple[str, Place]]:
    """Every string in a JSON value, itself included, in the order of the text."""
    if isinstance(value, str):
        yield value, place
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, place.field(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, place.item(index))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the known name that comes closest to `name`, if any is close."""
    candidates = sorted(known)
    folded = {each.casefold(): each for each in candidates}
    same = folded.get(name.casefold())
    close = [same] if same is not None else difflib.get_close_matches(name, candidates, n=1)
    return f"did you mean {close[0]!r}?" if close else None


def _looks_like(value: Json) -> str | None:
    if not isinstance(value, str):
        return None
    if _LOOKS_LIKE_PATH.fullmatch(value):
        return "JSONPath"
    return "Intrinsic Function" if _LOOKS_LIKE_INTRINSIC.fullmatch(value) else None


@cache
def whole_result() -> ReferencePath:
    """The path `$`, which an absent ResultPath means."""
    return compile_reference_path("$")
