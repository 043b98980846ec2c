"""Choice rules as closures: what each operator of JSONPath compares and how, and Condition.

A path that leads nowhere fails the execution, except under IsPresent; a value of the wrong type
does not match. Both are as AWS was recorded to behave, whatever the specification leaves open.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from eventmill.asl.error_names import RUNTIME
from eventmill.asl.fields import Fields, did_you_mean
from eventmill.asl.grammar import JSONATA
from eventmill.asl.query_results import unexpected
from eventmill.asl.syntax import Condition
from eventmill.errors import AuthorError
from eventmill.instant import parse_instant
from eventmill.model import Json
from eventmill.query.environment import Environment
from eventmill.query.jsonpath import Path, PathNotFound
from eventmill.record import record

Comparable: TypeAlias = bool | int | float | str | bytes

_Read: TypeAlias = Callable[[Json], Comparable | None]
_Literal: TypeAlias = Callable[[Fields, str], object]

SELECTORS: Final = ("And", "Or", "Not", "Variable", "Condition")


@record
class _Comparison:
    """An operator with an operand: `read` gives what is compared, None for another type.

    `literal` checks an operand that stands in the rule.
    """

    read: _Read
    literal: _Literal
    holds: Callable[..., bool]


def _text(value: Json) -> Comparable | None:
    # Java orders strings by UTF-16 code units, which big-endian bytes do too.
    return value.encode("utf-16-be", "surrogatepass") if isinstance(value, str) else None


def _number(value: Json) -> Comparable | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _boolean(value: Json) -> Comparable | None:
    return value if isinstance(value, bool) else None


def _instant(value: Json) -> Comparable | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_instant(value)
    except ValueError:
        return None


_KINDS: Final[Mapping[str, tuple[_Read, _Literal]]] = {
    "Boolean": (_boolean, Fields.boolean),
    "String": (_text, Fields.text),
    "Numeric": (_number, Fields.number),
    "Timestamp": (_instant, Fields.timestamp),
}

_ORDERINGS: Final = {
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}

_COMPARISONS: Final[Mapping[str, _Comparison]] = {
    **{
        f"{kind}Equals": _Comparison(read=read, literal=literal, holds=operator.eq)
        for kind, (read, literal) in _KINDS.items()
    },
    **{
        f"{kind}{name}": _Comparison(read=read, literal=literal, holds=holds)
        for kind, (read, literal) in _KINDS.items()
        for name, holds in _ORDERINGS.items()
        if kind != "Boolean"
    },
}

_TESTS: Final[Mapping[str, Callable[[Json], bool]]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: _instant(value) is not None,
}

OPERATORS: Final = (
    *_COMPARISONS,
    *(f"{name}Path" for name in _COMPARISONS),
    "StringMatches",
    "IsPresent",
    *_TESTS,
)

RULE_FIELDS: Final = frozenset({*SELECTORS, *OPERATORS, "Comment"})


def compile_condition(rule: Fields) -> Condition | None:
    """The condition of one rule, `Next` and the like left aside; None after a mistake."""
    if rule.language == JSONATA:
        return _compile_query_condition(rule)
    if "Condition" in rule:  # belongs to JSONata, which the caller has reported
        return None
    selectors = [name for name in SELECTORS if name in rule]
    if len(selectors) != 1:
        listed = ", ".join(SELECTORS)
        rule.note(f"The object must have only one of the following fields, [{listed}]")
        return None
    match selectors[0]:
        case "Variable":
            return _compile_comparison(rule)
        case "Not":
            inner = rule.object("Not")
            negated = None if inner is None else _compile_nested(inner)
            return None if negated is None else lambda environment: not negated(environment)
        case connective:
            return _compile_connective(rule, connective)


def _compile_query_condition(rule: Fields) -> Condition | None:
    """The Condition of JSONata: an expression that gives true or false, or one of the two."""
    if not rule.has_query("Condition"):
        rule.require("Condition")
        constant = rule.boolean("Condition")
        return None if constant is None else lambda environment: constant
    query = rule.query("Condition")
    if query is None:
        return None

    def decided(environment: Environment) -> bool:
        value = query.evaluate(environment)
        if not isinstance(value, bool):
            raise unexpected(query, "boolean", value)
        return value

    return decided


def _compile_connective(rule: Fields, connective: str) -> Condition | None:
    conditions = [_compile_nested(each) for each in rule.objects(connective, filled=True)]
    complete = tuple(each for each in conditions if each is not None)
    if len(complete) < len(conditions):
        return None
    decisive = connective == "Or"

    def connected(environment: Environment) -> bool:
        for condition in complete:
            if condition(environment) is decisive:
                return decisive
        return not decisive

    return connected


def _compile_nested(rule: Fields) -> Condition | None:
    rule.allow(RULE_FIELDS)
    return compile_condition(rule)


def _compile_comparison(rule: Fields) -> Condition | None:
    names = [name for name in OPERATORS if name in rule]
    variable = rule.operand_path("Variable")
    if len(names) != 1:
        _report_operators(rule, names)
        return None
    name = names[0]
    if name == "IsPresent" or name in _TESTS:
        return _compile_test(rule, name, variable)
    if name == "StringMatches":
        return _compile_matches(rule, variable)
    if name.endswith("Path"):
        return _compile_path_comparison(rule, name, variable)
    return _compile_literal_comparison(rule, name, variable)


def _report_operators(rule: Fields, names: list[str]) -> None:
    hints = (did_you_mean(name, OPERATORS) for name in rule.values if name not in RULE_FIELDS)
    start = "There should only be one" if names else "This object should have only one"
    message = f"{start} of the following fields: [{', '.join(names or OPERATORS)}]"
    rule.note(message, hint=next(filter(None, hints), None))


def _compile_test(rule: Fields, name: str, variable: Path | None) -> Condition | None:
    wanted = rule.boolean(name)
    if wanted is None or variable is None:
        return None
    if name == "IsPresent":
        return lambda environment: _is_present(variable, environment) is wanted
    test = _TESTS[name]
    return lambda environment: test(_find(variable, environment)) is wanted


def _compile_matches(rule: Fields, variable: Path | None) -> Condition | None:
    pattern = rule.text("StringMatches")
    if pattern is None or variable is None:
        return None
    matches = compile_pattern(pattern)

    def matched(environment: Environment) -> bool:
        value = _find(variable, environment)
        return isinstance(value, str) and matches(value)

    return matched


def _compile_literal_comparison(rule: Fields, name: str, variable: Path | None) -> Condition | None:
    comparison = _COMPARISONS[name]
    read, holds = comparison.read, comparison.holds
    if comparison.literal(rule, name) is None or variable is None:
        return None
    operand = read(rule.values[name])

    def compared(environment: Environment) -> bool:
        value = read(_find(variable, environment))
        return value is not None and holds(value, operand)

    return compared


def _compile_path_comparison(rule: Fields, name: str, variable: Path | None) -> Condition | None:
    comparison = _COMPARISONS[name.removesuffix("Path")]
    read, holds = comparison.read, comparison.holds
    ordering = holds is not operator.eq
    operand = rule.operand_path(name)
    if operand is None or variable is None:
        return None

    def compared(environment: Environment) -> bool:
        value = read(_find(variable, environment))
        other = read(_find(operand, environment))
        if value is not None and other is not None:
            return holds(value, other)
        if ordering and value is None and other is None:
            raise AuthorError(RUNTIME, f"Invalid value provided at path '{operand.text}'")
        return False

    return compared


def _find(path: Path, environment: Environment) -> Json:
    try:
        return path.find(environment)
    except PathNotFound:
        reason = "The choice state's condition path references an invalid value."
        raise AuthorError(RUNTIME, f"Invalid path '{path.text}': {reason}") from None


def _is_present(path: Path, environment: Environment) -> bool:
    try:
        path.find(environment)
    except PathNotFound:
        return False
    return True


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    r"""The test of StringMatches: `*` stands for any text, `\*` and `\\` for themselves.

    >>> compile_pattern("log-*.txt")("log-2024.txt")
    True
    """
    first, *others = _literals(pattern)
    if not others:
        return lambda text: text == first
    *middle, last = others

    def matches(text: str) -> bool:
        end = len(text) - len(last)
        if end < len(first) or not (text.startswith(first) and text.endswith(last)):
            return False
        at = len(first)
        for each in middle:
            found = text.find(each, at, end)
            if found < 0:
                return False
            at = found + len(each)
        return True

    return matches


def _literals(pattern: str) -> list[str]:
    """The texts between the wildcards of a pattern."""
    texts = [""]
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            texts.append("")
        elif character == "\\":
            escaped = next(characters, "")
            texts[-1] += escaped if escaped in ("*", "\\") else character + escaped
        else:
            texts[-1] += character
    return texts
