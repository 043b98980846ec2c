"""Lists the handlers of a folder by reading their source, without running any of it.

Which functions are handlers, and by what names they are called:

* A function with `@handler` is called by the `name=` given there, else by its own name.
* A public function whose two parameters are `event` and `context` (a leading underscore is
  allowed) is called by its own name, unless that is `handler` or `lambda_handler`.
* A module with a function `lambda_handler` or `handler` is called by the module's name: `foo`
  for `foo.py` or `foo/__init__.py`, `etl.clean` for `etl/clean.py`.
* `module.function` reaches any public function of two parameters, as Lambda's `Handler` does.

Only functions at the top level of a module count, and files whose names begin with an
underscore or are no Python identifiers are left out.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from eventmill.handler import is_concurrency
from eventmill.record import record

_ENTRY_POINTS: Final = ("lambda_handler", "handler")

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@record
class FoundHandler:
    """A handler's place: `module` is dotted and relative to the folder scanned."""

    name: str
    module: str
    function: str
    path: Path
    line: int
    concurrency: int | None = None  # how many calls may run at once, if `@handler` says

    @property
    def full_name(self) -> str:
        """`module.function`: the same under every name that a function is found by."""
        return f"{self.module}.{self.function}"

    @property
    def place(self) -> str:
        """`path:line`, for messages."""
        return f"{self.path}:{self.line}"


@record
class Scan:
    """What a folder holds: handlers by name, modules by dotted name, and what is wrong.

    A name that several handlers claim is in `clashes` and not in `handlers`. `problems` has one
    finished line for each mistake: clashes, files that are not Python, names that cannot be read.
    """

    handlers: dict[str, FoundHandler]
    modules: dict[str, Path]
    clashes: dict[str, str]
    problems: tuple[str, ...]

    def full_name(self, name: str) -> str:
        """The `module.function` that a name means; of a name that nobody has, the name itself."""
        found = self.handlers.get(name)
        return name if found is None else found.full_name

    def has(self, name: str) -> bool:
        """Whether a function can be called by this name: `module.function` reaches any."""
        return (
            name in self.handlers or name in self.clashes or name.rpartition(".")[0] in self.modules
        )


def scan(folder: Path) -> Scan:
    """List the handlers under `folder`, which may be missing: then there are none."""
    claims: dict[str, list[FoundHandler]] = {}
    modules: dict[str, Path] = {}
    problems: list[str] = []
    for module, path in _modules(folder):
        modules[module] = path
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError, RecursionError, OSError) as error:
            problems.append(f"{path}:{getattr(error, 'lineno', None) or 1}: {error}")
            continue
        for found in _Module(module, path, tree, problems).handlers():
            claims.setdefault(found.name, []).append(found)
    clashes = {name: _clash(name, found) for name, found in claims.items() if len(found) > 1}
    return Scan(
        handlers={name: found[0] for name, found in claims.items() if len(found) == 1},
        modules=modules,
        clashes=clashes,
        problems=(*problems, *clashes.values()),
    )


def _clash(name: str, claims: list[FoundHandler]) -> str:
    places = " and ".join(found.place for found in claims)
    return f"{places}: {len(claims)} handlers are called {name!r}"


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and all(part.isidentifier() and not part.startswith("_") for part in parts):
            yield ".".join(parts), path


class _Module:
    """The handlers of one parsed module."""

    def __init__(self, name: str, path: Path, tree: ast.Module, problems: list[str]) -> None:
        self._name, self._path, self._problems = name, path, problems
        # Of functions defined twice, Python keeps the last.
        self._functions = {node.name: node for node in tree.body if isinstance(node, _Function)}
        self._decorators = set(_decorator_names(tree))

    def handlers(self) -> Iterator[FoundHandler]:
        """All handlers, each under every name that no dot is needed to say."""
        for function in self._functions.values():
            name = self._own_name(function)
            if name is not None:
                yield self._found(name, function)
        entry_points = [self._functions[name] for name in _ENTRY_POINTS if name in self._functions]
        if entry_points and _parameters(entry_points[0]) is not None:
            yield self._found(self._name, entry_points[0])

    def _found(self, name: str, function: _Function) -> FoundHandler:
        return FoundHandler(
            name=name,
            module=self._name,
            function=function.name,
            path=self._path,
            line=function.lineno,
            concurrency=self._concurrency(function),
        )

    def _own_name(self, function: _Function) -> str | None:
        decorator = self._decorator(function)
        if decorator is not None:
            return self._decorated_name(function, decorator)
        is_entry_point = function.name in _ENTRY_POINTS
        if is_entry_point or function.name.startswith("_"):
            return None
        parameters = _parameters(function)
        is_handler = parameters is not None and [name.lstrip("_") for name in parameters] == [
            "event",
            "context",
        ]
        return function.name if is_handler else None

    def _decorated_name(self, function: _Function, decorator: ast.expr) -> str | None:
        if _parameters(function) is None:
            self._problem(function, f"handler {function.name!r} must take an event and a context")
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg != "name":
                continue
            value = keyword.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str | None):
                return value.value or function.name
            self._problem(function, "the name in @handler(name=…) must be a literal string")
            return None
        return function.name

    def _decorator(self, function: _Function) -> ast.expr | None:
        for decorator in function.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(called) in self._decorators:
                return decorator
        return None

    def _concurrency(self, function: _Function) -> int | None:
        decorator = self._decorator(function)
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg != "concurrency":
                continue
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
            if value is None or is_concurrency(value):
                return value  # type: ignore[return-value]  # None or an int, as was just seen
            self._problem(
                function, "the limit in @handler(concurrency=…) must be a literal number above 0"
            )
        return None

    def _problem(self, function: _Function, message: str) -> None:
        self._problems.append(f"{self._path}:{function.lineno}: {message}")


def _parameters(function: _Function) -> list[str] | None:
    """The two parameters that a call passes, or None when two do not fit."""
    arguments = function.args
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    has_defaults_beyond_two = len(positional) - len(arguments.defaults) <= 2
    needs_keywords = any(default is None for default in arguments.kw_defaults)
    if len(positional) < 2 or not has_defaults_beyond_two or needs_keywords:
        return None
    return positional[:2]


def _decorator_names(tree: ast.Module) -> Iterator[str]:
    """How this module spells `eventmill.handler`, read from its imports."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in ("eventmill", "eventmill.handler"):
                    yield f"{alias.asname or alias.name}.handler"
                    if alias.asname is None:
                        yield "eventmill.handler"
        elif isinstance(node, ast.ImportFrom) and node.module in ("eventmill", "eventmill.handler"):
            for alias in node.names:
                if alias.name == "handler":
                    yield alias.asname or alias.name
