"""Words that say nothing, work left for later, and silenced warnings are refused."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Final

import pytest

BANNED_WORDS: Final = {"util", "utils", "helper", "helpers", "manager", "common", "misc"}

# Markers of work left undone; an issue is the place for it.
UNFINISHED: Final = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

# A silenced warning, and what must follow: which one it is, and the reason in words.
SILENCER: Final = re.compile(r"#\s*(?:type:\s*ignore|noqa|pragma:|ruff:|mypy:)(?P<rest>.*)", re.S)
WHICH_AND_WHY: Final = re.compile(
    r"(\[[a-z, -]+\]|:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*)\W+\w.*\w", re.S
)

# Where everything is caught for good, and why. Elsewhere name the error, or raise it again.
CATCHES_EVERYTHING: Final = {
    "tests/conformance/report/attempts.py": "a case that trips us is told and costs itself only",
    "src/eventmill/api/app.py": "a mistake of ours costs one request, and is logged with its id",
    "src/eventmill/runtime/supervisor.py": "a mistake of ours costs one sensor, told in the log",
    "src/eventmill/cli/main.py": "a mistake of ours is told in one line, not in a traceback",
    "src/eventmill/executors/answers.py": "reading what a handler returned may run its code",
    "src/eventmill/executors/calls.py": "a handler may raise anything; it costs its own call only",
    "src/eventmill/executors/loader.py": "a user's module may raise anything while it is imported",
    "src/eventmill/executors/output.py": "a log record is formatted by the user's own objects",
}


def comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def words(name: str) -> set[str]:
    """The words of a name in any case style, in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def declared(path: str, text: str) -> Iterator[tuple[int, str]]:
    """The names that a file gives to things: itself, classes, functions, parameters, variables."""
    yield 1, path.removesuffix(".py")
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def catches_everything(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Where `except` or `suppress` takes any error; `except …: …; raise` takes none."""
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            last = node.body[-1]
            raises_again = isinstance(last, ast.Raise) and last.exc is None
            if node.type is None:
                yield node.lineno, "a bare except"
            elif names_everything(node.type) and not raises_again:
                yield node.lineno, f"except {ast.unparse(node.type)}"
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and any(names_everything(argument) for argument in node.args)
        ):
            yield node.lineno, ast.unparse(node)


def names_everything(error: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"}
        for node in ast.walk(error)
    )


def test_names_say_what_a_thing_is(sources: dict[str, str]) -> None:
    vague = [
        f"{path}:{line}: {name}: {', '.join(found)} could be anything: say what it does"
        for path, text in sources.items()
        for line, name in declared(path, text)
        if (found := sorted(words(name) & BANNED_WORDS))
    ]

    assert not vague, "\n".join(vague)


def test_no_work_is_left_for_later(sources: dict[str, str]) -> None:
    left = [
        f"{path}:{line}: {comment}: do it now, or file an issue and remove the marker"
        for path, text in sources.items()
        for line, comment in comments(text)
        if UNFINISHED.search(comment)
    ]

    assert not left, "\n".join(left)


def test_silenced_warnings_say_which_and_why(sources: dict[str, str]) -> None:
    unexplained = [
        f"{path}:{line}: {comment}: write `# noqa: X100 - reason` or "
        "`# type: ignore[code]  # reason`"
        for path, text in sources.items()
        for line, comment in comments(text)
        if (match := SILENCER.match(comment)) and not WHICH_AND_WHY.match(match["rest"])
    ]

    assert not unexplained, "\n".join(unexplained)


def test_errors_are_caught_by_name(sources: dict[str, str]) -> None:
    greedy = {
        path: found
        for path, text in sources.items()
        if (found := list(catches_everything(ast.parse(text, path))))
    }
    wrong = [
        f"{path}:{line}: {what}: name the error that can come, or raise it again; "
        "for a good reason, put the file into CATCHES_EVERYTHING"
        for path, found in greedy.items()
        if path not in CATCHES_EVERYTHING
        for line, what in found
    ]
    needless = [
        f"{path} catches errors by name by now: take it off CATCHES_EVERYTHING"
        for path in CATCHES_EVERYTHING
        if path not in greedy
    ]

    assert not [*wrong, *needless], "\n".join([*wrong, *needless])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("tests/unit/test_utils", {"utils"}),
        ("TimerManager2", {"manager"}),
        ("COMMON_PREFIX", {"common"}),
        ("commonplace", set()),
        ("message", set()),
    ],
)
def test_what_counts_as_a_vague_name(name: str, found: set[str]) -> None:
    assert words(name) & BANNED_WORDS == found


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# type: ignore[attr-defined]  # the stubs lack it", True),
        ("# noqa: S608 - table names are constants", True),
        ("# noqa: E731, B004 because mypy wants it so", True),
        ("# type: ignore[attr-defined]", False),
        ("# type: ignore  # the stubs lack it", False),
        ("# noqa: S608", False),
        ("# noqa", False),
    ],
)
def test_what_counts_as_a_reason(comment: str, explained: bool) -> None:
    match = SILENCER.match(comment)

    assert match
    assert (WHICH_AND_WHY.match(match["rest"]) is not None) is explained


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("except: pass", [(2, "a bare except")]),
        ("except Exception: pass", [(2, "except Exception")]),
        ("except (OSError, BaseException): pass", [(2, "except (OSError, BaseException)")]),
        ("except Exception: undo(); raise", []),
        ("except OSError: pass", []),
    ],
)
def test_what_counts_as_catching_everything(body: str, found: list[tuple[int, str]]) -> None:
    assert list(catches_everything(ast.parse(f"try: act()\n{body}"))) == found
