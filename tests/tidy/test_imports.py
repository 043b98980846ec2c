"""The rings as a plain test: imports point inward, siblings stay apart, and the core is pure.

import-linter checks the same layers, transitively; the last test keeps the two tables equal.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = "src/eventmill/"

# From the inside out. A module may import from the layers before its own and from its own package;
# the packages of one layer never import each other.
LAYERS: Final = (
    ("record",),
    ("instant", "model", "faults"),
    ("errors", "events", "arn", "handler"),
    ("query", "cloud_events"),
    ("asl", "patterns", "schedules"),
    ("triggers",),
    ("machine",),
    ("rows",),
    ("ports", "codec"),
    ("inspection",),
    ("log", "sensors", "executors", "integrations", "objects", "datasets", "graph"),
    ("runtime",),
    ("rehearsal",),
    ("api", "cli", "testing"),
    ("up", "__main__"),
)
RANK: Final = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

# Rings 0 to 2. Two more lie as far inside and belong to no ring: `handler`, which is for the users'
# side of the world, and `faults`, through which a test ends the process.
PURE: Final = {name for name, rank in RANK.items() if rank <= RANK["machine"]} - {
    "handler",
    "faults",
}
IMPURE_MODULES: Final = {
    *("asyncio", "logging", "os", "pathlib", "random", "secrets"),
    *("socket", "subprocess", "threading", "time", "uuid"),
}
IMPURE_CALLS: Final = {"open", "print", "input"}
# Arithmetic with dates is pure; these know no other time than the one they are given.
MAY_USE_DATETIME: Final = {
    "src/eventmill/instant.py",
    # Time zones. Their rules are read from the IANA database when a schedule is read, once.
    "src/eventmill/schedules/zone.py",
    # cronsim takes dates.
    "src/eventmill/schedules/crontab.py",
}

# Packages that people import from, as they do from the root.
PUBLIC: Final = {"testing"}

# A subcommand is imported when it is called, so that `eventmill --help` answers at once.
MAY_IMPORT_LATE: Final = {"cli"}


@pytest.fixture(scope="session")
def modules(sources: dict[str, str]) -> dict[str, ast.Module]:
    """The modules of the package, by their path from the root of the project."""
    return {
        path: ast.parse(text, path) for path, text in sources.items() if path.startswith(PACKAGE)
    }


def ring(path: str) -> str:
    """The top-level module or package that a file belongs to; empty for the root package."""
    return path.removeprefix(PACKAGE).split("/")[0].removesuffix(".py").replace("__init__", "")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The modules that are imported somewhere in `tree`, in full, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "eventmill":
            yield from ((f"eventmill.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno


def imported_ring(module: str) -> str | None:
    """The ring that an import reaches: None for other people's code and for the version."""
    package, _, rest = module.partition(".")
    if package != "eventmill" or rest == "__version__":
        return None
    name = rest.split(".")[0]
    # The root package offers what users' handlers import, all of it from `handler`.
    return "handler" if name in {"", "HandlerContext", "HandlerError"} else name


def outward(own: str, name: str) -> str | None:
    """What is wrong when a module of the ring `own` imports from the ring `name`, if anything."""
    if own not in RANK or name not in RANK:
        new = own if own not in RANK else name
        return f"{new} is in no layer: add it to LAYERS here and to the layers in pyproject.toml"
    if RANK[name] > RANK[own]:
        return f"{name} lies further out than {own}: move what both need inward"
    if RANK[name] == RANK[own] and name != own:
        return f"{name} is a sibling of {own}, and siblings may not know each other"
    return None


def impurities(path: str, module: ast.Module) -> Iterator[tuple[int, str]]:
    banned = IMPURE_MODULES if path in MAY_USE_DATETIME else IMPURE_MODULES | {"datetime"}
    for name, line in imports(module):
        if name.split(".")[0] in banned:
            yield line, f"import {name}"
    for node in ast.walk(module):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "async"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in IMPURE_CALLS
        ):
            yield node.lineno, f"{node.func.id}()"


def test_imports_point_inward_and_siblings_stay_apart(modules: dict[str, ast.Module]) -> None:
    wrong = [
        f"{path}:{line}: {problem}"
        for path, module in modules.items()
        for name, line in imports(module)
        if ring(path) and (reached := imported_ring(name))
        if (problem := outward(ring(path), reached))
    ]

    assert not wrong, "\n".join(wrong)


def test_imports_are_written_in_full(modules: dict[str, ast.Module]) -> None:
    relative = [
        f"{path}:{line}: write `from eventmill.… import …` in full"
        for path, module in modules.items()
        for name, line in imports(module)
        if name.startswith(".")
    ]

    assert not relative, "\n".join(relative)


def test_imports_stand_at_the_top(modules: dict[str, ast.Module]) -> None:
    late = [
        f"{path}:{line}: import {name} at the top; if that makes a circle, a type lies too far out"
        for path, module in modules.items()
        if ring(path) not in MAY_IMPORT_LATE
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for name, line in imports(function)
    ]

    assert not late, "\n".join(late)


def test_the_core_is_pure(modules: dict[str, ast.Module]) -> None:
    impure = [
        f"{path}:{line}: {what}: rings 0 to 2 do no I/O, know no time and never wait; "
        "let the shell do it and bring the outcome in as a fact"
        for path, module in modules.items()
        if ring(path) in PURE
        for line, what in impurities(path, module)
    ]

    assert not impure, "\n".join(impure)


def test_inner_packages_are_empty(sources: dict[str, str]) -> None:
    full = [
        f"{path}: put this into a module with a name of its own"
        for path, text in sources.items()
        if path.startswith(PACKAGE) and path.endswith("/__init__.py") and text
        if ring(path) not in {"", *PUBLIC}
    ]

    assert not full, "\n".join(full)


def test_the_root_package_reaches_only_what_handlers_need(modules: dict[str, ast.Module]) -> None:
    reached = {imported_ring(name) for name, _ in imports(modules[f"{PACKAGE}__init__.py"])}

    assert reached == {"handler"}, "Python runs this file before all others, in every worker too"


def test_the_layers_are_those_of_import_linter(project_root: Path) -> None:
    configuration = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = configuration["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    pure = next(each for each in contracts if each["type"] == "forbidden")

    def named(modules: list[str]) -> set[str]:
        return {module.strip().removeprefix("eventmill.") for module in modules}

    assert [named(layer.split("|")) for layer in reversed(layers)] == [set(each) for each in LAYERS]
    assert named(pure["source_modules"]) == PURE
    assert set(pure["forbidden_modules"]) == IMPURE_MODULES


@pytest.mark.parametrize(
    ("own", "name", "fine"),
    [
        ("log", "ports", True),
        ("log", "log", True),
        ("log", "sensors", False),
        ("machine", "ports", False),
        ("api", "cli", False),
        ("asl", "query", True),
        ("runtime", "utils", False),
        ("utils", "model", False),
    ],
)
def test_what_counts_as_outward(own: str, name: str, fine: bool) -> None:
    assert (outward(own, name) is None) is fine


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("import os.path", [(1, "import os.path")]),
        ("from datetime import date", [(1, "import datetime")]),
        ("async def f(): pass", [(1, "async")]),
        ("text = open(name)", [(1, "open()")]),
        ("import re", []),
    ],
)
def test_what_counts_as_impure(statement: str, found: list[tuple[int, str]]) -> None:
    assert list(impurities("src/eventmill/model.py", ast.parse(statement))) == found
