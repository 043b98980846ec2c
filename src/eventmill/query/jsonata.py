"""JSONata as Step Functions has it; no other module knows the library that evaluates it.

Expressions are compiled when a definition is read. An evaluation is deterministic: its time, its
random numbers and its limits come from outside. Source: "Transforming data with JSONata" of the
developer guide; the texts of causes are the service's.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import jlens

from eventmill.model import AuthorError, Json, Payload
from eventmill.query.environment import Environment
from eventmill.query.jsonata_dialect import NAMES, REPLACED, DialectError, functions

_ERROR: Final = "States.QueryEvaluationError"

# What a hostile expression may cost. Steps are counted, not timed, so every replay ends alike.
_STEPS_MAX: Final = 5_000_000
_DEPTH_MAX: Final = 100
_STRING_BYTES_MAX: Final = 8_388_607
_ARRAY_ITEMS_MAX: Final = 873_782

_MEMORY: Final = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
_STACK: Final = (
    "Stack overflow error: Check for non-terminating recursive function. "
    "Consider rewriting as tail-recursive. Depth=101 max=100"
)
# The service tells these errors without a code.
_WITHOUT_CODE: Final = {"U1001": _MEMORY, "U1006": _MEMORY, "D1012": _MEMORY, "D1011": _STACK}

_MEMBERS: Final = frozenset({"input", "result", "errorOutput", "context"})
_ROOT: Final = re.compile(r"(?<![\w$])\$\$?(?![\w$])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|/\*.*?\*/', re.DOTALL)

Note: TypeAlias = Callable[[str, str], None]
TemplateNote: TypeAlias = Callable[[str, str, str], None]
_Build: TypeAlias = Callable[[Environment], Json]


class QueryError(AuthorError):
    """An expression failed, or returned nothing; `location` is its field."""

    def __init__(self, cause: str, location: str) -> None:
        super().__init__(_ERROR, cause, location=location)


class Query:
    """A compiled expression of a field, such as `Output/total` or `Choices[0]/Condition`."""

    __slots__ = ("_expression", "_kind", "_members", "_used", "field", "text", "variables")

    def __init__(self, text: str, field: str, reads: Any) -> None:
        """Compile `text`, which is known to be JSONata; `reads` is what it reads."""
        bindings = reads["bindings"]
        self.text = text
        self.field = field
        self.variables = tuple(sorted(name for name in bindings if name not in (*NAMES, "states")))
        # What replaces a function of JSONata's own does not show among the bindings.
        replaced = (name for name in REPLACED if f"${name}" in text)
        self._used = frozenset((*NAMES.intersection(bindings), *replaced))
        members = bindings.get("states", {})
        self._members = _MEMBERS if members is True else frozenset(members)
        # Bindings are converted whole at every call, the input only as far as it is read.
        names = "".join(f"${name} := $.v.{name}; " for name in self.variables)
        self._expression = jlens.Expression(f"($states := $.states; {names}{text}\n)")
        self._kind = jlens.Expression(f"$type(($states := $.states; {names}{text}\n))")

    def evaluate(self, environment: Environment) -> Json:
        """The value of the expression.

        Raises:
            QueryError: It fails, returns nothing, or returns what is no JSON.
        """
        data = {"states": self._states(environment), "v": self._seen(environment)}
        value: Json = self._run(self._expression, data, environment)
        if value is not None:
            return value
        kind = self._run(self._kind, data, environment)
        if kind == "null":
            return None
        if kind is None:
            raise self._fails("returned nothing (undefined).")
        raise self._fails("returned an unsupported result type.")

    def _run(self, expression: jlens.Expression, data: Any, environment: Environment) -> Any:
        try:
            return expression.evaluate(
                data,
                functions(self._used, environment) if self._used else None,
                max_steps=_STEPS_MAX,
                max_depth=_DEPTH_MAX,
                max_string_length=_STRING_BYTES_MAX,
                max_array_length=_ARRAY_ITEMS_MAX,
                now=environment.now_ms,
                seed=0,
            )
        except (jlens.JlensError, DialectError) as error:
            told = _WITHOUT_CODE.get(error.code)
            reason = f": {told}" if told else f". {error.code}: {error}"
            raise self._fails(f"threw an error during evaluation{reason}") from None

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

    def _fails(self, how: str) -> QueryError:
        cause = f"The JSONata expression '{self.text}' specified for the field '{self.field}' {how}"
        return QueryError(cause, self.field)


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
    mistakes = list(_unsupported(inner, reads, allowed))
    for mistake in mistakes:
        note("UNSUPPORTED_JSONATA_EXPRESSION", mistake)
    return None if mistakes else Query(inner, field, reads)


def _unsupported(text: str, reads: Any, allowed: frozenset[str]) -> list[str]:
    """What JSONata has and Step Functions does not: a document to read from."""
    found = []
    document = reads.get("input")
    if isinstance(document, dict):
        found += [f"Reference to '{name}' at the top level is not supported." for name in document]
    elif document is not None:
        # A call of an unknown function counts as reading all there is; it fails at run time.
        roots = _ROOT.findall(_QUOTED.sub("", text))
        found += [f"Reference to '{root}' is not supported." for root in dict.fromkeys(roots)]
    members = reads["bindings"].get("states", {})
    if members is not True:
        wrong = [name for name in members if name not in allowed]
        found += [f"Field '$states.{name}' does not exist." for name in wrong]
    return found


def compile_query_template(
    value: Json, field: str, allowed: frozenset[str], note: TemplateNote
) -> QueryTemplate:
    """Compile a template; mistakes are reported as `note(pointer, code, message)`.

    The pointers are JSON Pointers relative to `value`.
    """
    queries: list[Query] = []
    build = _compile(value, field, "", allowed, note, queries)
    return QueryTemplate(build, queries, value)


def _compile(
    value: Json,
    field: str,
    pointer: str,
    allowed: frozenset[str],
    note: TemplateNote,
    queries: list[Query],
) -> _Build:
    if isinstance(value, str) and is_query(value):
        query = compile_query(value, field, allowed, lambda *mistake: note(pointer, *mistake))
        if query is None:
            return lambda environment: None
        queries.append(query)
        return query.evaluate
    if isinstance(value, dict):
        members = {
            name: _compile(
                each, f"{field}/{name}", f"{pointer}/{_escaped(name)}", allowed, note, queries
            )
            for name, each in value.items()
        }
        return lambda environment: {name: build(environment) for name, build in members.items()}
    if isinstance(value, list):
        items = [
            _compile(each, f"{field}[{index}]", f"{pointer}/{index}", allowed, note, queries)
            for index, each in enumerate(value)
        ]
        return lambda environment: [build(environment) for build in items]
    return lambda environment: value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
