"""A trigger: which events start which state machine, and with what input.

A trigger is one file under `triggers/`. This module knows what such a file may say, and nothing of
files: the shell reads them, and it runs the sensors that the sources describe. Fields are spelled
in AWS's case; `EventPattern` and `Target` mean what they mean in an EventBridge rule.
"""

import re
from collections.abc import Iterable
from typing import Final

from eventmill.arn import is_name
from eventmill.errors import AuthorError
from eventmill.events import TriggerEvent
from eventmill.model import Json, Payload, encode_json
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.matcher import Matcher
from eventmill.query.jsonata import QueryTemplate
from eventmill.query.template import Template
from eventmill.record import record
from eventmill.triggers.fields import Fields, Note
from eventmill.triggers.input import (
    InputRule,
    compile_text,
    digest,
    environment_of,
    parse_input,
)
from eventmill.triggers.overlap import ALLOW, parse_overlap
from eventmill.triggers.policies import NO_POLICIES, Policies, parse_policies
from eventmill.triggers.sources import Source, parse_source

_STATE_MACHINE_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:stateMachine:(?P<name>[^:]+)"
)


class InvalidTrigger(Exception):
    """The trigger has mistakes; `mistakes` lists all of them as (JSON Pointer, message)."""

    def __init__(self, mistakes: Iterable[tuple[str, str]]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{pointer or '/'}: {text}" for pointer, text in self.mistakes))


@record
class Trigger:
    """A trigger, ready to be asked about events of its source; without one, about all events."""

    name: str
    source: Source | None
    state_machine: str  # a name or an ARN
    enabled: bool
    matcher: Matcher | None
    input_rule: InputRule
    name_template: Template | QueryTemplate | None
    overlap: str = ALLOW
    policies: Policies = NO_POLICIES

    def matches(self, envelope: dict[str, Json]) -> bool:
        """Whether the trigger's pattern holds for an event, in its EventBridge form."""
        return self.matcher is None or self.matcher.matches(envelope)

    def input_for(self, event: TriggerEvent) -> Payload:
        """The input of the execution that `event` starts.

        Raises:
            AuthorError: The event lacks what the input is made of.
        """
        return self.input_rule(event)

    def execution_name(self, event: TriggerEvent) -> str:
        """The name of the execution that `event` starts: the same whenever it is asked for.

        Without `ExecutionName` it follows from the trigger and from the event's source and id.
        With it, events that give the same text give the same name, so the later ones start
        nothing. Characters that a name may not have become dashes; a digest keeps such names, and
        those that are too long, apart.

        Raises:
            AuthorError: `ExecutionName` leads nowhere in the event, or not to a text.
        """
        if self.name_template is None:
            return f"{self.name[:47]}-{digest(self.name, event.source, event.id, length=32)}"
        text = self.name_template.render(environment_of(event)).value
        if not isinstance(text, str) or not text:
            shown = encode_json(text).decode()[:100]
            raise AuthorError("States.Runtime", f"ExecutionName must give a text, not {shown}")
        if is_name(text):
            return text
        safe = "".join(character if is_name(character) else "-" for character in text[:63])
        return f"{safe}-{digest(text, length=16)}"

    def batch_name(self, events: Iterable[tuple[str, str]]) -> str:
        """The name of the execution that these events (source, id) start together."""
        parts = [part for event in events for part in event]
        return f"{self.name[:47]}-{digest(self.name, *parts, length=32)}"


def parse_trigger(name: str, value: Json) -> Trigger:
    """Read a trigger from the value of its file; `name` is the file's name without suffix.

    Raises:
        InvalidTrigger: The value is no trigger; all mistakes are listed.
    """
    mistakes: list[tuple[str, str]] = []

    def note(pointer: str, message: str) -> None:
        mistakes.append((pointer, message))

    if not is_name(name):
        note("", f"the file's name {name!r} cannot name a trigger: {_NAME_RULE}")
    fields = Fields(value, "", note)
    fields.text("Comment")
    enabled = fields.flag("Enabled", default=True)
    # Without a source it is a rule on the bus, as in EventBridge.
    source = parse_source(fields.object("Source")) if fields.has("Source") else None
    matcher = _parse_pattern(fields, note)
    target = fields.object("Target")
    state_machine = _parse_state_machine(target)
    input_rule = parse_input(target, name)
    name_template = compile_text(target, "ExecutionName")
    overlap = parse_overlap(target)
    policies = parse_policies(target, overlap)
    target.refuse_others()
    fields.refuse_others()
    if mistakes:
        raise InvalidTrigger(mistakes)
    return Trigger(
        name=name,
        source=source,
        state_machine=state_machine,
        enabled=enabled,
        matcher=matcher,
        input_rule=input_rule,
        name_template=name_template,
        overlap=overlap,
        policies=policies,
    )


_NAME_RULE: Final = '1 to 80 characters, without spaces and without any of <>{}[]?*"#%\\^|~`$&,;:/'


def _parse_pattern(fields: Fields, note: Note) -> Matcher | None:
    if not fields.has("EventPattern"):
        if not fields.has("Source"):
            fields.miss(
                "EventPattern",
                ": without a Source the trigger listens to all events, "
                "and says by its pattern which of them it takes",
            )
        return None
    return compile_pattern(
        fields.take("EventPattern"),
        lambda pointer, message: note(f"/EventPattern{pointer}", message),
    )


def _parse_state_machine(target: Fields) -> str:
    reference = target.text("StateMachine", required=True)
    arn = _STATE_MACHINE_ARN.fullmatch(reference)
    if reference and not is_name(arn["name"] if arn else reference):
        target.note(
            f"{reference!r} is neither the name of a state machine nor its ARN", "StateMachine"
        )
    return reference
