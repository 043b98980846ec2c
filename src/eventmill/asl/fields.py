"""The fields of one object in a definition, each read with the checks that AWS makes.

A method that finds a mistake reports it and returns None, as for a field that is absent. The
fields know the query language they are written in.
"""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import Final, Literal, TypeVar

from eventmill.asl.grammar import JSONATA, JSONATA_ONLY, JSONPATH, JSONPATH_ONLY, OF_INPUT
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
    ReferencePath,
    compile_path,
    compile_reference_path,
)
from eventmill.query.template import Template, compile_expression, compile_template

_T = TypeVar("_T")
_Name = TypeVar("_Name", bound=str)

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

    def note(self, message: str, name: str | None = None, *, hint: str | None = None) -> None:
        """Report a mistake in the field `name`, or in the object as a whole."""
        self.report.schema(self.place if name is None else self.place.field(name), message, hint)

    # Which fields there are.

    def require(self, *names: str) -> None:
        """Report the names that are missing, together."""
        missing = [name for name in names if name not in self.values]
        if missing:
            self.note(f"These fields are required: [{', '.join(missing)}]")

    def allow(self, allowed: Collection[str]) -> None:
        """Report each field that is not `allowed`, with the name that may have been meant."""
        for name in self.values:
            if name not in allowed:
                self.note(f"Field '{name}' is not supported", hint=did_you_mean(name, allowed))

    def at_most_one(self, names: Collection[str]) -> None:
        """Report fields that exclude each other."""
        if sum(name in self.values for name in names) > 1:
            self.note(f"There should only be one of the following fields: [{', '.join(names)}]")

    def exactly_one(self, names: Collection[str]) -> None:
        """Report that none, or more than one, of `names` is there."""
        if not any(name in self.values for name in names):
            listed = ", ".join(names)
            self.note(f"This object should have only one of the following fields: [{listed}]")
        self.at_most_one(names)

    def check_language(self) -> None:
        """Report the fields that belong to the other query language."""
        own, other = self.language, JSONATA if self.language == JSONPATH else JSONPATH
        only_there = JSONATA_ONLY if other == JSONATA else JSONPATH_ONLY
        for name in self.values:
            if name in only_there:
                self.note(
                    f"The QueryLanguage is set to '{own}', but field '{name}' is only supported"
                    f" for the '{other}' QueryLanguage"
                )

    # Plain values.

    def text(self, name: str) -> str | None:
        """A string."""
        return self._typed(name, str, "String")

    def boolean(self, name: str) -> bool | None:
        """True or false."""
        return self._typed(name, bool, "Boolean")

    def integer(self, name: str, minimum: float, maximum: float = math.inf) -> int | None:
        """A whole number within bounds; 3.0 is one."""
        number = self.number(name, minimum, maximum, "Integer")
        return None if number is None else int(number)

    def number(
        self,
        name: str,
        minimum: float = -math.inf,
        maximum: float = math.inf,
        kind: Literal["Double", "Integer"] = "Double",
    ) -> float | None:
        """A number within bounds."""
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._typed(name, float, kind)
        elif kind == "Integer" and value != int(value):
            self.note("Expected value of type Integer", name)
        elif value < minimum:
            self.note(f"Minimum value is {minimum}", name)
        elif value > maximum:
            self.note(f"Maximum value is {maximum}", name)
        else:
            return value
        return None

    def one_of(self, name: str, *allowed: _Name) -> _Name | None:
        """One of a few strings."""
        text = self._typed(name, str, "[STRING]")
        if text is not None and text not in allowed:
            message = f"Value should be one of the following: [{', '.join(allowed)}]"
            self.note(message, name, hint=did_you_mean(text, allowed))
        return next((each for each in allowed if each == text), None)

    def language_of(self, default: Language) -> Language:
        """The QueryLanguage that is given here, else `default`."""
        return self.one_of("QueryLanguage", JSONPATH, JSONATA) or default

    def timestamp(self, name: str) -> int | None:
        """An RFC 3339 timestamp, as milliseconds since the epoch."""
        return self._compiled(name, parse_instant, "String does not match RFC3339 timestamp")

    # Objects and arrays.

    def object(self, name: str) -> "Fields | None":
        """An object."""
        values = self._typed(name, dict, "Object")
        return None if values is None else self._within(values, self.place.field(name))

    def object_or_empty(self, name: str) -> "Fields":
        """An object; one without fields when it is absent."""
        return self.object(name) or self._within({}, self.place.field(name))

    def objects(self, name: str, *, filled: bool = False) -> Iterator["Fields"]:
        """The objects of an array, in order; `filled` arrays need one at least."""
        place = self.place.field(name)
        for index, value in enumerate(self.array(name, filled=filled)):
            each = object_at(value, place.item(index), self.report)
            if each is not None:
                yield self._within(each.values, each.place)

    def array(self, name: str, *, filled: bool = False) -> list[Json]:
        """An array; empty when it is absent."""
        value: list[Json] | None = self._typed(name, list, "Array")
        if filled and value == []:
            self.note("Value cannot be empty", name)
        return value or []

    # Paths, expressions and templates.

    def path(self, name: str) -> Path | None:
        """A path; null is None as well."""
        return None if self.values.get(name) is None else self._compiled(name, compile_path)

    def single_path(self, name: str, *, context: bool = True) -> Path | None:
        """A path to one place; into the Context Object (`$$`) only where `context` says so."""
        path = self._compiled(name, compile_path)
        if path is not None and not (path.is_reference and (context or path.root != "$$")):
            self.note(NOT_A_REFERENCE, name)
            return None
        return path

    def operand_path(self, name: str) -> Path | None:
        """The Variable of a Choice rule, or what it is compared with."""
        is_path = str(self.values.get(name)).startswith("$")
        reason = "" if is_path else ": Reference path didn't start with '$'"
        return self._compiled(name, compile_path, f"{NOT_A_REFERENCE}{reason}")

    def result_path(self, name: str) -> ReferencePath | None:
        """A Reference Path to write to; absent it is `$`, and null stays None."""
        if name not in self.values:
            return whole_result()
        if self.values[name] is None:
            return None
        is_path = str(self.values[name]).startswith("$")
        message = NOT_A_REFERENCE if is_path else NOT_A_PATH
        return self._compiled(name, compile_reference_path, message)

    def expression(self, name: str) -> Template | None:
        """A path or an intrinsic function, as `ErrorPath` takes it."""
        return self._compiled(name, compile_expression)

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
            self._warn_static("NO_PATH", self.place.field(name), kind, name, f"{name}Path")

    def _check_delimiters(self, value: Json, place: Place) -> None:
        """Report strings with one of the two delimiters of an expression only."""
        for text, at in texts(value, place):
            if text.startswith("{%") != text.endswith("%}"):
                message = "An expression must start with '{%' and end with '%}'"
                self.report.error("INVALID_JSONATA_EXPRESSION", at, message)

    def _way_to(self, place: Place) -> str:
        return place.location.removeprefix(f"{self.state.location}/")

    def _compiled(
        self, name: str, compile_text: Callable[[str], _T], message: str = NOT_A_PATH
    ) -> _T | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return compile_text(text)
        except ValueError as error:
            self.note(message, name, hint=str(error))
            return None

    def _look_over(self, template: Json, place: Place) -> None:
        for pointer, key, value in members(template):
            kind = None if key.endswith(".$") else _looks_like(value)
            if kind is not None:
                self._warn_static("NO_DOLLAR", place.inside(pointer), kind, key, f"{key}.$")

    def _warn_static(self, code: str, place: Place, kind: str, name: str, better: str) -> None:
        message = (
            f"The value of '{name}' looks like a {kind}. Instead of '{name}', use '{better}' to"
            f" evaluate it as a {kind} at runtime."
        )
        self.report.warning(code, place, message)

    def _within(self, values: dict[str, Json], place: Place) -> "Fields":
        """An object inside this one."""
        return Fields(values, place, self.report, self.language, self.state)

    def _typed(self, name: str, kind: type[_T], expected: str) -> _T | None:
        value = self.values.get(name)
        if isinstance(value, kind):
            return value
        if name in self.values:
            self.note(f"Expected value of type {expected}", name)
        return None


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
