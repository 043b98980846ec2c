"""Intrinsic function calls (`States.Format('…', $.a)`): read once, compiled to a closure.

Source: the Amazon States Language specification, "Intrinsic Functions".
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from eventmill.errors import AuthorError
from eventmill.model import Json
from eventmill.query.environment import Environment
from eventmill.query.intrinsic_functions import (
    INTRINSIC_FUNCTIONS,
    Evaluate,
    InvalidArguments,
    format_text,
)
from eventmill.query.jsonpath import (
    NotAnArray,
    Path,
    PathNotFound,
    PathSyntaxError,
    compile_parsed_path,
)
from eventmill.query.path_parser import PathParser

NOT_AN_EXPRESSION: Final = "The value must be a valid JSONPath or a valid intrinsic function call"

# AWS: "You can nest up to 10 intrinsic functions within a field in your workflows."
NESTING_MAX: Final = 10

Intrinsic: TypeAlias = Callable[[Environment], Json]

_NAME: Final = re.compile(r"States\.[A-Za-z0-9]+")
_LITERAL: Final = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_GAP: Final = re.compile(r"((?:[^{\\]|\\.|\{(?!\}))*)(\{\})?", re.DOTALL)


class _Failed(Exception):
    """The function `name` cannot take its arguments."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _PathFailed(Exception):
    """The path of an argument leads nowhere."""

    def __init__(self, path: Path, error: PathNotFound) -> None:
        super().__init__(path.text)
        self.path, self.error = path, error


def compile_intrinsic(text: str) -> Intrinsic:
    """Compile one call, with all the calls inside it.

    The closure raises `AuthorError` (States.Runtime, in AWS's words) when an argument is missing
    or a function cannot take what it is given.

    Raises:
        PathSyntaxError: `text` is no such call, names no function, or has the wrong number of
            arguments; `hint` says which.
    """
    parser = _IntrinsicParser(text)
    evaluate = parser.call()
    if parser.position != len(text):
        raise parser.fail("nothing after the closing ')'")

    def intrinsic(environment: Environment) -> Json:
        try:
            return evaluate(environment)
        except _Failed as failed:
            cause = (
                f"There was an error while evaluating the intrinsic function: {text}. "
                f"Invalid arguments in {failed.name}"
            )
        except _PathFailed as failed:
            reason = _path_reason(failed, environment)
            cause = f"The function '{text}' had the following error: {reason}"
        raise AuthorError("States.Runtime", cause)

    return intrinsic


def _path_reason(failed: _PathFailed, environment: Environment) -> str:
    # AWS lets Jayway's own message through here.
    if isinstance(failed.error, NotAnArray):
        return failed.error.detail
    shown = failed.path.input_of(environment).text.decode()
    return (
        f"The JsonPath argument for the field '{failed.path.text}' "
        f"could not be found in the input '{shown}'"
    )


class _IntrinsicParser(PathParser):
    """Reads calls and their arguments; paths among them are read as everywhere."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._calls = 0

    def fail(self, expected: str) -> PathSyntaxError:
        """The error for the text at this position."""
        hint = f"expected {expected} at character {self.position + 1}"
        return PathSyntaxError(NOT_AN_EXPRESSION, hint)

    def call(self) -> Intrinsic:
        """Read a call: the name of a function and its arguments."""
        name = self.match(_NAME)
        if name is None or name not in INTRINSIC_FUNCTIONS or not self.take("("):
            raise self.fail(f"'(' after one of {', '.join(INTRINSIC_FUNCTIONS)}")
        self._calls += 1
        if self._calls > NESTING_MAX:
            raise self.fail(f"at most {NESTING_MAX} functions inside each other")
        template = self._format_template() if name == "States.Format" else None
        arguments = self.listed(self._argument, after_first=template is not None)
        self._calls -= 1
        function = INTRINSIC_FUNCTIONS[name]
        count = len(arguments) + (template is not None)
        most = function.arguments_max
        if count < function.arguments_min or (most is not None and count > most):
            raise self.fail(f"{_count_text(function.arguments_min, most)} in {name}, not {count},")
        if template is None:
            return _compile_call(name, function.evaluate, arguments)
        return _compile_call(name, lambda values, draw: format_text(template, values), arguments)

    def _format_template(self) -> list[str] | None:
        """Read a literal first argument of States.Format as the pieces around its gaps."""
        self.skip_space()
        literal = _LITERAL.match(self.text, self.position)
        if literal is None:
            return None
        self.position = literal.end()
        return [self._unescaped(piece) for piece in _pieces(literal[1])]

    def _argument(self) -> Intrinsic:
        self.skip_space()
        start = self.position
        if self.text.startswith("$", start):
            parsed = self.path(inside=True)
            return _compile_argument_path(
                compile_parsed_path(self.text[start : self.position], parsed)
            )
        if self.text.startswith("States.", start):
            return self.call()
        literal = self.match(_LITERAL)
        if literal is not None:
            return _constant(self._unescaped(literal[1:-1]))
        constant = self.constant()
        if constant is None:
            raise self.fail(
                "a path, a text in single quotes, a number, true, false, null or a call"
            )
        return _constant(constant.value)

    def _unescaped(self, literal: str) -> str:
        for escape in _ESCAPE.finditer(literal):
            if escape[1] not in "'{}\\":
                raise self.fail(f"an escape of ' {{ }} or \\ instead of \\{escape[1]} before")
        return _ESCAPE.sub(r"\1", literal)


def _pieces(literal: str) -> list[str]:
    """Split a template at its `{}`; an escaped brace is no gap."""
    pieces: list[str] = []
    for gap in _GAP.finditer(literal):
        pieces.append(gap[1])
        if gap[2] is None:
            break
    return pieces


def _count_text(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} arguments"
    return f"{least} arguments" if least == most else f"{least} or {most} arguments"


def _constant(value: Json) -> Intrinsic:
    return lambda environment: value


def _compile_argument_path(path: Path) -> Intrinsic:
    find = path.find

    def argument(environment: Environment) -> Json:
        try:
            return find(environment)
        except PathNotFound as error:
            raise _PathFailed(path, error) from None

    return argument


def _compile_call(name: str, evaluate: Evaluate, arguments: Sequence[Intrinsic]) -> Intrinsic:
    def call(environment: Environment) -> Json:
        values = [argument(environment) for argument in arguments]
        try:
            return evaluate(values, environment.draw)
        except InvalidArguments:
            raise _Failed(name) from None

    return call
