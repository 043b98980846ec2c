"""JSONata as Step Functions has it; no other module knows the library that evaluates it.

Expressions are compiled when a definition is read. An evaluation is deterministic: its time, its
random numbers and its limits come from outside. Source: "Transforming data with JSONata" of the
developer guide; the texts of causes are the service's.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, TypeAlias

import jlens

from eventmill.errors import AuthorError
from eventmill.model import ABSENT, Json, Payload
from eventmill.query.environment import Draw, Environment
from eventmill.query.intrinsic_functions import random_uuid
from eventmill.query.jsonata_dialect import (
    DRAWING,
    MEMORY,
    NAMES,
    DialectError,
    InternalError,
    bindings,
    signed,
)
from eventmill.query.jsonata_infinity import OUT_OF_RANGE, beyond, text_of
from eventmill.query.jsonata_reference import LONG_END, compile_reference, whole
from eventmill.query.jsonata_tokens import tokens, with_ascii_white_space

_ERROR: Final = "States.QueryEvaluationError"

# What a hostile expression may cost. Steps are counted, not timed, so every replay ends alike.
_STEPS_MAX: Final = 5_000_000
_STRING_BYTES_MAX: Final = 8_388_607
_ARRAY_ITEMS_MAX: Final = 873_782
# The service's limit is 100; the block in which we put an expression is one level more.
_DEPTH_MAX: Final = 101

_STACK: Final = (
    "Stack overflow error: Check for non-terminating recursive function. "
    "Consider rewriting as tail-recursive. Depth=101 max=100"
)
# The service tells these errors without a code.
_WITHOUT_CODE: Final = {
    **dict.fromkeys(("D1012", "D2014", "D2015", "D2016", "U1001", "U1006"), MEMORY),
    "D1011": _STACK,
}

_MEMBERS: Final = frozenset({"input", "result", "errorOutput", "context"})

# Operators that came after the JSONata of the service, and the symbol that it stumbles over.
_LATER_OPERATORS: Final = {"??": "?", "?:": ":"}

Note: TypeAlias = Callable[[str, str], None]
TemplateNote: TypeAlias = Callable[[str, str, str], None]
_Build: TypeAlias = Callable[[Environment], Json]


class QueryError(AuthorError):
    """An expression failed, or returned nothing; `location` is its field."""

    def __init__(self, cause: str, location: str) -> None:
        super().__init__(_ERROR, cause, location=location)


class _OutOfRange(QueryError):
    """A number somewhere in the expression is larger than a double can hold."""


class Query:
    """A compiled expression of a field, such as `Output/total` or `Choices[0]/Condition`."""

    __slots__ = (
        "_draws",
        "_expression",
        "_follow",
        "_kind",
        "_members",
        "_perhaps_hidden",
        "_shuffles",
        "_used",
        "field",
        "text",
        "variables",
    )

    def __init__(self, text: str, field: str, reads: Any, named: frozenset[str]) -> None:
        """Compile `text`, which is known to be JSONata.

        `reads` is what it reads, `named` every name after a dollar sign.
        """
        free = reads["bindings"]
        self.text = text
        self.field = field
        self.variables = tuple(sorted(name for name in free if name not in (*NAMES, "states")))
        self._used = NAMES & named
        self._shuffles = "shuffle" in named
        self._draws = not DRAWING.isdisjoint(named)
        # A variable hides the function of its name.
        self._perhaps_hidden = named.difference(self.variables, ("states",))
        members = free.get("states", {})
        self._members = _MEMBERS if members is True else frozenset(members)
        self._follow = compile_reference(text)
        # Bindings are converted whole at every call, the input only as far as it is read.
        self._expression = self._compile(self._block(text))
        self._kind = self._compile(f"$type({self._block(text)})")

    def _block(self, text: str) -> str:
        """An expression, preceded by what its names stand for."""
        names = "".join(f"${name} := $.v.{name}; " for name in self.variables)
        return f"($states := $.states; {names}{text}\n)"

    def _compile(self, text: str) -> jlens.Expression:
        expression = jlens.Expression(with_ascii_white_space(text))
        for name, function, signature in signed(self._used):
            expression.register_function(name, function, signature)
        return expression

    def evaluate(self, environment: Environment) -> Json:
        """The value of the expression.

        A number that JSON cannot hold is told as a string, such as `"NaN"`.

        Raises:
            QueryError: It fails, returns nothing, or returns what is no JSON.
        """
        if self._follow is not None:
            followed = self._follow(environment)
            if followed is not ABSENT:
                return followed  # type: ignore[return-value] # JSON, for it is part of JSON
        draw = _Repeatable(environment.draw) if self._draws else environment.draw
        data = {"states": self._states(environment), "v": self._seen(environment)}
        try:
            value: Json = self._run(self._expression, data, environment, draw)
        except _OutOfRange:
            told = self._beyond(data, environment, draw)
            if told is None:
                raise
            return told
        if value is not None:
            return whole(float(value)) if type(value) is int and abs(value) >= LONG_END else value
        _rewind(draw)
        match self._run(self._kind, data, environment, draw):
            case "null":
                return None
            # What is no number has no type of its own in JSONata, and no object comes as None.
            case "object":
                return "NaN"
            case None:
                raise self._fails("returned nothing (undefined).")
        raise self._fails("returned an unsupported result type.")

    def _beyond(self, data: Any, environment: Environment, draw: Draw) -> str | bool | None:
        """What the expression comes to although a number in it is out of range."""
        _rewind(draw)

        def run(part: str) -> object:
            try:
                return self._run(self._compile(self._block(part)), data, environment, draw)
            except _OutOfRange:
                return OUT_OF_RANGE

        value = beyond(self.text, run)
        return value if value is None or isinstance(value, bool) else text_of(value)

    def _run(
        self, expression: jlens.Expression, data: Any, environment: Environment, draw: Draw
    ) -> Any:
        try:
            return expression.evaluate(
                data,
                self._bindings(environment, draw),
                max_steps=_STEPS_MAX,
                max_depth=_DEPTH_MAX,
                max_string_length=_STRING_BYTES_MAX,
                max_array_length=_ARRAY_ITEMS_MAX,
                now=environment.now_ms,
                seed=draw(1 << 63) if self._shuffles else 0,
            )
        except InternalError:
            # The service tells nothing but the id under which it has logged the error.
            id = random_uuid(environment.draw)
            raise self._fails(f"threw an internal error during evaluation. {id}") from None
        except (jlens.JlensError, DialectError) as error:
            told = _WITHOUT_CODE.get(error.code or "", error if error.code is None else None)
            reason = f". {error.code}: {error}" if told is None else f": {told}"
            raise self._fails(f"threw an error during evaluation{reason}", error.code) from None

    def _bindings(self, environment: Environment, draw: Draw) -> dict[str, Any] | None:
        given = bindings(self._used, draw) if self._used else {}
        if environment.variables:
            hidden = self._perhaps_hidden.intersection(environment.variables)
            given.update((name, environment.variables[name]) for name in hidden)
        return given or None

    def _states(self, environment: Environment) -> dict[str, Json]:
        states: dict[str, Json] = {}
        if "input" in self._members:
            states["input"] = environment.data.value
        if "context" in self._members:
            states["context"] = environment.context.value
        if "result" in self._members and environment.result is not None:
            states["result"] = environment.result.value
        if "errorOutput" in self._members and environment.error_output is not None:
            states["errorOutput"] = environment.error_output.value
        return states

    def _seen(self, environment: Environment) -> dict[str, Json]:
        known = environment.variables
        return {name: known[name] for name in self.variables if name in known}

    def _fails(self, how: str, code: str | None = None) -> QueryError:
        cause = f"The JSONata expression '{self.text}' specified for the field '{self.field}' {how}"
        return (_OutOfRange if code == "D1001" else QueryError)(cause, self.field)


class _Repeatable:
    """Random numbers that can be drawn a second time, the same ones."""

    __slots__ = ("_draw", "_drawn", "_position")

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._drawn: list[int] = []
        self._position = 0

    def __call__(self, below: int) -> int:
        if self._position == len(self._drawn):
            self._drawn.append(self._draw(below))
        self._position += 1
        return self._drawn[self._position - 1]

    def rewind(self) -> None:
        """Begin again with the first number."""
        self._position = 0


def _rewind(draw: Draw) -> None:
    if isinstance(draw, _Repeatable):
        draw.rewind()


class QueryTemplate:
    """Any JSON with expressions in it. Without expressions it is one constant payload."""

    __slots__ = ("_build", "_constant", "variables")

    def __init__(self, build: _Build, queries: list[Query], value: Json) -> None:
        self._build = build
        self._constant = None if queries else Payload.of(value)
        names = dict.fromkeys(name for query in queries for name in query.variables)
        self.variables = tuple(names)

    def render(self, environment: Environment) -> Payload:
        """Fill the template in.

        Raises:
            QueryError: An expression fails or returns nothing.
        """
        return self._constant or Payload.of(self._build(environment))


def is_query(text: str) -> bool:
    """Whether a string of a JSONata state is an expression: from `{%` to `%}`, exactly."""
    return len(text) >= 4 and text.startswith("{%") and text.endswith("%}")


def compile_query(text: str, field: str, allowed: frozenset[str], note: Note) -> Query | None:
    """Compile `{% … %}`; `allowed` are the members that `$states` has in this place.

    Each mistake is reported as `note(code, message)`, and then there is no query.
    """
    inner = text[2:-2].strip()
    try:
        reads = jlens.Expression(inner).reads()
    except jlens.JlensError as error:
        note("INVALID_JSONATA_EXPRESSION", str(error))
        return None
    except UnicodeEncodeError:
        note("INVALID_JSONATA_EXPRESSION", "The expression holds half of a surrogate pair")
        return None
    found = list(tokens(inner))
    if later := next((_LATER_OPERATORS[each] for each in found if each in _LATER_OPERATORS), None):
        note(
            "INVALID_JSONATA_EXPRESSION", f'The symbol "{later}" cannot be used as a unary operator'
        )
        return None
    named = frozenset(each[1:] for each in found if each[0] == "$" and each.strip("$"))
    mistakes = _unsupported(found, _read(inner, reads, named), allowed)
    for mistake in mistakes:
        note("UNSUPPORTED_JSONATA_EXPRESSION", mistake)
    return None if mistakes else Query(inner, field, reads, named)


def _read(text: str, reads: Any, named: frozenset[str]) -> Any:
    """What an expression reads when its unknown functions read nothing but their arguments."""
    if reads.get("input") is not True:
        return reads
    unknown = dict.fromkeys(named & reads["bindings"].keys() - {"states"}, _no_function)
    return jlens.Expression(text).reads(unknown)


def _no_function(*arguments: Json) -> Json:
    raise AssertionError("it only stands for a function, and is never called")


def _unsupported(found: list[str], reads: Any, allowed: frozenset[str]) -> list[str]:
    """What JSONata has and Step Functions does not: a document to read from."""
    mistakes = []
    document = reads.get("input")
    whole = [root for root in ("$", "$$") if root in found]
    if document is not None and "$$" in whole:
        mistakes.append("Reference to '$$' is not supported.")
    elif isinstance(document, dict):
        names = sorted(document, key=lambda name: _first(name, found))
        mistakes += [_reference(name, found) for name in names]
    elif document is not None and whole:
        mistakes.append("Reference to '$' is not supported.")
    members = reads["bindings"].get("states", {})
    if members is not True:
        wrong = [name for name in members if name not in allowed]
        mistakes += [f"Field '$states.{name}' does not exist." for name in wrong]
    return list(dict.fromkeys(mistakes))


def _first(name: str, found: list[str]) -> int:
    """Where a name stands first; the last place when it is nowhere as it is."""
    places = (place for place, each in enumerate(found) if each.strip("`") == name)
    return next(places, len(found))


def _reference(name: str, found: list[str]) -> str:
    """A field of the document that is read by its name alone, or as `$.name`."""
    alone = any(
        each.strip("`") == name and before != "." for before, each in pairwise(["", *found])
    )
    if not alone and ("$", ".") in pairwise(found):
        return "Reference to '$' is not supported."
    return f"Reference to '{name}' at the top level is not supported."


def compile_query_template(
    value: Json, field: str, allowed: frozenset[str], note: TemplateNote
) -> QueryTemplate:
    """Compile a template; mistakes are reported as `note(pointer, code, message)`.

    The pointers are JSON Pointers relative to `value`.
    """
    queries: list[Query] = []

    def compiled(value: Json, field: str, pointer: str) -> _Build:
        if isinstance(value, str) and is_query(value):
            query = compile_query(value, field, allowed, lambda *mistake: note(pointer, *mistake))
            if query is None:
                return lambda environment: None
            queries.append(query)
            return query.evaluate
        if isinstance(value, dict):
            members = {
                name: compiled(each, f"{field}/{name}", f"{pointer}/{_escaped(name)}")
                for name, each in value.items()
            }
            return lambda environment: {name: build(environment) for name, build in members.items()}
        if isinstance(value, list):
            items = [
                compiled(each, f"{field}[{index}]", f"{pointer}/{index}")
                for index, each in enumerate(value)
            ]
            return lambda environment: [build(environment) for build in items]
        return lambda environment: value

    return QueryTemplate(compiled(value, field, ""), queries, value)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
