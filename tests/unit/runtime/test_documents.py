from pathlib import Path

import pytest

from eventmill.errors import ProjectError
from eventmill.model import Json
from eventmill.runtime.documents import load_document, read_document


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problem(path: Path) -> str:
    with pytest.raises(ProjectError) as raised:
        load_document(path)
    (line,) = raised.value.problems
    return line.removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("day: 2026-01-02\nat: 12:30\nanswer: no\nswitch: on", None),
        ("[010, 0o10, 0x1F, -3, +4]", [10, 8, 31, -3, 4]),
        ("[1.5, 1e3, .5, 1., true, False, null, ~, '1', NULL]",
         [1.5, 1000.0, 0.5, 1.0, True, False, None, None, "1", None]),
        ("a:\nb: ''", {"a": None, "b": ""}),
        ("one: &it {a: [1]}\ntwo: *it", {"one": {"a": [1]}, "two": {"a": [1]}}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("=: x", {"=": "x"}),
        ("a: !!str 1", {"a": "1"}),
        ("", None),
        ('{"a": "\\u00e9", "b": [1, 2]}', {"a": "é", "b": [1, 2]}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)  # fmt: skip
def test_yaml_means_what_json_would(tmp_path: Path, text: str, value: Json) -> None:
    strings: Json = {"day": "2026-01-02", "at": "12:30", "answer": "no", "switch": "on"}

    assert load_document(written(tmp_path, "a.yaml", text)) == (value or strings if text else None)


def test_reads_json(tmp_path: Path) -> None:
    assert load_document(written(tmp_path, "a.json", '\ufeff{"a": [1, 2.5, "é", null]}')) == {
        "a": [1, 2.5, "é", None]
    }


def test_knows_the_line_of_each_value_of_yaml(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "a.yml", "a:\n  - 1\n  - b/c: 2\n    d~e: 3\n"))

    assert document.lines == {"": 1, "/a": 2, "/a/0": 2, "/a/1": 3, "/a/1/b~1c": 3, "/a/1/d~0e": 4}
    assert document.problem("/a/1", "is wrong") == f"{document.path}:3: /a/1: is wrong"
    assert document.problem("/x", "is missing") == f"{document.path}: /x: is missing"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '{"a": 1,\n "b": }', ":2:7: not JSON: Expecting value"),
        ("a.json", '{"a": 1, "b": 2, "a": 3}', ": the key 'a' occurs twice in one object"),
        ("a.json", "[NaN]", ": NaN is not JSON"),
        ("a.json", "[2e422]", ": the number 2e422 is too large"),
        ("a.json", '["\\ud800"]', ": a string holds half of a surrogate pair"),
        ("a.json", "[" * 100_000, ": the document is nested too deeply"),
        ("a.json", b'{\n"a": "\xff"}', ":2:7: not UTF-8"),
        ("a.json", "", ":1:1: not JSON: Expecting value"),
        ("a.yaml", "a: 1\nb: [1", ":2:6: not YAML: while parsing a flow sequence "
         "expected ',' or ']', but got '<stream end>'"),
        ("a.yaml", "a: 1\nb: 2\na: 3", ":3:1: the key 'a' occurs twice in one mapping"),
        ("a.yaml", "a: .nan", ":1:4: .nan is not a number that JSON has"),
        ("a.yaml", "a: 1e999", ":1:4: 1e999 is not a number that JSON has"),
        ("a.yaml", "1: x", ":1:1: a key is not a string: put it in quotes"),
        ("a.yaml", "[a]: x", ":1:1: a key is not a string: put it in quotes"),
        ("a.yaml", "a: !!binary aGk=", ":1:4: the tag tag:yaml.org,2002:binary is not JSON"),
        ("a.yaml", "a: !!set {x}", ":1:4: the tag tag:yaml.org,2002:set is not JSON"),
        ("a.yaml", "a: !!python/object:os.system x", ":1:4: the tag "
         "tag:yaml.org,2002:python/object:os.system is not JSON"),
        ("a.yaml", "a: 1\n---\nb: 2", ":2:1: not YAML: expected a single document in the stream "
         "but found another document"),
        ("a.yaml", "a: &x [*x]", ":1:4: an alias stands inside of what it repeats"),
        ("a.yaml", "a: *nobody", ":1:4: not YAML: found undefined alias 'nobody'"),
        ("a.yaml", "a: \x07", ":1:4: not YAML: special characters are not allowed"),
        ("a.yaml", "[" * 20_000, ": the document is nested too deeply"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_and_where(
    tmp_path: Path, name: str, text: str | bytes, expected: str
) -> None:
    assert problem(written(tmp_path, name, text)) == expected


def test_refuses_an_explosion_of_aliases(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert problem(written(tmp_path, "a.yaml", "\n".join(lines))) == (
        ": more than 100000 values, aliases counted each time"
    )


def test_refuses_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert problem(tmp_path / "none.json") == ": cannot be read: No such file or directory"
    assert problem(tmp_path) == ": cannot be read: Is a directory"
    assert problem(written(tmp_path, "big.json", b" " * 4_194_305)) == ": larger than 4194304 bytes"
