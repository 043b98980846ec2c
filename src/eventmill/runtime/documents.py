"""Files of the project that hold one JSON or YAML document.

YAML is read by the rules of YAML 1.2's core schema, so that it means what the same text would mean
as JSON: dates stay strings, `no` and `on` are strings, `010` is ten.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from eventmill.errors import ProjectError
from eventmill.model import Json, encode_json
from eventmill.record import record

YAML_SUFFIXES: Final = (".yaml", ".yml")
DOCUMENT_BYTES_MAX: Final = 4_194_304
DOCUMENT_VALUES_MAX: Final = 100_000


@record
class Document:
    """What a file says, and the line on which each value stands (by JSON Pointer)."""

    path: Path
    value: Json
    lines: Mapping[str, int]

    def problem(self, pointer: str, message: str) -> str:
        """One finished line about a mistake at `pointer`, for `ProjectError`."""
        line = self.lines.get(pointer)
        place = f"{self.path}:{line}" if line is not None else str(self.path)
        return f"{place}: {pointer or '/'}: {message}"


def load_document(path: Path) -> Json:
    """The JSON value that the file holds.

    Raises:
        ProjectError: As for `read_document`.
    """
    return read_document(path).value


def read_document(path: Path) -> Document:
    """Read a file of JSON, or of YAML when its name ends like that.

    Raises:
        ProjectError: The file cannot be read, is too large, is not UTF-8, is broken, says one key
            twice, or holds what JSON cannot express. The message names file, line and column.
    """
    text = _read(path)
    try:
        if path.suffix.lower() in YAML_SUFFIXES:
            document = _read_yaml(path, text)
        else:
            document = Document(path=path, value=_read_json(text), lines={})
        # Lone surrogates can be escaped in both languages, but are no text.
        encode_json(document.value)
    except _Broken as broken:
        place = "" if broken.line is None else f":{broken.line}:{broken.column}"
        raise ProjectError([f"{path}{place}: {broken}"]) from None
    except RecursionError:
        raise ProjectError([f"{path}: the document is nested too deeply"]) from None
    except UnicodeEncodeError:
        raise ProjectError([f"{path}: a string holds half of a surrogate pair"]) from None
    return document


class _Broken(Exception):
    """What is wrong with a text, and where; line and column count from 1."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line, self.column = line, column


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise ProjectError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise ProjectError([f"{path}: larger than {DOCUMENT_BYTES_MAX} bytes"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - before.rfind(b"\n")
        raise ProjectError([f"{path}:{line}:{column}: not UTF-8"]) from None


def _read_json(text: str) -> Json:
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise _Broken(f"not JSON: {error.msg}", error.lineno, error.colno) from None
    except ValueError as error:
        # Python refuses to read integers of many thousand digits.
        raise _Broken(f"not JSON: {error}") from None
    return value


def _object_without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Broken(f"the key {twice!r} occurs twice in one object")
    return members


def _refuse_constant(text: str) -> Json:
    raise _Broken(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Broken(f"the number {text} is too large")
    return number


class _CoreSchemaLoader(yaml.SafeLoader):
    """Composes nodes whose plain scalars are told apart as in YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML fills it for the class


for _tag, _form, _starts in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreSchemaLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})\\Z"), _starts
    )


def _read_yaml(path: Path, text: str) -> Document:
    try:
        root = yaml.compose(text, Loader=_CoreSchemaLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        raise _broken_at(mark, f"not YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        raise _Broken(f"not YAML: {error.reason}", line, column) from None
    reading = _YamlReading()
    value = reading.value(root, "") if root is not None else None
    return Document(path=path, value=value, lines=reading.lines)


def _broken_at(mark: yaml.Mark | None, message: str) -> _Broken:
    if mark is None:
        return _Broken(message)
    return _Broken(message, mark.line + 1, mark.column + 1)


class _YamlReading:
    """Turns YAML nodes into JSON values and notes the line of each.

    Aliases are read again wherever they occur, which a few lines of YAML can turn into billions of
    values: hence the limit.
    """

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self._values = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, pointer: str) -> Json:
        self._values += 1
        if self._values > DOCUMENT_VALUES_MAX:
            raise _Broken(f"more than {DOCUMENT_VALUES_MAX} values, aliases counted each time")
        if id(node) in self._open:
            raise _broken_at(node.start_mark, "an alias stands inside of what it repeats")
        self.lines[pointer] = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        self._open.add(id(node))
        value = self._collection(node, pointer)
        self._open.remove(id(node))
        return value

    def _collection(self, node: yaml.Node, pointer: str) -> Json:
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [
                self.value(child, f"{pointer}/{index}") for index, child in enumerate(node.value)
            ]
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return dict(self._members(node, pointer))
        raise _broken_at(node.start_mark, f"the tag {node.tag} is not JSON")

    def _members(self, node: yaml.MappingNode, pointer: str) -> Iterator[tuple[str, Json]]:
        seen: set[str] = set()
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode) or not isinstance(name := _scalar(key), str):
                raise _broken_at(key.start_mark, "a key is not a string: put it in quotes")
            if name in seen:
                raise _broken_at(key.start_mark, f"the key {name!r} occurs twice in one mapping")
            seen.add(name)
            yield name, self.value(child, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")


def _scalar(node: yaml.ScalarNode) -> Json:
    text: str = node.value
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if kind == "float":
            return _finite(text.replace(".inf", "inf").replace(".nan", "nan"))
    except (ValueError, _Broken):
        raise _broken_at(node.start_mark, f"{text[:40]} is not a number that JSON has") from None
    raise _broken_at(node.start_mark, f"the tag {node.tag} is not JSON")
