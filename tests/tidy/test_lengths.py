"""Nothing is longer than one can read: lines, functions, modules."""

import ast
from typing import Final

MODULE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 60
LINE_CHARACTERS_MAX: Final = 100


def test_modules_are_short(sources: dict[str, str]) -> None:
    long = [
        f"{path}:1: {lines} lines, at most {MODULE_LINES_MAX}: give each of its nouns a module"
        for path, text in sources.items()
        if (lines := len(text.splitlines())) > MODULE_LINES_MAX
    ]

    assert not long, "\n".join(long)


def test_functions_are_short(sources: dict[str, str]) -> None:
    long = [
        f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}: "
        "give a part of it a name"
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text, path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert not long, "\n".join(long)


def test_lines_are_short(sources: dict[str, str]) -> None:
    long = [
        f"{path}:{number}: {len(line)} characters, at most {LINE_CHARACTERS_MAX}: break the line"
        for path, text in sources.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > LINE_CHARACTERS_MAX
    ]

    assert not long, "\n".join(long)
