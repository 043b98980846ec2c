"""Which functions of a folder are handlers, by what names, and what is wrong with the rest."""

from pathlib import Path

import pytest

from eventmill.executors.scan import FoundHandler, scan


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(folder: Path) -> dict[str, str]:
    found = scan(folder).handlers.values()
    return {each.name: f"{each.module}.{each.function}" for each in found}


def test_tells_file_and_line_of_a_handler(tmp_path: Path) -> None:
    path = write(tmp_path, "etl/clean.py", "\n\nasync def tidy(event, context): ...\n")
    assert scan(tmp_path).handlers == {
        "tidy": FoundHandler(name="tidy", module="etl.clean", function="tidy", path=path, line=3)
    }


@pytest.mark.parametrize(
    ("source", "handlers"),
    [
        ("async def a(event, context): ...", ["a"]),
        ("def a(event, context): ...", ["a"]),
        ("def a(event, _context): ...", ["a"]),
        ("def a(_event, context, retries=3): ...", ["a"]),
        ("def a(event, context, *, retries=3): ...", ["a"]),
        ("def _a(event, context): ...", []),
        ("def a(left, right): ...", []),
        ("def a(event): ...", []),
        ("def a(event, context, more): ...", []),
        ("def a(event, context, *, needed): ...", []),
        ("class A:\n    def a(event, context): ...", []),
        ("def a():\n    def b(event, context): ...", []),
        ("async def a(x): ...\nasync def a(event, context): ...", ["a"]),
        ("from eventmill import handler\n@handler\nasync def _a(x, y): ...", ["_a"]),
        ("from eventmill import handler\n@handler(name='b.c')\ndef a(x, y): ...", ["b.c"]),
        ("from eventmill import handler\n@handler(timeout_seconds=1)\ndef a(x, y): ...", ["a"]),
        ("from eventmill import handler as h\n@h\ndef a(x, y): ...", ["a"]),
        ("from eventmill.handler import handler\n@handler\ndef a(x, y): ...", ["a"]),
        ("import eventmill\n@eventmill.handler()\ndef a(x, y): ...", ["a"]),
        ("import eventmill as em\n@em.handler\ndef a(x, y): ...", ["a"]),
        ("from other import handler\n@handler\ndef a(x, y): ...", []),
        ("from eventmill import handler\n@handler\ndef a(event, context): ...", ["a"]),
        ("def handler(x, y): ...", ["module"]),
        ("def lambda_handler(x, y): ...\ndef handler(x, y): ...", ["module"]),
        ("def handler(x): ...", []),
        ("def handler(event, context): ...\ndef b(event, context): ...", ["b", "module"]),
    ],
)
def test_knows_a_handler_when_it_sees_one(tmp_path: Path, source: str, handlers: list[str]) -> None:
    write(tmp_path, "module.py", source)
    assert sorted(names(tmp_path)) == handlers
    assert scan(tmp_path).problems == ()


def test_calls_entry_points_by_their_modules(tmp_path: Path) -> None:
    for name in ("a.py", "b/__init__.py", "c/d.py"):
        write(tmp_path, name, "def handler(event, context): ...")
    assert names(tmp_path) == {"a": "a.handler", "b": "b.handler", "c.d": "c.d.handler"}


def test_leaves_out_files_that_cannot_or_should_not_be_imported(tmp_path: Path) -> None:
    for name in ("_private.py", "not-a-name.py", ".hidden/a.py", "__init__.py", "notes.txt"):
        write(tmp_path, name, "def a(event, context): ...")
    assert scan(tmp_path).modules == {}
    assert names(tmp_path) == {}


def test_a_folder_that_is_not_there_has_no_handlers(tmp_path: Path) -> None:
    assert names(tmp_path / "nowhere") == {}


def test_names_both_files_when_handlers_clash(tmp_path: Path) -> None:
    first = write(tmp_path, "a.py", "async def same(event, context): ...")
    second = write(tmp_path, "b.py", "\nasync def same(event, context): ...")
    write(tmp_path, "c.py", "async def other(event, context): ...")
    found = scan(tmp_path)
    assert found.problems == (f"{first}:1 and {second}:2: 2 handlers are called 'same'",)
    assert list(found.clashes) == ["same"]
    assert list(found.handlers) == ["other"]


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("x = 1\nasync def a(event:\n", 2, "'(' was never closed"),
        ("def a(event, context): '\ud800'", 1, ""),
        ("N = 'b'\n@handler(name=N)\ndef a(x, y): ...", 3, "must be a literal string"),
        ("@handler\ndef a(event): ...", 2, "handler 'a' must take an event and a context"),
    ],
)
def test_says_what_is_wrong_and_where(tmp_path: Path, source: str, line: int, message: str) -> None:
    path = tmp_path / "wrong.py"
    prefix = "from eventmill import handler; " if "@" not in source.splitlines()[0] else ""
    text = source if prefix == "" else prefix + source
    if source.startswith("@"):
        text, line = "from eventmill import handler\n" + source, line + 1
    path.write_bytes(text.encode(errors="surrogatepass"))
    write(tmp_path, "right.py", "async def right(event, context): ...")
    [problem] = scan(tmp_path).problems
    assert problem.startswith(f"{path}:{line}: ")
    assert message in problem
    assert "right" in names(tmp_path)


@pytest.mark.parametrize(
    ("decorator", "limit"),
    [
        ("@handler", None),
        ("@handler()", None),
        ("@handler(concurrency=None)", None),
        ("@handler(concurrency=3)", 3),
        ("@handler(name='b', timeout_seconds=1, concurrency=1)", 1),
    ],
)
def test_reads_how_many_calls_may_run_at_once(
    tmp_path: Path, decorator: str, limit: int | None
) -> None:
    source = f"from eventmill import handler\n{decorator}\ndef a(event, context): ..."
    write(tmp_path, "work.py", source)
    found = scan(tmp_path)
    assert [each.concurrency for each in found.handlers.values()] == [limit]
    assert found.problems == ()


@pytest.mark.parametrize("limit", ["0", "-1", "True", "1.5", "'3'", "LIMIT", "1 + 1"])
def test_a_limit_must_be_a_literal_number(tmp_path: Path, limit: str) -> None:
    source = f"from eventmill import handler\n@handler(concurrency={limit})\ndef a(e, c): ..."
    path = write(tmp_path, "work.py", source)
    assert scan(tmp_path).problems == (
        f"{path}:3: the limit in @handler(concurrency=…) must be a literal number above 0",
    )


def test_what_can_be_called_and_what_it_means(tmp_path: Path) -> None:
    source = "from eventmill import handler\n@handler(name='b')\ndef a(event, context): ..."
    write(tmp_path, "work.py", source)
    found = scan(tmp_path)
    assert [found.has(name) for name in ("b", "work.a", "work.c", "a", "other.a")] == [
        *(True, True, True, False, False),
    ]
    assert [found.full_name(name) for name in ("b", "work.a", "a")] == ["work.a", "work.a", "a"]
