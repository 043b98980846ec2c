"""Triggers that listen to the same events."""

from collections.abc import Iterable
from typing import Final

from eventmill.events import TriggerEvent
from eventmill.patterns.index import PatternIndex
from eventmill.triggers.trigger import Trigger


class Listeners:
    """Triggers, in order, those switched off among them; asked all at once about an event."""

    def __init__(self, triggers: Iterable[Trigger]) -> None:
        self.triggers: Final = tuple(triggers)
        self._enabled = [trigger for trigger in self.triggers if trigger.enabled]
        self._index = PatternIndex([trigger.matcher for trigger in self._enabled])

    def of(self, event: TriggerEvent) -> list[Trigger]:
        """The triggers that an event starts something for: enabled, and the pattern holds."""
        if not self._enabled:
            return []
        return [self._enabled[number] for number in self._index.matching(event.envelope())]
