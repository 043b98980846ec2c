"""Variables: where a definition assigns and reads them, and whether the two fit together.

Works on the raw document, so that it speaks even of states that have mistakes or do not run here.
"""

import re
from collections.abc import Iterator
from typing import Final

from eventmill.asl.fields import members, texts
from eventmill.asl.grammar import JSONATA, OF_ERROR, OF_RESULT
from eventmill.asl.report import Place, Report
from eventmill.asl.scopes import Scope, scopes_of, ways_of
from eventmill.model import Json
from eventmill.query.jsonata import compile_query, is_query
from eventmill.record import record

NAME_LENGTH_MAX: Final = 80
RESERVED_NAME: Final = "states"

# Fields of a state in which nothing is evaluated, or that hold states of another scope.
_NOT_EVALUATED: Final = frozenset(
    {"Branches", "Comment", "ItemProcessor", "Iterator", "Result", "ResultPath"}
)
# Fields of JSONPath in which a key ending in `.$` has an expression, at any depth.
_TEMPLATES: Final = frozenset(
    {"Assign", "BatchInput", "Credentials", "ItemSelector", "Parameters", "ResultSelector"}
)

_QUOTED: Final = re.compile(r"'(?:\\.|[^'\\])*'")
_VARIABLE: Final = re.compile(r"(?<![\w$.])\$([^\W\d]\w*)")


@record
class _Name:
    """The name of a variable where it stands."""

    text: str
    place: Place


@record
class _Variables:
    """What the states of a scope assign, whether they are ever reached or not."""

    names: frozenset[str]
    outer: "_Variables | None"
    sees_outer: bool

    def is_outer(self, name: str) -> bool:
        """Whether a scope around this one assigns the variable."""
        outer = self.outer
        return outer is not None and (name in outer.names or outer.is_outer(name))

    def is_readable(self, name: str) -> bool:
        """Whether a state of this scope may read the variable."""
        if name in self.names:
            return True
        return self.sees_outer and self.outer is not None and self.outer.is_readable(name)


def variable_references(document: dict[str, Json]) -> dict[str, list[str]]:
    """The variables each state reads, sorted; states that read none are left out.

    This is `variableReferences` of DescribeStateMachine. `document` is the definition as JSON.

    >>> variable_references({"States": {"A": {"Type": "Pass", "InputPath": "$b"}}})
    {'A': ['b']}
    """
    references: dict[str, list[str]] = {}
    for scope in scopes_of(document):
        for name, state, place in scope.objects():
            read = {each.text for each in _read(state, place, _language(document, state))}
            if read:
                references[name] = sorted(read)
    return references


def check_variables(document: dict[str, Json], report: Report) -> None:
    """Report names that cannot be assigned, and warn of variables that nothing assigns.

    An inner scope reads the variables of the scopes around it and must not assign them.
    """
    known: dict[str, _Variables] = {}
    for scope in scopes_of(document):
        assigned = list(_assigned(scope, document))
        outer = None if scope.outer is None else known[scope.outer.place.pointer]
        names = frozenset(each.text for each in assigned)
        variables = _Variables(names=names, outer=outer, sees_outer=not scope.distributed)
        known[scope.place.pointer] = variables
        for each in assigned:
            _check_assigned(each, variables, report)
        _check_read(scope, document, variables, report)


def _check_assigned(name: _Name, variables: _Variables, report: Report) -> None:
    if (mistake := _mistake_in(name.text)) is not None:
        report.schema(name.place, f"Variable name '{name.text}' {mistake}")
    elif variables.is_outer(name.text):
        message = f"The variable name '{name.text}' was already defined in a parent scope."
        report.error("DUPLICATE_VARIABLE_NAME", name.place, message)


def _check_read(
    scope: Scope, document: dict[str, Json], variables: _Variables, report: Report
) -> None:
    for _, state, place in scope.objects():
        for name in _read(state, place, _language(document, state)):
            if not variables.is_readable(name.text):
                message = f"Variable '{name.text}' is possibly not defined."
                report.warning("POSSIBLY_UNDEFINED_VARIABLE", name.place, message)


def _mistake_in(name: str) -> str | None:
    """What is wrong with the name of a variable (specification, "Using variables")."""
    if name == RESERVED_NAME:
        return "is reserved"
    if len(name) > NAME_LENGTH_MAX:
        return f"exceeds the {NAME_LENGTH_MAX}-character limit"
    if not name.isidentifier() or name.startswith("_"):
        return "is not valid: it must be a Unicode identifier (letters and digits, a letter first)"
    return None


def _language(document: dict[str, Json], state: dict[str, Json]) -> Json:
    return state.get("QueryLanguage", document.get("QueryLanguage"))


def _assigned(scope: Scope, document: dict[str, Json]) -> Iterator[_Name]:
    for _, state, place in scope.objects():
        suffix = "" if _language(document, state) == JSONATA else ".$"
        for way, at in ways_of(state, place):
            assign = way.get("Assign")
            for key in assign if isinstance(assign, dict) else ():
                yield _Name(text=key.removesuffix(suffix), place=at.field("Assign").field(key))


def _read(state: dict[str, Json], place: Place, language: Json) -> Iterator[_Name]:
    """Every variable that an expression of the state reads, in the order of the text."""
    for field, value in state.items():
        if field in _NOT_EVALUATED:
            continue
        if language == JSONATA:
            yield from _read_by_queries(value, place.field(field))
        else:
            yield from _read_by_paths(field, value, place.field(field))


def _read_by_queries(value: Json, place: Place) -> Iterator[_Name]:
    for text, at in texts(value, place):
        if is_query(text):
            for name in _variables_of(text):
                yield _Name(text=name, place=at)


def _variables_of(query: str) -> tuple[str, ...]:
    compiled = compile_query(query, "", OF_RESULT | OF_ERROR, lambda code, message: None)
    return () if compiled is None else compiled.variables


def _read_by_paths(key: str, value: Json, place: Place) -> Iterator[_Name]:
    if key in _TEMPLATES:
        for pointer, name, each in members(value):
            if name.endswith(".$") and isinstance(each, str):
                yield from _read_by_path(each, place.inside(pointer))
    elif isinstance(value, str):
        if key.endswith("Path") or key == "Variable":
            yield from _read_by_path(value, place)
    elif isinstance(value, dict):
        for inner, each in value.items():
            yield from _read_by_paths(inner, each, place.field(inner))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _read_by_paths("", each, place.item(index))


def _read_by_path(text: str, place: Place) -> Iterator[_Name]:
    """The variables in a path or intrinsic, each once; what stands in quotes is a text."""
    for name in dict.fromkeys(_VARIABLE.findall(_QUOTED.sub("", text))):
        yield _Name(text=name, place=place)
