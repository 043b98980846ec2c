"""The grammar of JSONPath: text to segments, after Jayway's reading of it.

Knows nothing of evaluation. Beyond Jayway it takes a backslash in dot notation, as the Amazon
States Language specification does (`$.store\\.book` names one field).
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from eventmill.model import Json, decode_json
from eventmill.query import path_segments as syntax
from eventmill.query.java import compile_java_pattern
from eventmill.query.path_functions import PATH_FUNCTIONS

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
_SLICE: Final = re.compile(r"(-?[0-9]{1,15})?[ \t\r\n]*:[ \t\r\n]*(-?[0-9]{1,15})?[ \t\r\n]*\]")
_ROOT: Final = re.compile(r"@|\$\$|\$[^\W\d]\w*|\$")
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

    def path(self, *, inside: bool = False) -> syntax.ParsedPath:
        """Read a path; `inside` an expression it ends before the first character not its own."""
        return self._nested(
            lambda: syntax.ParsedPath(root=self._root(), segments=self._segments(inside))
        )

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

    def expect(self, symbol: str) -> None:
        """Go past spaces and `symbol`."""
        self.skip_space()
        if not self.take(symbol):
            raise self.fail(f"'{symbol}'")

    def listed(self, read: Callable[[], _T], *, after_first: bool = False) -> list[_T]:
        """Read a list up to its closing parenthesis; `after_first`, one item has been read."""
        items: list[_T] = []
        self.skip_space()
        while not self.take(")"):
            if (items or after_first) and not self.take(","):
                raise self.fail("',' or ')'")
            items.append(read())
            self.skip_space()
        return items

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

    def constant(self) -> syntax.Literally | None:
        """Read a number, true, false or null, if one stands here."""
        text = self.match(_CONSTANT)
        if text is None:
            return None
        try:
            return syntax.Literally(value=decode_json(text))
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
        root = self.match(_ROOT)
        if root is None:
            raise self.fail("a path that starts with $")
        return root

    def _segments(self, inside: bool) -> tuple[syntax.Segment, ...]:
        segments: list[syntax.Segment] = []
        while self.position < len(self.text):
            if self.take(".."):
                segments.append(syntax.Descent())
            elif not self.take(".") and self.text[self.position] != "[":
                if inside:
                    break
                raise self.fail("'.' or '['")
            # Jayway reads `.[` as `[`.
            segments.append(self._bracketed() if self.take("[") else self._dotted(inside))
        return tuple(segments)

    def _dotted(self, inside: bool) -> syntax.Segment:
        if self.take("*"):
            return syntax.Wildcard()
        name = self._name(_NAME_INSIDE if inside else _NAME)
        if self.take("("):
            if name not in PATH_FUNCTIONS:
                raise self.fail(f"one of {', '.join(PATH_FUNCTIONS)} before '('")
            return syntax.Call(function=name, arguments=tuple(self.listed(self._operand)))
        return syntax.Member(name=name)

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

    def _bracketed(self) -> syntax.Segment:
        self.skip_space()
        if self.text.startswith(("'", '"'), self.position):
            return self._quoted_names()
        if self.take("*"):
            self.expect("]")
            return syntax.Wildcard()
        if self.take("?"):
            return self._filter()
        script = _FROM_THE_END.match(self.text, self.position)
        if script is not None:
            self.position = script.end()
            self.expect("]")
            return syntax.Index(index=-int(script[1]))
        return self._numbers()

    def _quoted_names(self) -> syntax.Segment:
        names = [self._quoted_name()]
        while self.take(","):
            self.skip_space()
            names.append(self._quoted_name())
        self.expect("]")
        return (
            syntax.Member(name=names[0]) if len(names) == 1 else syntax.Members(names=tuple(names))
        )

    def _quoted_name(self) -> str:
        if not self.text.startswith(("'", '"'), self.position):
            raise self.fail("a name in quotes")
        name = self.quoted()
        self.skip_space()
        return name

    def _filter(self) -> syntax.Segment:
        self.expect("(")
        condition = self._either()
        self.expect(")")
        self.expect("]")
        return syntax.Filter(condition=condition)

    def _numbers(self) -> syntax.Segment:
        found = _SLICE.match(self.text, self.position)
        if found is not None and (found[1] or found[2]):
            self.position = found.end()
            start, stop = (None if digits is None else int(digits) for digits in found.groups())
            return syntax.Slice(start=start, stop=stop)
        indexes = [self._index()]
        while self.take(","):
            indexes.append(self._index())
        self.expect("]")
        if len(indexes) == 1:
            return syntax.Index(index=indexes[0])
        return syntax.Indexes(indexes=tuple(indexes))

    def _index(self) -> int:
        self.skip_space()
        digits = self.match(_INTEGER)
        if digits is None:
            raise self.fail("an index, a slice, a name in quotes, '*' or '?(' in the brackets")
        self.skip_space()
        return int(digits)

    def _either(self) -> syntax.Condition:
        return self._nested(lambda: self._joined("||", lambda: self._joined("&&", self._condition)))

    def _joined(self, symbol: str, read: Callable[[], syntax.Condition]) -> syntax.Condition:
        conditions = [read()]
        self.skip_space()
        while self.take(symbol):
            conditions.append(read())
            self.skip_space()
        if len(conditions) == 1:
            return conditions[0]
        return syntax.Both(all=symbol == "&&", conditions=tuple(conditions))

    def _condition(self) -> syntax.Condition:
        self.skip_space()
        if self.take("!"):
            return syntax.Not(condition=self._nested(self._condition))
        if self.take("("):
            condition = self._either()
            self.expect(")")
            return condition
        left = self._operand()
        self.skip_space()
        operator = self.match(_SYMBOL_OPERATOR) or (self.match(_WORD) or "").lower()
        if operator in WORD_OPERATORS or _SYMBOL_OPERATOR.fullmatch(operator):
            return syntax.Comparison(left=left, operator=operator, right=self._right(operator))
        if operator or not isinstance(left, syntax.ParsedPath):
            raise self.fail("a comparison")
        return syntax.Exists(path=left)

    def _right(self, operator: str) -> syntax.Operand | syntax.Regex:
        self.skip_space()
        if (operator == "=~") != self.text.startswith("/", self.position):
            raise self.fail("a pattern between slashes after =~, and only there,")
        if self.take("/"):
            return syntax.Regex(pattern=self._pattern())
        bare = self.match(_BARE_TEXT)
        return self._operand() if bare is None else syntax.Literally(value=bare)

    def _operand(self) -> syntax.Operand:
        self.skip_space()
        first = self.text[self.position : self.position + 1]
        if first in ("$", "@"):
            return self.path(inside=True)
        if first in ("'", '"'):
            return syntax.Literally(value=self.quoted())
        if first in ("[", "{"):
            return syntax.Literally(value=self._json())
        constant = self.constant()
        if constant is not None:
            return constant
        raise self.fail("a path, a text in quotes, a number, true, false, null or a list")

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
        start = self.position
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


def parse_path(text: str) -> syntax.ParsedPath:
    """Read a whole path that starts with `$`, `$$` or `$name`.

    Raises:
        PathSyntaxError: `text` is no such path.
    """
    parser = PathParser(text)
    if not text.startswith("$"):
        raise parser.fail("a path that starts with $")
    return parser.path()
