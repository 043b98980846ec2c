"""The scopes of a definition: the machine itself and every state machine inside its states.

Reads the raw document, so that it finds them even when the states themselves have mistakes.
"""

from collections.abc import Iterator

from eventmill.asl.report import Place
from eventmill.model import Json
from eventmill.record import record


@record
class Scope:
    """The machine itself, a branch of a Parallel or the processor of a Map.

    `outer` is the scope around it, None for the machine. What a `distributed` processor runs
    cannot read the variables of the scopes around it.
    """

    place: Place
    start_at: str | None
    states: dict[str, Json]
    outer: "Scope | None" = None
    distributed: bool = False

    def objects(self) -> Iterator[tuple[str, dict[str, Json], Place]]:
        """The states that are objects: name, fields and place."""
        for name, state in self.states.items():
            if isinstance(state, dict):
                yield name, state, self.place.field("States").field(name)


def ways_of(state: dict[str, Json], place: Place) -> Iterator[tuple[dict[str, Json], Place]]:
    """The objects in which a state may say `Next` and `Assign`: itself, its rules and catchers."""
    yield state, place
    for field in ("Choices", "Catch"):
        entries = state.get(field)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                yield entry, place.field(field).item(index)


def scopes_of(document: dict[str, Json]) -> Iterator[Scope]:
    """Every scope in the order of the text, an outer one before those inside it."""
    pending: list[tuple[Json, Place, Scope | None]] = [(document, Place(), None)]
    while pending:
        value, place, outer = pending.pop()
        states = value.get("States") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(states, dict):
            continue
        start_at = value.get("StartAt")
        scope = Scope(
            place=place,
            start_at=start_at if isinstance(start_at, str) else None,
            states=states,
            outer=outer,
            distributed=_is_distributed(value),
        )
        yield scope
        inner = [
            (each, at, scope)
            for _, state, state_place in scope.objects()
            for each, at in _inner(state, state_place)
        ]
        pending += reversed(inner)


def _is_distributed(processor: dict[str, Json]) -> bool:
    config = processor.get("ProcessorConfig")
    return isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED"


def _inner(state: dict[str, Json], place: Place) -> Iterator[tuple[Json, Place]]:
    if state.get("Type") == "Parallel" and isinstance(branches := state.get("Branches"), list):
        for index, branch in enumerate(branches):
            yield branch, place.field("Branches").item(index)
    elif state.get("Type") == "Map":
        for name in ("ItemProcessor", "Iterator"):
            if name in state:
                yield state[name], place.field(name)
