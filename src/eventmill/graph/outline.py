"""What there is to draw: the states of a definition and the transitions between them.

It reads the document and not the compiled machine: a drawing shows the text of conditions, and of
features that do not run here too. Nothing is judged; what is no state or leads nowhere is left out.
"""

from collections.abc import Iterator
from typing import Final

from eventmill.graph.conditions import condition_text, expression_text
from eventmill.graph.drawing import Kind
from eventmill.model import Json
from eventmill.record import record

START: Final = "Start"
END: Final = "End"
_RETRIES_DEFAULT: Final = 3


@record
class Transition:
    """A way from one node to another, by their indexes; `texts` says when it is taken."""

    source: int
    target: int
    kind: Kind
    texts: tuple[str, ...] = ()


@record
class Node:
    """A state with what it holds, or where the execution starts or ends."""

    name: str
    type: str
    detail: str = ""
    retries: tuple[str, ...] = ()
    distributed: bool = False
    branches: "tuple[Outline, ...]" = ()


@record
class Outline:
    """The nodes of a state machine, of a branch or of a processor; `start` is the first's index."""

    nodes: tuple[Node, ...]
    transitions: tuple[Transition, ...]
    start: int = 0


def outline(document: Json) -> Outline:
    """The outline of a whole definition, with the points where it starts and ends.

    `document` is the definition as JSON; whatever in it has not the form of the language is left
    out, so the outline of a definition with mistakes is incomplete.
    """
    inner = _branch(document)
    states = _states(document)
    first = 1  # the index of the first state: before them comes the start
    end = first + len(inner.nodes)
    last = [index for index, (_, state) in enumerate(states, first) if state.get("End") is True]
    nodes = [Node(name="", type=START), *inner.nodes]
    ways = [
        Transition(
            source=each.source + first, target=each.target + first, kind=each.kind, texts=each.texts
        )
        for each in inner.transitions
    ]
    if inner.nodes:
        ways.insert(0, Transition(source=0, target=inner.start + first, kind="Start"))
    if last:
        nodes.append(Node(name="", type=END))
        ways += [Transition(source=index, target=end, kind="End") for index in last]
    return Outline(nodes=tuple(nodes), transitions=tuple(ways))


def _states(branch: Json) -> list[tuple[str, dict[str, Json]]]:
    states = branch.get("States") if isinstance(branch, dict) else None
    if not isinstance(states, dict):
        return []
    return [(name, state) for name, state in states.items() if isinstance(state, dict)]


def _branch(branch: Json) -> Outline:
    states = _states(branch)
    indexes = {name: index for index, (name, _) in enumerate(states)}
    ways: dict[tuple[int, int, Kind], list[str]] = {}
    for source, (_, state) in enumerate(states):
        for target, kind, text in _ways(state):
            # What differs only in its condition is one line with several texts.
            if target in indexes:
                texts = ways.setdefault((source, indexes[target], kind), [])
                texts += [text] if text else []
    start = branch.get("StartAt") if isinstance(branch, dict) else None
    return Outline(
        nodes=tuple(_node(name, state) for name, state in states),
        transitions=tuple(
            Transition(source=source, target=target, kind=kind, texts=tuple(texts))
            for (source, target, kind), texts in ways.items()
        ),
        start=indexes.get(start, 0) if isinstance(start, str) else 0,
    )


def _ways(state: dict[str, Json]) -> Iterator[tuple[str, Kind, str]]:
    """Where a state may lead: the names of states, the kind of transition, and its text."""
    kind = state.get("Type")
    if kind in ("Succeed", "Fail"):
        return
    if kind == "Choice":
        for number, rule in enumerate(_objects(state.get("Choices")), start=1):
            text = condition_text(rule) or f"rule {number}"
            yield from _way(rule.get("Next"), "Choice", text)
        yield from _way(state.get("Default"), "Default", "Default")
        return
    yield from _way(state.get("Next"), "Next", "")
    for catcher in _objects(state.get("Catch")):
        yield from _way(catcher.get("Next"), "Catch", _errors(catcher))


def _way(target: Json, kind: Kind, text: str) -> Iterator[tuple[str, Kind, str]]:
    if isinstance(target, str):
        yield target, kind, text


def _objects(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _errors(handler: dict[str, Json]) -> str:
    """The names that a retrier or catcher stands for."""
    names = handler.get("ErrorEquals")
    texts = [each for each in names if isinstance(each, str)] if isinstance(names, list) else []
    return ", ".join("any error" if each == "States.ALL" else each for each in texts)


# Nodes


def _node(name: str, state: dict[str, Json]) -> Node:
    type = state.get("Type")
    type = type if isinstance(type, str) else ""
    return Node(
        name=name,
        type=type,
        detail=_detail(type, state),
        retries=tuple(_retry(each) for each in _objects(state.get("Retry"))),
        distributed=type == "Map" and _mode(state) == "DISTRIBUTED",
        branches=tuple(_branch(each) for each in _branches(type, state)),
    )


def _branches(type: str, state: dict[str, Json]) -> list[dict[str, Json]]:
    if type == "Parallel":
        return _objects(state.get("Branches"))
    return _objects([_processor(state)]) if type == "Map" else []


def _processor(state: dict[str, Json]) -> Json:
    # AWS renamed `Iterator` to `ItemProcessor` and takes both.
    return state.get("ItemProcessor", state.get("Iterator"))


def _mode(state: dict[str, Json]) -> Json:
    processor = _processor(state)
    config = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
    return config.get("Mode") if isinstance(config, dict) else None


def _retry(retrier: dict[str, Json]) -> str:
    attempts = retrier.get("MaxAttempts", _RETRIES_DEFAULT)
    times = "once" if attempts == 1 else f"{attempts} times"
    return f"{_errors(retrier)}: at most {times}"


def _detail(type: str, state: dict[str, Json]) -> str:
    match type:
        case "Task":
            return _resource(state)
        case "Wait":
            return _waited(state)
        case "Fail":
            return expression_text(state.get("Error", state.get("ErrorPath", type)))
        case "Parallel":
            number = len(_branches(type, state))
            return f"Parallel · {number} {'branch' if number == 1 else 'branches'}"
        case "Map":
            return _map_detail(state)
        case _:
            return type


def _map_detail(state: dict[str, Json]) -> str:
    mode = "distributed" if _mode(state) == "DISTRIBUTED" else "inline"
    limit = state.get("MaxConcurrency")
    at_once = f" · {limit} at once" if isinstance(limit, int) and limit else ""
    return f"Map · {mode}{at_once}"


def _resource(state: dict[str, Json]) -> str:
    """What a Task calls, in short: a function's name, else `service:action`."""
    resource = state.get("Resource")
    if not isinstance(resource, str):
        return "Task"
    parts = resource.split(":")
    if ":lambda:invoke" in resource:
        arguments = state.get("Arguments", state.get("Parameters"))
        function = arguments.get("FunctionName") if isinstance(arguments, dict) else None
        if isinstance(function, str) and function:
            named = function.split(":function:")[-1]
            return f"Lambda {expression_text(named)}"
    if ":function:" in resource:
        return f"Lambda {resource.split(':function:')[1]}"
    if ":activity:" in resource:
        return f"Activity {parts[-1]}"
    return ":".join(parts[5:]) or resource


def _waited(state: dict[str, Json]) -> str:
    for field, form in (
        ("Seconds", "Wait {} s"),
        ("SecondsPath", "Wait {} s"),
        ("Timestamp", "Wait until {}"),
        ("TimestampPath", "Wait until {}"),
    ):
        if field in state:
            return form.format(expression_text(state[field]))
    return "Wait"
