"""Payload templates: Parameters, ResultSelector, ItemSelector and the like (JSONPath mode)."""

from collections.abc import Callable
from typing import Final, TypeAlias

from eventmill.errors import AuthorError
from eventmill.model import Json, Payload, payload_with
from eventmill.query.environment import Environment
from eventmill.query.intrinsics import NOT_AN_EXPRESSION, compile_intrinsic
from eventmill.query.java import hash_map_order
from eventmill.query.jsonpath import (
    IndexOutOfRange,
    Path,
    PathNotFound,
    PathSyntaxError,
    compile_path,
)

DEPTH_MAX: Final = 200

Build: TypeAlias = Callable[[Environment], Json]
Note: TypeAlias = Callable[[str, str], None]


class Template:
    """A compiled payload template, or a single path or intrinsic (`ErrorPath`, `CausePath`)."""

    __slots__ = ("_render",)

    def __init__(self, render: Callable[[Environment], Payload]) -> None:
        """Hold the closure that makes the payload."""
        self._render = render

    def render(self, environment: Environment) -> Payload:
        """Fill the template in.

        The keys come in AWS's order: literal keys first, in their order, then the `.$` keys in
        the order of Java's HashMap.

        Raises:
            AuthorError: A path leads nowhere (States.Runtime) or an intrinsic fails.
        """
        return self._render(environment)


def compile_template(value: Json, note: Note) -> Template:
    """Compile a template; report each mistake in it as `note(pointer, message)`.

    The pointers are JSON Pointers relative to `value`.
    """
    build = _compile_value(value, "", note, 0)
    if build is None:
        constant = Payload.of(value)
        return Template(lambda environment: constant)
    return Template(lambda environment: payload_with(build(environment), environment.data))


def compile_expression(text: str) -> Template:
    """Compile one path (`$…`, `$$…`) or intrinsic (`States.…(…)`), as ErrorPath takes it.

    Raises:
        PathSyntaxError: `text` is neither.
    """
    if text.startswith("$"):
        return Template(compile_path(text).select)
    return Template(_payload_of(compile_intrinsic(text)))


def _payload_of(build: Build) -> Callable[[Environment], Payload]:
    return lambda environment: Payload.of(build(environment))


def _compile_value(value: Json, pointer: str, note: Note, depth: int) -> Build | None:
    """The closure that builds `value`, or None when it has no `.$` key and stands for itself."""
    if depth > DEPTH_MAX:
        note(pointer, f"The template is nested more than {DEPTH_MAX} levels deep")
        return None
    if isinstance(value, dict):
        return _compile_object(value, pointer, note, depth)
    if isinstance(value, list):
        return _compile_array(value, pointer, note, depth)
    return None


def _compile_array(value: list[Json], pointer: str, note: Note, depth: int) -> Build | None:
    builds = [
        _compile_value(item, f"{pointer}/{index}", note, depth + 1)
        for index, item in enumerate(value)
    ]
    if not any(builds):
        return None
    pairs = list(zip(value, builds, strict=True))
    return lambda environment: [
        item if build is None else build(environment) for item, build in pairs
    ]


def _compile_object(value: dict[str, Json], pointer: str, note: Note, depth: int) -> Build | None:
    literal: dict[str, Json] = {}
    dynamic: dict[str, Build] = {}
    expressions: list[str] = []
    for key, item in value.items():
        here = f"{pointer}/{_escaped(key)}"
        name = key.removesuffix(".$")
        if name == key:
            literal[key] = item
            build = _compile_value(item, here, note, depth + 1)
        else:
            if name in value:
                note(here, f"The field '{name}' is given twice, with and without '.$'")
            expressions.append(name)
            build = _compile_field(key, item, here, note)
        if build is not None:
            dynamic[name] = build
    if not dynamic and not expressions:
        return None
    skeleton = literal | dict.fromkeys(hash_map_order(expressions))
    fields = list(dynamic.items())

    def build_object(environment: Environment) -> Json:
        # Only the order of the keys is HashMap's; the fields are evaluated as written.
        result = dict(skeleton)
        for name, build in fields:
            result[name] = build(environment)
        return result

    return build_object


def _compile_field(key: str, value: Json, pointer: str, note: Note) -> Build | None:
    try:
        if not isinstance(value, str):
            raise PathSyntaxError(NOT_AN_EXPRESSION)
        if value.startswith("$"):
            return _compile_path_field(key, compile_path(value))
        return compile_intrinsic(value)
    except PathSyntaxError:
        note(
            pointer,
            f"The value for the field '{key}' must be a valid JSONPath "
            "or a valid intrinsic function call",
        )
        return None


def _compile_path_field(key: str, path: Path) -> Build:
    find = path.find

    def build(environment: Environment) -> Json:
        try:
            return find(environment)
        except IndexOutOfRange:
            return None
        except PathNotFound:
            shown = path.input_of(environment).text.decode()
            raise AuthorError(
                "States.Runtime",
                f"The JSONPath '{path.text}' specified for the field '{key}' "
                f"could not be found in the input '{shown}'",
            ) from None

    return build


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
