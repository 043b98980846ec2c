"""JSONPath as Step Functions has it: Jayway's semantics, compiled to closures.

Knows nothing of states; each user of a path words its own failure.
"""

from collections.abc import Callable, Sequence
from typing import Final

from eventmill.errors import AuthorError
from eventmill.model import Json, Payload, encode_json
from eventmill.query.environment import Environment
from eventmill.query.path_parser import NOT_A_REFERENCE_PATH, PathSyntaxError, parse_path
from eventmill.query.path_segments import ParsedPath
from eventmill.query.path_steps import (
    IndexOutOfRange,
    NotAnArray,
    PathNotFound,
    Walk,
    compile_gather,
    compile_walk,
    is_definite,
    member_steps,
    root_value,
)

__all__ = [
    "IndexOutOfRange",
    "NotAnArray",
    "Path",
    "PathNotFound",
    "PathSyntaxError",
    "ReferencePath",
    "compile_parsed_path",
    "compile_path",
    "compile_reference_path",
]

Find = Callable[[Environment], Json]


class Path:
    """A compiled path. `definite` paths name one place; the others gather an array.

    `root` is `$`, `$$` or a variable with its dollar. `is_reference` says whether the path is
    a Reference Path of the Amazon States Language: names and indexes only.

    `find(environment)` gives the value at the path; an indefinite path gives an array, empty
    when nothing matches. It raises `PathNotFound` when a definite path leads nowhere. It is a
    closure made for the path, since it is called more than anything else here.
    """

    __slots__ = ("_member", "definite", "find", "is_reference", "root", "text")

    def __init__(self, text: str, parsed: ParsedPath) -> None:
        """Compile `parsed`, which is what `text` says."""
        steps = member_steps(parsed.segments)
        self.text: Final = text
        self.root: Final = parsed.root
        self.definite: Final = is_definite(parsed.segments)
        self.is_reference: Final = steps is not None
        self.find: Final[Find] = _compile_find(parsed, steps, self.definite)
        # The name in `$.name`, a member of the data itself.
        self._member: Final = _only_name(steps) if self.root == "$" else None

    def select(self, environment: Environment) -> Payload:
        """The payload at the path, for InputPath and OutputPath; `$` is the payload itself.

        Raises:
            AuthorError: States.Runtime, in AWS's words, when the path leads nowhere.
        """
        if self.text == "$":
            return environment.data
        if self.text == "$$":
            return environment.context
        if self._member is not None:
            at_hand = environment.data.member(self._member)
            if at_hand is not None:
                return at_hand
        try:
            return Payload.of(self.find(environment))
        except PathNotFound as error:
            cause = f"Invalid path '{self.text}' : {error.detail}"
            raise AuthorError("States.Runtime", cause) from None

    def input_of(self, environment: Environment) -> Payload:
        """The document that the path reads, for messages; an unknown variable's is null."""
        if self.root == "$":
            return environment.data
        if self.root == "$$":
            return environment.context
        return Payload.of(environment.variables.get(self.root[1:]))

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


def _only_name(steps: Sequence[str | int] | None) -> str | None:
    if steps is None or len(steps) != 1:
        return None
    (step,) = steps
    return step if isinstance(step, str) else None


def _compile_find(parsed: ParsedPath, steps: Sequence[str | int] | None, definite: bool) -> Find:
    follow = (compile_walk if definite else compile_gather)(parsed.segments)
    root = parsed.root
    if steps is not None and root == "$":
        if not steps:
            return lambda environment: environment.data.value
        return _compile_chain(tuple(steps), follow)

    def find(environment: Environment) -> Json:
        start = root_value(root, environment)
        return follow(start, (start, environment))

    return find


def _compile_chain(steps: tuple[str | int, ...], follow: Walk) -> Find:
    """The hot path, `$.a[0].b`: subscript, and let the slow walk say what is wrong."""

    def find(environment: Environment) -> Json:
        value = environment.data.value
        try:
            for step in steps:
                # Of all JSON values only a text takes an index without being an array.
                if value.__class__ is str:
                    break
                value = value[step]  # type: ignore[index]  # failing is the test
            else:
                return value
        except (KeyError, IndexError, TypeError):
            pass
        start = environment.data.value
        return follow(start, (start, environment))

    return find


class ReferencePath:
    """A path that names exactly one place (no wildcards, filters or slices); it can be written."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: tuple[str | int, ...]) -> None:
        """Hold the path `text` that consists of `steps`."""
        self.text: Final = text
        self._steps: Final = steps

    def put(self, document: Json, value: Json) -> Json:
        """A copy of `document` in which `value` stands at the path; missing parents are made.

        Only the objects and arrays on the way are copied; `$` gives `value` itself.

        Raises:
            AuthorError: States.ReferencePathConflict, in AWS's words.
        """
        if not self._steps:
            return value
        if not isinstance(document, dict | list):
            shown = encode_json(document).decode()
            raise _conflict(f"Unable to apply ReferencePath {self.text} to input {shown}")
        copy = result = _copied(document, self._steps[0])
        for step, following in zip(self._steps, self._steps[1:], strict=False):
            inner = _copied(_child(copy, step), following)
            _set(copy, step, inner)
            copy = inner
        _set(copy, self._steps[-1], value)
        return result

    def __repr__(self) -> str:
        return f"ReferencePath({self.text!r})"


def _child(parent: Json, step: str | int) -> Json:
    """What stands at `step`, or an empty object where the parent has no such name."""
    if isinstance(parent, dict) and isinstance(step, str):
        return parent.get(step, {})
    assert isinstance(parent, list), "the copy fits the step"
    assert isinstance(step, int), "the copy fits the step"
    return parent[step]


def _copied(parent: Json, step: str | int) -> Json:
    """A copy of `parent` that `step` can be applied to."""
    if isinstance(parent, dict) and isinstance(step, str):
        return dict(parent)
    if isinstance(parent, list) and isinstance(step, int) and -len(parent) <= step < len(parent):
        return list(parent)
    raise _conflict(f'Unable to apply step "{step}" to input {encode_json(parent).decode()}')


def _set(parent: Json, step: str | int, value: Json) -> None:
    if isinstance(parent, dict) and isinstance(step, str):
        parent[step] = value
        return
    assert isinstance(parent, list), "the copy fits the step"
    assert isinstance(step, int), "the copy fits the step"
    parent[step] = value


def _conflict(cause: str) -> AuthorError:
    return AuthorError("States.ReferencePathConflict", cause)


def compile_parsed_path(text: str, parsed: ParsedPath) -> Path:
    """Compile what an outer parser has read; `text` is the path as written."""
    return Path(text, parsed)


def compile_path(text: str) -> Path:
    """Compile a path that may start with `$`, `$$` or `$name`.

    Raises:
        PathSyntaxError: `text` is no such path.
    """
    return Path(text, parse_path(text))


def compile_reference_path(text: str) -> ReferencePath:
    """Compile the path of a ResultPath.

    Raises:
        PathSyntaxError: `text` is no Reference Path into `$`.
    """
    try:
        parsed = parse_path(text)
    except PathSyntaxError as error:
        raise PathSyntaxError(NOT_A_REFERENCE_PATH, error.hint) from None
    steps = member_steps(parsed.segments)
    if steps is None:
        raise PathSyntaxError(NOT_A_REFERENCE_PATH, "expected names and indexes only")
    if parsed.root != "$":
        raise PathSyntaxError(NOT_A_REFERENCE_PATH, "expected a path into $")
    return ReferencePath(text, steps)
