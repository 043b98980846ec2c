"""Which files of a folder a sensor is interested in.

A glob without a slash is compared with a name at any depth, one with a slash with the whole path
relative to the folder. `*` and `?` stop at a slash, `**` does not; `[…]` is one of some characters.
An excluded folder excludes all that is in it.

Ignore rules are such globs in lines, read as git reads a `.gitignore`: the last that matches
counts, `!` takes back, a slash at the end means folders only, one at the beginning the watched
folder itself.
"""

import re
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Final, NamedTuple

IGNORE_FILE: Final = ".eventmillignore"

_NAME: Final = "(?:.*/)?"


class Selection:
    """The files that are included (all, when nothing is said) and not excluded."""

    __slots__ = ("_exclude", "_ignored", "_include", "_recursive", "_without")

    def __init__(
        self,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        recursive: bool = True,
        without: Iterable[str] = (),
    ) -> None:
        """Take globs, and in `without` folders, which are no globs."""
        self._ignored: tuple[_Rule, ...] = ()
        self._include = _any_of(include)
        self._exclude = _any_of(exclude)
        self._recursive = recursive
        self._without = tuple(f"{folder}/" for folder in without)

    def ignoring(self, lines: Iterable[str]) -> "Selection":
        """The same selection but for what these ignore rules say."""
        selection = copy(self)
        selection._ignored = tuple(rule for line in lines if (rule := _rule(line)) is not None)
        return selection

    def takes(self, path: str) -> bool:
        """Whether the file at `path`, relative to the folder, is selected."""
        folder = path.rpartition("/")[0]
        return (not folder or self.enters(folder)) and self.takes_here(path)

    def takes_here(self, path: str) -> bool:
        """The same for a file in a folder that was entered."""
        return (
            path != IGNORE_FILE
            and (self._include is None or self._include.fullmatch(path) is not None)
            and (self._exclude is None or self._exclude.fullmatch(path) is None)
            and not (self._ignored and _is_ignored(self._ignored, path, is_folder=False))
        )

    def enters(self, folder: str) -> bool:
        """Whether files in this folder, given relative to the watched one, can be selected."""
        if not self._recursive or f"{folder}/".startswith(self._without):
            return False
        if self._exclude is None and not self._ignored:
            return True
        ends = [index for index, character in enumerate(folder) if character == "/"]
        return not any(self._leaves_out(folder[:end]) for end in (*ends, len(folder)))

    def _leaves_out(self, folder: str) -> bool:
        if self._exclude is not None and self._exclude.fullmatch(folder) is not None:
            return True
        return _is_ignored(self._ignored, folder, is_folder=True)


class _Rule(NamedTuple):
    expression: re.Pattern[str]
    ignores: bool
    folders_only: bool


def _rule(line: str) -> _Rule | None:
    """An ignore rule; None of a line that is empty or a comment."""
    glob = line.strip()
    if not glob or glob.startswith("#"):
        return None
    ignores = not glob.startswith("!")
    glob = glob.removeprefix("!") if not ignores else glob
    if glob.startswith(("\\#", "\\!")):
        glob = glob[1:]
    folders_only, glob = glob.endswith("/"), glob.rstrip("/")
    if not glob:
        return None
    expression = _expression(glob.removeprefix("/"), anchored="/" in glob)
    return _Rule(re.compile(expression, re.DOTALL), ignores, folders_only)


def _is_ignored(rules: Sequence[_Rule], path: str, *, is_folder: bool) -> bool:
    for rule in reversed(rules):
        if (is_folder or not rule.folders_only) and rule.expression.fullmatch(path) is not None:
            return rule.ignores
    return False


def _any_of(globs: Iterable[str]) -> re.Pattern[str] | None:
    expressions = [_expression(glob, anchored="/" in glob) for glob in globs]
    return re.compile("|".join(expressions), re.DOTALL) if expressions else None


def _expression(glob: str, *, anchored: bool) -> str:
    parts = [] if anchored else [_NAME]
    position = 0
    while position < len(glob):
        text, length = _part(glob, position)
        parts.append(text)
        position += length
    return "".join(parts)


def _part(glob: str, position: int) -> tuple[str, int]:
    """The regular expression for what stands at `position`, and how long that is."""
    if glob.startswith("**/", position):
        return _NAME, 3
    if glob.startswith("**", position):
        return ".*", 2
    character = glob[position]
    if character == "*":
        return "[^/]*", 1
    if character == "?":
        return "[^/]", 1
    # "]" is itself a member when it comes first.
    end = glob.find("]", position + 3 if glob[position + 1 : position + 2] == "!" else position + 2)
    if character == "[" and end > 0:
        negated = glob[position + 1] == "!"
        members = glob[position + 1 + negated : end]
        try:
            return _members(members, negated), end + 1 - position
        except re.error:
            pass  # A range that runs backwards is no range, so the bracket is a character.
    return re.escape(character), 1


def _members(members: str, negated: bool) -> str:
    escaped = re.sub(r"[\\\[\]^&~|]", r"\\\g<0>", members)
    expression = f"(?!/)[{'^' if negated else ''}{escaped}]"
    re.compile(expression)
    return expression
