"""Everything that an execution knows, as text that can be compared: each slot of each frame."""

from collections.abc import Mapping
from typing import Any, Final

from eventmill.machine.execution import Execution, Frame, RunningTask
from eventmill.model import Payload
from tests.attributes import attribute_names

# The instant of a decision is no part of the history; the items of a Map are a cache; the timers
# and the tasks cut off are compared by what they mean.
_OMITTED: Final = frozenset({"now_ms", "items", "_timers", "abandoned"})
# The other end of these is compared where it is at home.
_BY_ID: Final = frozenset({"parent", "frames", "tasks"})


def described(execution: Execution) -> dict[str, str]:
    """Each attribute of the execution and of its frames, by a path to it."""
    found: dict[str, str] = {}
    _add(found, "execution", _attributes(execution))
    for id, frame in execution.frames.items():
        _add(found, f"frame {id}", _attributes(frame))
    found["next due"] = repr(execution.next_due_ms())
    return found


def _attributes(value: object) -> dict[str, Any]:
    return {name: getattr(value, name) for name in attribute_names(value)}


def differences(one: Execution, other: Execution) -> dict[str, tuple[str | None, str | None]]:
    """Where two executions differ, and how; a value counts as it is written and as it is read."""
    first, second = described(one), described(other)
    return {
        name: (first.get(name), second.get(name))
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    }


def _add(found: dict[str, str], where: str, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if name not in _OMITTED:
            found[f"{where}.{name}"] = _ids(value) if name in _BY_ID else _text(value)


def _ids(value: Any) -> str:
    if isinstance(value, dict):
        return repr({key: frame.id for key, frame in value.items()})
    return repr(value and value.id)


def _text(value: Any) -> str:
    if isinstance(value, Payload):
        # The value of a payload that was computed must be the one that its text gives.
        return f"{value.text!r} {value.value!r}"
    if isinstance(value, Frame):
        return f"frame {value.id}"
    if isinstance(value, RunningTask):
        return _text(_attributes(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if hasattr(value, "name") and hasattr(value, "language"):
        return f"state {value.name}"
    return repr(value) if not hasattr(value, "start_at") else "the machine"
