"""JSONPath segments compiled to closures: how a path is walked through a document.

Knows nothing of the text of paths; `jsonpath` words what goes wrong for the user.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from eventmill.model import Json
from eventmill.query import path_segments as syntax
from eventmill.query.environment import Environment
from eventmill.query.java import class_name, value_text
from eventmill.query.path_comparisons import COMPARISONS, Missing, Operand, text_of
from eventmill.query.path_functions import PATH_FUNCTIONS, NoResult

Scope: TypeAlias = tuple[Json, Environment]
"""What stands still while a path is walked: the document (`$`) and the surroundings."""

Walk: TypeAlias = Callable[[Json, Scope], Json]
Step: TypeAlias = Callable[[list[Json], Scope], list[Json]]
Predicate: TypeAlias = Callable[[Json, Scope], bool]
Read: TypeAlias = Callable[[Json, Scope], Operand]

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


def is_definite(segments: Sequence[syntax.Segment]) -> bool:
    """Whether a path names one place at most.

    Several names at the end are one place, as Jayway gathers them into one object; so is a
    function of all that a descent finds.
    """
    if not segments:
        return True
    *before, last = segments
    if isinstance(last, syntax.Call) and any(isinstance(each, syntax.Descent) for each in before):
        return True
    return isinstance(last, syntax.Member | syntax.Index | syntax.Call | syntax.Members) and all(
        isinstance(each, syntax.Member | syntax.Index | syntax.Call) for each in before
    )


def member_steps(segments: Sequence[syntax.Segment]) -> tuple[str | int, ...] | None:
    """The names and indexes of a path that has nothing else, or None."""
    steps: list[str | int] = []
    for segment in segments:
        match segment:
            case syntax.Member(name=step) | syntax.Index(index=step):
                steps.append(step)
            case _:
                return None
    return tuple(steps)


def compile_walk(segments: Sequence[syntax.Segment]) -> Walk:
    """The closure that follows a definite path one by one and says where it ends.

    The closure raises `PathNotFound`.
    """
    if any(isinstance(segment, syntax.Descent) for segment in segments):
        *before, last = segments
        assert isinstance(last, syntax.Call), "only a function makes a descent definite"
        gather = compile_gather(before)
        reduce = _compile_call(last)
        return lambda value, scope: reduce(gather(value, scope), scope)
    ways = [_compile_way(segments, number) for number in range(len(segments))]

    def walk(value: Json, scope: Scope) -> Json:
        for way in ways:
            value = way(value, scope)
        return value

    return walk


def _compile_way(segments: Sequence[syntax.Segment], number: int) -> Walk:
    segment = segments[number]
    here, there = shown(segments[:number]), shown(segments[: number + 1])
    is_last = number == len(segments) - 1
    missing = f"No results for path: {there}" if is_last else f"Missing property in path {there}"
    if isinstance(segment, syntax.Index):
        return _index_way(segment.index, here, f"No results for path: {shown(segments)}", is_last)
    if isinstance(segment, syntax.Call):
        return _compile_call(segment)
    assert isinstance(segment, syntax.Member | syntax.Members), "no others are definite"

    def member(value: Json, scope: Scope) -> Json:
        if not isinstance(value, dict):
            raise PathNotFound(
                f"Expected to find an object with property {_fragment(segment)} in path {here} "
                f"but found '{class_name(value)}'. This is not a json object according to the "
                f"JsonProvider: '{_PROVIDER}'.",
                segment.name if isinstance(segment, syntax.Member) else _fragment(segment),
                value,
            )
        if isinstance(segment, syntax.Members):
            return _picked(value, segment.names)
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


def compile_gather(segments: Sequence[syntax.Segment]) -> Walk:
    """The closure that gathers all values an indefinite path matches, in Jayway's order."""
    steps: list[Step] = []
    for number, segment in enumerate(segments):
        after_descent = number > 0 and isinstance(segments[number - 1], syntax.Descent)
        steps.append(_compile_step(segment, after_descent, number == len(segments) - 1))

    def gather(value: Json, scope: Scope) -> Json:
        values = [value]
        for step in steps:
            values = step(values, scope)
        return values

    return gather


def _compile_step(segment: syntax.Segment, after_descent: bool, is_last: bool) -> Step:
    match segment:
        case syntax.Member(name=name):
            return lambda values, scope: [
                value[name] for value in values if isinstance(value, dict) and name in value
            ]
        case syntax.Members(names=names):
            return _members_step(names, is_last)
        case syntax.Index(index=index):
            return _indexes_step((index,))
        case syntax.Indexes(indexes=indexes):
            return _indexes_step(indexes)
        case syntax.Slice(start=start, stop=stop):
            return lambda values, scope: [
                item for value in values if isinstance(value, list) for item in value[start:stop]
            ]
        case syntax.Wildcard():
            return lambda values, scope: [item for value in values for item in _children(value)]
        case syntax.Descent():
            return lambda values, scope: [node for value in values for node in _containers(value)]
        case syntax.Filter(condition=condition):
            return _filter_step(_compile_condition(condition), after_descent)
        case syntax.Call():
            return _call_step(_compile_call(segment))


def _members_step(names: tuple[str, ...], is_last: bool) -> Step:
    if is_last:
        return lambda values, scope: [
            _picked(value, names) for value in values if isinstance(value, dict)
        ]
    return lambda values, scope: [
        value[name]
        for value in values
        if isinstance(value, dict)
        for name in names
        if name in value
    ]


def _picked(value: dict[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    return {name: value[name] for name in names if name in value}


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
            with suppress(PathNotFound):
                results.append(call(value, scope))
        return results

    return step


def _compile_call(segment: syntax.Call) -> Walk:
    function = PATH_FUNCTIONS[segment.function]
    readers = [_compile_argument(each) for each in segment.arguments]

    def call(value: Json, scope: Scope) -> Json:
        try:
            return function(value, [read(value, scope) for read in readers])
        except NoResult as error:
            raise PathNotFound(str(error), segment.function, value) from None

    return call


def _compile_argument(argument: syntax.Operand) -> Walk:
    """The closure that reads a path or a literal inside an expression; `@` is the current value.

    The closure raises `PathNotFound`.
    """
    if isinstance(argument, syntax.Literally):
        constant = argument.value
        return lambda value, scope: constant
    definite = is_definite(argument.segments)
    follow = (compile_walk if definite else compile_gather)(argument.segments)
    root = argument.root
    if root == "@":
        return follow
    if root == "$":
        return lambda value, scope: follow(scope[0], scope)

    def read(value: Json, scope: Scope) -> Json:
        start = root_value(root, scope[1])
        return follow(start, (start, scope[1]))

    return read


def _compile_condition(condition: syntax.Condition) -> Predicate:
    match condition:
        case syntax.Both(all=is_and, conditions=conditions):
            parts = [_compile_condition(each) for each in conditions]
            if len(parts) == 2:
                return _compile_pair(is_and, *parts)
            meets = all if is_and else any
            return lambda value, scope: meets(holds(value, scope) for holds in parts)
        case syntax.Not(condition=negated):
            inner = _compile_condition(negated)
            return lambda value, scope: not inner(value, scope)
        case syntax.Exists(path=path):
            read = _compile_read(path)
            # A null counts as absent where only existence is asked for.
            definite = is_definite(path.segments)
            nothing: tuple[Operand, ...] = (None, Missing.MISSING) if definite else ([],)
            return lambda value, scope: read(value, scope) not in nothing
        case syntax.Comparison():
            return _compile_comparison(condition)


def _compile_pair(is_and: bool, one: Predicate, other: Predicate) -> Predicate:
    if is_and:
        return lambda value, scope: one(value, scope) and other(value, scope)
    return lambda value, scope: one(value, scope) or other(value, scope)


def _compile_comparison(condition: syntax.Comparison) -> Predicate:
    left = _compile_read(condition.left)
    if isinstance(condition.right, syntax.Regex):
        matches = condition.right.pattern.fullmatch
        return lambda value, scope: (
            (text := text_of(left(value, scope))) is not None and matches(text) is not None
        )
    compare = COMPARISONS[condition.operator]
    if isinstance(condition.right, syntax.Literally):
        literal = condition.right.value
        return lambda value, scope: compare(left(value, scope), literal)
    right = _compile_read(condition.right)
    return lambda value, scope: compare(left(value, scope), right(value, scope))


def _compile_read(operand: syntax.Operand) -> Read:
    """The closure that reads an operand of a condition; a path may lead nowhere."""
    if isinstance(operand, syntax.ParsedPath) and operand.root == "@":
        steps = member_steps(operand.segments)
        if steps is not None and len(steps) == 1 and isinstance(steps[0], str):
            return _member_reader(steps[0])
    walk = _compile_argument(operand)

    def read(value: Json, scope: Scope) -> Operand:
        try:
            return walk(value, scope)
        except PathNotFound:
            return Missing.MISSING

    return read


def _member_reader(name: str) -> Read:
    return lambda value, scope: (
        value.get(name, Missing.MISSING) if isinstance(value, dict) else Missing.MISSING
    )


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


def shown(segments: Sequence[syntax.Segment]) -> str:
    """A definite path in brackets, as Jayway's messages write it: `$['a'][0]`."""
    return "$" + "".join(_fragment(segment) for segment in segments)


def _fragment(segment: syntax.Segment) -> str:
    if isinstance(segment, syntax.Member):
        return f"['{segment.name}']"
    if isinstance(segment, syntax.Members):
        return "[" + ",".join(f"'{name}'" for name in segment.names) + "]"
    if isinstance(segment, syntax.Index):
        return f"[{segment.index}]"
    assert isinstance(segment, syntax.Call), "definite paths have no other segments"
    return f".{segment.function}()"
