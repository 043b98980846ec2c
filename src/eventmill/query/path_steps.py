"""JSONPath segments compiled to closures: how a path is walked through a document.

Knows nothing of the text of paths; `jsonpath` words what goes wrong for the user.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.query.environment import Environment
from eventmill.query.java import class_name, value_text
from eventmill.query.path_functions import PATH_FUNCTIONS, NoResult
from eventmill.query.path_segments import (
    Call,
    Descent,
    Filter,
    Index,
    Indexes,
    Literally,
    Member,
    Members,
    ParsedPath,
    Segment,
    Slice,
    Wildcard,
)

Scope: TypeAlias = tuple[Json, Environment]
"""What stands still while a path is walked: the document (`$`) and the surroundings."""

Walk: TypeAlias = Callable[[Json, Scope], Json]
Step: TypeAlias = Callable[[list[Json], Scope], list[Json]]
Predicate: TypeAlias = Callable[[Json, Scope], bool]
CompileFilter: TypeAlias = Callable[[Filter], Predicate]

_PROVIDER: Final = "com.jayway.jsonpath.spi.json.JacksonJsonProvider"


class PathNotFound(Exception):
    """A definite path leads nowhere in the data; `detail` is Jayway's message.

    `step` is the name or index that could not be followed and `value` where it was tried.
    """

    def __init__(self, detail: str, step: str = "", value: Json = None) -> None:
        super().__init__(detail)
        self.detail, self.step, self.value = detail, step, value


class IndexOutOfRange(PathNotFound):
    """The last step of the path is an index behind the end of its array."""


class NotAnArray(PathNotFound):
    """An index was applied to something that is no array."""


def is_definite(segments: Sequence[Segment]) -> bool:
    """Whether a path names one place at most.

    Several names at the end are one place, as Jayway gathers them into one object; so is a
    function of all that a descent finds.
    """
    if not segments:
        return True
    *before, last = segments
    if isinstance(last, Call) and any(isinstance(each, Descent) for each in before):
        return True
    return isinstance(last, Member | Index | Call | Members) and all(
        isinstance(each, Member | Index | Call) for each in before
    )


def member_steps(segments: Sequence[Segment]) -> tuple[str | int, ...] | None:
    """The names and indexes of a path that has nothing else, or None."""
    steps: list[str | int] = []
    for segment in segments:
        if isinstance(segment, Member):
            steps.append(segment.name)
        elif isinstance(segment, Index):
            steps.append(segment.index)
        else:
            return None
    return tuple(steps)


def compile_walk(segments: Sequence[Segment], compile_filter: CompileFilter) -> Walk:
    """The closure that follows a definite path one by one and says where it ends.

    The closure raises `PathNotFound`.
    """
    if any(isinstance(segment, Descent) for segment in segments):
        *before, last = segments
        assert isinstance(last, Call), "only a function makes a descent definite"
        gather = compile_gather(before, compile_filter)
        reduce = _compile_call(last, compile_filter)
        return lambda value, scope: reduce(gather(value, scope), scope)
    ways = [_compile_way(segments, number, compile_filter) for number in range(len(segments))]

    def walk(value: Json, scope: Scope) -> Json:
        for way in ways:
            value = way(value, scope)
        return value

    return walk


def _compile_way(segments: Sequence[Segment], number: int, compile_filter: CompileFilter) -> Walk:
    segment = segments[number]
    here, there = shown(segments[:number]), shown(segments[: number + 1])
    is_last = number == len(segments) - 1
    missing = f"No results for path: {there}" if is_last else f"Missing property in path {there}"
    if isinstance(segment, Index):
        return _index_way(segment.index, here, f"No results for path: {shown(segments)}", is_last)
    if isinstance(segment, Call):
        return _compile_call(segment, compile_filter)
    assert isinstance(segment, Member | Members), "definite paths have no other segments"

    def member(value: Json, scope: Scope) -> Json:
        if not isinstance(value, dict):
            raise PathNotFound(
                f"Expected to find an object with property {_fragment(segment)} in path {here} "
                f"but found '{class_name(value)}'. This is not a json object according to the "
                f"JsonProvider: '{_PROVIDER}'.",
                segment.name if isinstance(segment, Member) else _fragment(segment),
                value,
            )
        if isinstance(segment, Members):
            return {name: value[name] for name in segment.names if name in value}
        if segment.name not in value:
            raise PathNotFound(missing, segment.name, value)
        return value[segment.name]

    return member


def _index_way(index: int, here: str, missing: str, is_last: bool) -> Walk:
    def item(value: Json, scope: Scope) -> Json:
        if value is None:
            raise PathNotFound(f"The path {here} is null", str(index), value)
        if not isinstance(value, list):
            detail = f"Filter: [{index}] can only be applied to arrays. Current context is: "
            raise NotAnArray(detail + value_text(value), str(index), value)
        if not -len(value) <= index < len(value):
            raise (IndexOutOfRange if is_last else PathNotFound)(missing, str(index), value)
        return value[index]

    return item


def compile_gather(segments: Sequence[Segment], compile_filter: CompileFilter) -> Walk:
    """The closure that gathers all values an indefinite path matches, in Jayway's order."""
    steps: list[Step] = []
    for number, segment in enumerate(segments):
        previous = segments[number - 1] if number else None
        is_last = number == len(segments) - 1
        steps.append(_compile_step(segment, previous, is_last, compile_filter))

    def gather(value: Json, scope: Scope) -> Json:
        values = [value]
        for step in steps:
            values = step(values, scope)
        return values

    return gather


def _compile_step(
    segment: Segment, previous: Segment | None, is_last: bool, compile_filter: CompileFilter
) -> Step:
    if isinstance(segment, Member):
        name = segment.name
        return lambda values, scope: [
            value[name] for value in values if isinstance(value, dict) and name in value
        ]
    if isinstance(segment, Members):
        return _members_step(segment.names, is_last)
    if isinstance(segment, Index):
        return _indexes_step((segment.index,))
    if isinstance(segment, Indexes):
        return _indexes_step(segment.indexes)
    if isinstance(segment, Slice):
        part = slice(segment.start, segment.stop)
        return lambda values, scope: [
            item for value in values if isinstance(value, list) for item in value[part]
        ]
    if isinstance(segment, Wildcard):
        return lambda values, scope: [item for value in values for item in _children(value)]
    if isinstance(segment, Descent):
        return lambda values, scope: [node for value in values for node in _containers(value)]
    if isinstance(segment, Filter):
        return _filter_step(compile_filter(segment), isinstance(previous, Descent))
    return _call_step(_compile_call(segment, compile_filter))


def _members_step(names: tuple[str, ...], is_last: bool) -> Step:
    if is_last:
        return lambda values, scope: [
            {name: value[name] for name in names if name in value}
            for value in values
            if isinstance(value, dict)
        ]
    return lambda values, scope: [
        value[name]
        for value in values
        if isinstance(value, dict)
        for name in names
        if name in value
    ]


def _indexes_step(indexes: tuple[int, ...]) -> Step:
    return lambda values, scope: [
        value[index]
        for value in values
        if isinstance(value, list)
        for index in indexes
        if -len(value) <= index < len(value)
    ]


def _filter_step(holds: Predicate, after_descent: bool) -> Step:
    """Keep the items of an array, or an object itself, for which the condition holds."""

    def step(values: list[Json], scope: Scope) -> list[Json]:
        kept: list[Json] = []
        for value in values:
            if isinstance(value, dict):
                if holds(value, scope):
                    kept.append(value)
            # A descent comes to every object by itself, and to an array's items through it.
            elif isinstance(value, list) and (not after_descent or holds(value, scope)):
                kept += [item for item in value if holds(item, scope)]
        return kept

    return step


def _call_step(call: Walk) -> Step:
    def step(values: list[Json], scope: Scope) -> list[Json]:
        results: list[Json] = []
        for value in values:
            try:
                results.append(call(value, scope))
            except PathNotFound:
                continue
        return results

    return step


def _compile_call(segment: Call, compile_filter: CompileFilter) -> Walk:
    function = PATH_FUNCTIONS[segment.function]
    readers = [compile_argument(each, compile_filter) for each in segment.arguments]

    def call(value: Json, scope: Scope) -> Json:
        try:
            return function(value, [read(value, scope) for read in readers])
        except NoResult as error:
            raise PathNotFound(str(error), segment.function, value) from None

    return call


def compile_argument(argument: ParsedPath | Literally, compile_filter: CompileFilter) -> Walk:
    """The closure that reads a path or a literal inside an expression; `@` is the current value.

    The closure raises `PathNotFound`.
    """
    if isinstance(argument, Literally):
        constant = argument.value
        return lambda value, scope: constant
    definite = is_definite(argument.segments)
    follow = (compile_walk if definite else compile_gather)(argument.segments, compile_filter)
    root = argument.root
    if root == "@":
        return follow
    if root == "$":
        return lambda value, scope: follow(scope[0], scope)

    def read(value: Json, scope: Scope) -> Json:
        start = root_value(root, scope[1])
        return follow(start, (start, scope[1]))

    return read


def root_value(root: str, environment: Environment) -> Json:
    """What a path starts from: `$`, `$$`, or the variable `$name`.

    Raises:
        PathNotFound: There is no such variable.
    """
    if root == "$":
        return environment.data.value
    if root == "$$":
        return environment.context.value
    name = root[1:]
    if name not in environment.variables:
        raise PathNotFound(f"Variable '{name}' is not defined", name)
    return environment.variables[name]


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _containers(value: Json) -> Iterator[Json]:
    """Every array and object in a value, each before those that it holds."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict | list):
            yield node
            pending.extend(reversed(_children(node)))


def shown(segments: Sequence[Segment]) -> str:
    """A definite path in brackets, as Jayway's messages write it: `$['a'][0]`."""
    return "$" + "".join(_fragment(segment) for segment in segments)


def _fragment(segment: Segment) -> str:
    if isinstance(segment, Member):
        return f"['{segment.name}']"
    if isinstance(segment, Members):
        return "[" + ",".join(f"'{name}'" for name in segment.names) + "]"
    if isinstance(segment, Index):
        return f"[{segment.index}]"
    assert isinstance(segment, Call), "definite paths have no other segments"
    return f".{segment.function}()"
