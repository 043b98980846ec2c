"""The grammar of JSONPath: text to segments, after Jayway's reading of it.

Knows nothing of evaluation. Beyond Jayway it takes a backslash in dot notation, as the Amazon
States Language specification does (`$.store\\.book` names one field).
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from eventmill.model import Json, decode_json
from eventmill.query.java import compile_java_pattern
from eventmill.query.path_functions import PATH_FUNCTIONS
from eventmill.query.path_segments import (
    Both,
    Call,
    Comparison,
    Condition,
    Descent,
    Exists,
    Filter,
    Index,
    Indexes,
    Literally,
    Member,
    Members,
    Not,
    Operand,
    ParsedPath,
    Regex,
    Segment,
    Slice,
    Wildcard,
)

NOT_A_PATH: Final = "Value is not a valid JSONPath"
NOT_A_REFERENCE_PATH: Final = "Value is not a Reference Path"

_DEPTH_MAX: Final = 32

_T = TypeVar("_T")


class PathSyntaxError(ValueError):
    """The text is no JSONPath; the message is the one AWS gives where it is known.

    `hint` says what was expected and where.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


WORD_OPERATORS: Final = frozenset(
    ("in", "nin", "size", "empty", "subsetof", "anyof", "noneof", "contains", "all")
)

_SYMBOL_OPERATOR: Final = re.compile(r"===|!==|==|!=|<=|>=|=~|<|>")
_WORD: Final = re.compile(r"[A-Za-z]+")
_CONSTANT: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true\b|false\b|null\b", re.ASCII
)
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_VARIABLE: Final = re.compile(r"\$[^\W\d]\w*")
# Definitions that AWS takes have texts without quotes on the right of a comparison.
_BARE_TEXT: Final = re.compile(r"(?!(?:true|false|null)\b)[^\W\d][\w-]*")
_UNICODE_ESCAPE: Final = re.compile(r"u[0-9A-Fa-f]{4}")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# Inside an expression a name ends where an operator may follow it.
_NAME: Final = re.compile(r"[^.\[\]()\\ \t\r\n'\"*]+")
_NAME_INSIDE: Final = re.compile(r"[^.\[\]()\\ \t\r\n'\"*,?&|!=<>~{}]+")
# Jayway 1 let a script compute an index; the one shape in use counts from the end.
_FROM_THE_END: Final = re.compile(r"\(\s*@\.length(?:\(\))?\s*-\s*([0-9]{1,15})\s*\)")


class PathParser:
    """Reads one path from `text`, from `position` on."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.position = position
        self._depth = 0

    def path(self, *, inside: bool = False) -> ParsedPath:
        """Read a path; `inside` an expression it ends before the first character not its own."""
        return self._nested(lambda: ParsedPath(root=self._root(), segments=self._segments(inside)))

    def fail(self, expected: str) -> PathSyntaxError:
        """The error for the text at this position."""
        return PathSyntaxError(NOT_A_PATH, f"expected {expected} at character {self.position + 1}")

    def skip_space(self) -> None:
        """Go to the next character that is no space."""
        found = _SPACE.match(self.text, self.position)
        assert found is not None, "the pattern matches the empty text"
        self.position = found.end()

    def take(self, symbol: str) -> bool:
        """Go past `symbol` if it stands here."""
        if self.text.startswith(symbol, self.position):
            self.position += len(symbol)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Go past what `pattern` matches here, and return it."""
        found = pattern.match(self.text, self.position)
        if found is None:
            return None
        self.position = found.end()
        return found[0]

    def quoted(self) -> str:
        """Read a quoted name; a backslash hides only the quote itself and a backslash."""
        quote = self.text[self.position]
        self.position += 1
        written: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            self.position += 1
            if character == quote:
                return "".join(written)
            following = self.text[self.position : self.position + 1]
            if character == "\\" and following in (quote, "\\"):
                character = following
                self.position += 1
            written.append(character)
        raise self.fail(f"a closing {quote}")

    def constant(self) -> Literally | None:
        """Read a number, true, false or null, if one stands here."""
        text = self.match(_CONSTANT)
        if text is None:
            return None
        try:
            return Literally(value=decode_json(text))
        except ValueError:
            raise self.fail("a number that fits 64 bits before") from None

    def _nested(self, read: Callable[[], _T]) -> _T:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self.fail(f"at most {_DEPTH_MAX} expressions inside each other, not one more")
        result = read()
        self._depth -= 1
        return result

    def _root(self) -> str:
        if self.take("@"):
            return "@"
        if self.take("$$"):
            return "$$"
        variable = self.match(_VARIABLE)
        if variable is not None:
            return variable
        if self.take("$"):
            return "$"
        raise self.fail("a path that starts with $")

    def _segments(self, inside: bool) -> tuple[Segment, ...]:
        segments: list[Segment] = []
        while self.position < len(self.text):
            if self.take(".."):
                segments.append(Descent())
                if not self.text.startswith("[", self.position):
                    segments.append(self._dotted(inside))
            elif self.take("."):
                # Jayway reads `.[` as `[`.
                if not self.text.startswith("[", self.position):
                    segments.append(self._dotted(inside))
            elif self.take("["):
                segments.append(self._bracketed())
            elif inside:
                break
            else:
                raise self.fail("'.' or '['")
        if segments and isinstance(segments[-1], Descent):
            raise self.fail("a name after '..'")
        return tuple(segments)

    def _dotted(self, inside: bool) -> Segment:
        if self.take("*"):
            return Wildcard()
        name = self._name(_NAME_INSIDE if inside else _NAME)
        if self.take("("):
            if name not in PATH_FUNCTIONS:
                raise self.fail(f"one of {', '.join(PATH_FUNCTIONS)} before '('")
            return Call(function=name, arguments=self._arguments())
        return Member(name=name)

    def _name(self, plain: re.Pattern[str]) -> str:
        name = self.match(plain) or ""
        while self.take("\\"):
            code = self.match(_UNICODE_ESCAPE)
            if code is not None:
                name += chr(int(code[1:], 16))
            elif self.position < len(self.text):
                name += self.text[self.position]
                self.position += 1
            else:
                raise self.fail("a character after the backslash")
            name += self.match(plain) or ""
        if not name:
            raise self.fail("a name")
        # Two escapes may have written one character as a pair of surrogates.
        return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _arguments(self) -> tuple[ParsedPath | Literally, ...]:
        arguments: list[ParsedPath | Literally] = []
        self.skip_space()
        if self.take(")"):
            return ()
        while True:
            operand = self._operand()
            if isinstance(operand, Regex):
                raise self.fail("a path or a value")
            arguments.append(operand)
            self.skip_space()
            if self.take(")"):
                return tuple(arguments)
            if not self.take(","):
                raise self.fail("',' or ')'")

    def _bracketed(self) -> Segment:
        self.skip_space()
        if self.text.startswith(("'", '"'), self.position):
            return self._quoted_names()
        if self.take("*"):
            self._close()
            return Wildcard()
        if self.take("?"):
            return self._filter()
        script = _FROM_THE_END.match(self.text, self.position)
        if script is not None:
            self.position = script.end()
            self._close()
            return Index(index=-int(script[1]))
        return self._numbers()

    def _close(self) -> None:
        self.skip_space()
        if not self.take("]"):
            raise self.fail("']'")

    def _quoted_names(self) -> Segment:
        names = [self._quoted_name()]
        while self.take(","):
            self.skip_space()
            names.append(self._quoted_name())
        self._close()
        return Member(name=names[0]) if len(names) == 1 else Members(names=tuple(names))

    def _quoted_name(self) -> str:
        if not self.text.startswith(("'", '"'), self.position):
            raise self.fail("a name in quotes")
        name = self.quoted()
        self.skip_space()
        return name

    def _filter(self) -> Segment:
        self.skip_space()
        if not self.take("("):
            raise self.fail("'('")
        condition = self._either()
        self.skip_space()
        if not self.take(")"):
            raise self.fail("')'")
        self._close()
        return Filter(condition=condition)

    def _numbers(self) -> Segment:
        expected = "an index, a slice, a name in quotes, '*' or '?(' in the brackets"
        numbers: list[int | None] = [self._integer()]
        self.skip_space()
        separator = ":" if self.text.startswith(":", self.position) else ","
        if numbers[0] is None and separator == ",":
            raise self.fail(expected)
        while self.take(separator):
            numbers.append(self._integer())
            self.skip_space()
        self._close()
        given = [number for number in numbers if number is not None]
        if separator == ":" and given and len(numbers) == 2:
            return Slice(start=numbers[0], stop=numbers[1])
        if separator == ":" or len(given) != len(numbers):
            raise self.fail(f"{expected} before")
        return Index(index=given[0]) if len(given) == 1 else Indexes(indexes=tuple(given))

    def _integer(self) -> int | None:
        self.skip_space()
        digits = self.match(_INTEGER)
        return None if digits is None else int(digits)

    def _either(self) -> Condition:
        return self._nested(lambda: self._joined("||", lambda: self._joined("&&", self._condition)))

    def _joined(self, symbol: str, read: Callable[[], Condition]) -> Condition:
        conditions = [read()]
        self.skip_space()
        while self.take(symbol):
            conditions.append(read())
            self.skip_space()
        if len(conditions) == 1:
            return conditions[0]
        return Both(all=symbol == "&&", conditions=tuple(conditions))

    def _condition(self) -> Condition:
        self.skip_space()
        if self.take("!"):
            return Not(condition=self._nested(self._condition))
        if self.take("("):
            condition = self._either()
            self.skip_space()
            if not self.take(")"):
                raise self.fail("')'")
            return condition
        left = self._operand()
        if isinstance(left, Regex):
            raise self.fail("=~ and no pattern on the left before")
        self.skip_space()
        operator = self.match(_SYMBOL_OPERATOR) or (self.match(_WORD) or "").lower()
        if operator in WORD_OPERATORS or _SYMBOL_OPERATOR.fullmatch(operator):
            return Comparison(left=left, operator=operator, right=self._right(operator))
        if operator or not isinstance(left, ParsedPath):
            raise self.fail("a comparison")
        return Exists(path=left)

    def _right(self, operator: str) -> Operand:
        self.skip_space()
        bare = self.match(_BARE_TEXT)
        right = self._operand() if bare is None else Literally(value=bare)
        if (operator == "=~") != isinstance(right, Regex):
            raise self.fail("a pattern between slashes after =~, and only there, before")
        return right

    def _operand(self) -> Operand:
        self.skip_space()
        first = self.text[self.position : self.position + 1]
        if first in ("$", "@"):
            return self.path(inside=True)
        if first in ("'", '"'):
            return Literally(value=self.quoted())
        if first in ("[", "{"):
            return Literally(value=self._json())
        if first == "/":
            return Regex(pattern=self._pattern())
        constant = self.constant()
        if constant is not None:
            return constant
        raise self.fail(
            "a path, a text in quotes, a number, true, false, null, a list or a pattern"
        )

    def _json(self) -> Json:
        """Read a list or an object; like Jayway, also with single quotes around its texts."""
        written: list[str] = []
        depth = 0
        while self.position < len(self.text):
            character = self.text[self.position]
            if character in "'\"":
                text = self.quoted()
                written.append(_json_string(text))
                continue
            self.position += 1
            written.append(character)
            depth += (character in "[{") - (character in "]}")
            if depth == 0:
                break
        try:
            return decode_json("".join(written))
        except ValueError:
            raise self.fail("a JSON value") from None

    def _pattern(self) -> re.Pattern[str]:
        start = self.position = self.position + 1
        while self.position < len(self.text) and self.text[self.position] != "/":
            self.position += 2 if self.text[self.position] == "\\" else 1
        pattern = self.text[start : self.position]
        if not self.take("/"):
            raise self.fail("a closing /")
        flags = self.match(_WORD) or ""
        try:
            return compile_java_pattern(pattern, flags)
        except ValueError:
            raise self.fail("a regular expression") from None


def _json_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    controls = {code: f"\\u{code:04x}" for code in range(32)}
    return f'"{escaped.translate(controls)}"'


def parse_path(text: str) -> ParsedPath:
    """Read a whole path that starts with `$`, `$$` or `$name`.

    Raises:
        PathSyntaxError: `text` is no such path.
    """
    parser = PathParser(text)
    if not text.startswith("$"):
        raise parser.fail("a path that starts with $")
    return parser.path()
