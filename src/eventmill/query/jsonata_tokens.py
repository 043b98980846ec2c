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
_WORD_OPERATORS: Final = frozenset({"and", "in", "or"})


def tokens(text: str) -> Iterator[str]:
    """The tokens of an expression that has been found well-formed, without its regular expressions.

    >>> list(tokens("$a /* $b */ + $f('$c', /[/]$d/i)"))
    ['$a', '+', '$f', '(', "'$c'", ',', ')']
    """
    return (token for _, token in placed(text))


def placed(text: str) -> Iterator[tuple[int, str]]:
    """The same tokens, each with its position in the text."""
    position, before = 0, ""
    while position < len(text):
        if skipped := _SKIPPED.match(text, position):
            position = skipped.end()
            continue
        divides = _OPERAND_END.search(before) and before not in _WORD_OPERATORS
        if not divides and (regex := _REGEX.match(text, position)):
            position, before = regex.end(), ")"
            continue
        token = _TOKEN.match(text, position)
        assert token is not None, "any character is a token"
        yield position, token[0]
        position, before = token.end(), token[0]
