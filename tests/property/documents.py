"""JSON of every kind, and small damage to it."""

import json
from typing import Any, Final

from hypothesis import strategies as st

NAMES: Final = st.sampled_from(["a", "b", "k", "n", "items", "text", "", "a b", "é", "$", "a.b"])
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([0.5, -0.0, 1.0, 1e300, -1e308, 2**53 + 1, 2**63, -(2**63), 2**64 - 1])
    | st.sampled_from(["", "a", "2024-01-01T00:00:00Z", "12", "\u20ac\U0001f600", "$.a", "x*"])
    | st.text(max_size=4)
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=14,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document, as container and key."""
    places: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        container = pending.pop()
        if isinstance(container, dict | list):
            keys = list(container) if isinstance(container, dict) else range(len(container))
            places += [(container, key) for key in keys]
            pending += [container[key] for key in keys]
    return places


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> Any:
    """A document of which a few parts are dropped, replaced, moved or doubled."""
    document = json.loads(json.dumps(draw(documents)))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        other, other_key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["drop", "replace", "move", "rename", "double"])):
            case "drop":
                del container[key]
            case "replace":
                container[key] = draw(SCALARS | VALUES)
            case "move":
                container[key] = _copy(other[other_key])
            case "rename" if isinstance(container, dict):
                container[draw(NAMES | st.just(str(other_key)))] = container.pop(key)
            case _ if isinstance(container, list):
                container.insert(0, _copy(container[key]))
            case _:
                container[f"{key}.$"] = _copy(container[key])
    return document


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))
