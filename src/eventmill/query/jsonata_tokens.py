"""The tokens of a JSONata expression: what its parser does not tell.

Knows how strings, regular expressions and comments are skipped, and nothing of what tokens mean.
Source: the grammar of JSONata 2.0, which Step Functions has.
"""

import re
from collections.abc import Iterator
from typing import Final

_SKIPPED: Final = re.compile(r"(?:\s+|/\*.*?\*/)+", re.DOTALL)
_REGEX: Final = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\])+/\w*", re.DOTALL)
_TOKEN: Final = re.compile(
    r""" "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*`   # strings and quoted names
      | \$\$ | \$\w* | \w+                                  # references, names, numbers
      | \?\? | \?: | :=
      | .
    """,
    re.DOTALL | re.VERBOSE,
)
# After these a slash divides; anywhere else it opens a regular expression. The star and the
# percent sign are operators, too, but nothing can be multiplied with a regular expression.
_OPERAND_END: Final = re.compile(r"""[\w$"'`)\]}*%]\Z""")
_ESCAPED_OR_BRACKET: Final = re.compile(r"\\.|[\[\]]", re.DOTALL)
_WHITE_SPACE: Final = r" \t\n\x0B\f\r"
# What is no white space, and what is so beyond ASCII only.
_OTHERS: Final = "\\S\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_WORD_OPERATORS: Final = frozenset({"and", "in", "or"})


def tokens(text: str) -> Iterator[str]:
    """The tokens of an expression that has been found well-formed, without its regular expressions.

    >>> list(tokens("$a /* $b */ + $f('$c', /[/]$d/i)"))
    ['$a', '+', '$f', '(', "'$c'", ',', ')']
    """
    return (token for _, token in placed(text))


def placed(text: str) -> Iterator[tuple[int, str]]:
    """The same tokens, each with its position in the text."""
    return ((position, token) for position, token, regex in _scanned(text) if not regex)


def with_ascii_white_space(text: str) -> str:
    r"""The expression with `\s` and `\S` in its regular expressions spelt out.

    They are white space of ASCII and the rest, as Java has them; the library has JavaScript's.

    >>> with_ascii_white_space(r"$split('\s', /\s+/)")
    "$split('\\s', /[ \\t\\n\\x0B\\f\\r]+/)"
    """
    if "\\s" not in text.lower():
        return text
    pieces, end = [], 0
    for position, token, regex in _scanned(text):
        if regex:
            pieces += [text[end:position], _ascii(token)]
            end = position + len(token)
    return "".join((*pieces, text[end:]))


def _scanned(text: str) -> Iterator[tuple[int, str, bool]]:
    """Position, token, and whether it is a regular expression."""
    position, before = 0, ""
    while position < len(text):
        if skipped := _SKIPPED.match(text, position):
            position = skipped.end()
            continue
        divides = _OPERAND_END.search(before) and before not in _WORD_OPERATORS
        if not divides and (regex := _REGEX.match(text, position)):
            yield position, regex[0], True
            position, before = regex.end(), ")"
            continue
        token = _TOKEN.match(text, position)
        assert token is not None, "any character is a token"
        yield position, token[0], False
        position, before = token.end(), token[0]


def _ascii(regex: str) -> str:
    in_class = False

    def spelt_out(found: re.Match[str]) -> str:
        nonlocal in_class
        match found[0]:
            case "[" | "]":
                in_class = found[0] == "["
            case r"\s":
                return _WHITE_SPACE if in_class else f"[{_WHITE_SPACE}]"
            case r"\S":
                return _OTHERS if in_class else f"[{_OTHERS}]"
        return found[0]

    return _ESCAPED_OR_BRACKET.sub(spelt_out, regex)
