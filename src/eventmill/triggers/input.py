"""What a target's execution gets as its input: EventBridge's Input, InputPath, InputTransformer."""

import hashlib
import re
from collections.abc import Callable
from itertools import count
from typing import Final, TypeAlias

from eventmill.errors import AuthorError
from eventmill.events import TriggerEvent
from eventmill.instant import format_instant
from eventmill.model import Json, Payload, decode_json, encode_json
from eventmill.query.environment import Environment, no_context
from eventmill.query.jsonata import QueryTemplate, compile_query_template, is_query
from eventmill.query.jsonpath import Path, PathNotFound, PathSyntaxError
from eventmill.query.template import Template, compile_expression
from eventmill.triggers.fields import Fields, hint

VARIABLES_MAX: Final = 100  # EventBridge's quota for InputPathsMap

InputRule: TypeAlias = Callable[[TriggerEvent], Payload]

_EVENT_ONLY: Final = frozenset({"input"})  # the only member that $states has here
_INPUT_FIELDS: Final = ("Input", "InputPath", "InputTransformer")


def parse_input(target: Fields, trigger: str) -> InputRule:
    """How `target` makes an input of an event; mistakes are noted in it."""
    given = [name for name in _INPUT_FIELDS if target.has(name)]
    for name in given[1:]:
        target.note(f"a target has at most one of {', '.join(_INPUT_FIELDS)}", name)
    template = compile_queries(target, "Input") if "Input" in given else None
    path = target.path("InputPath")
    transformer = target.object("InputTransformer") if "InputTransformer" in given else None
    if transformer is not None:
        return _parse_transformer(transformer, trigger)
    if path is not None:
        return lambda event: path.select(environment_of(event))
    if template is not None:
        return lambda event: template.render(environment_of(event))
    return lambda event: Payload.of(event.envelope())


def compile_queries(target: Fields, name: str) -> QueryTemplate:
    """The JSON in a field, with JSONata in `{% … %}` about the event as `$states.input`."""

    def note(pointer: str, code: str, message: str) -> None:
        place = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
        target.note(message, name, *place)

    return compile_query_template(target.take(name), name, _EVENT_ONLY, note)


def compile_text(fields: Fields, name: str) -> Template | QueryTemplate | None:
    """The JSONPath into the event, intrinsic function or JSONata in a field, if it has one."""
    text = fields.text(name)
    if not text:
        return None
    if is_query(text):
        return compile_queries(fields, name)
    try:
        return compile_expression(text)
    except PathSyntaxError as error:
        fields.note(
            f"{text!r} is neither a JSONPath into the event nor an intrinsic function: {error}",
            name,
        )
        return None


# `<name>`, in an InputTemplate. A `<` that begins no such thing is only a character.
_PLACEHOLDER: Final = re.compile(r"<([A-Za-z0-9_.-]+)>")

_Value: TypeAlias = Callable[[TriggerEvent], Json]


def _parse_transformer(fields: Fields, trigger: str) -> InputRule:
    """EventBridge's input transformer: values picked from the event, put into a text.

    Source: EventBridge user guide, "Amazon EventBridge input transformation". It differs in two
    ways: the text must be JSON, since it becomes the input of an execution, and a variable whose
    path leads nowhere is an error and not an empty text.
    """
    values = _predefined(trigger) | _parse_variables(fields.object("InputPathsMap", required=False))
    template = fields.text("InputTemplate", required=True)
    fields.refuse_others()
    pieces = _split_template(template)
    for _, variable, _ in pieces:
        if variable is not None and variable not in values:
            fields.note(
                f"<{variable}> is not in InputPathsMap{hint(variable, values)}", "InputTemplate"
            )
    if template and not _is_json("".join(_sample(*piece) for piece in pieces)):
        fields.note("is not JSON when its variables are filled in", "InputTemplate")

    def transform(event: TriggerEvent) -> Payload:
        filled = "".join(
            literal + ("" if variable is None else _filled_in(values[variable](event), quoted))
            for literal, variable, quoted in pieces
        )
        return Payload.parse(filled.encode())

    return transform


def _parse_variables(fields: Fields) -> dict[str, _Value]:
    names = fields.names()
    if len(names) > VARIABLES_MAX:
        fields.note(f"more than {VARIABLES_MAX} variables")
    values: dict[str, _Value] = {}
    for name in names:
        if _PLACEHOLDER.fullmatch(f"<{name}>") is None or name.lower().startswith("aws"):
            fields.note(
                "a variable's name has only letters, digits, '_', '-' and '.', "
                "and does not start with AWS",
                name,
            )
        path = fields.path(name)
        if path is not None:
            values[name] = _variable(name, path)
    return values


def _variable(name: str, path: Path) -> _Value:
    def value(event: TriggerEvent) -> Json:
        try:
            return path.find(environment_of(event))
        except PathNotFound:
            raise AuthorError(
                "States.Runtime", f"<{name}> is not in the event: {path.text} leads nowhere"
            ) from None

    return value


def _predefined(trigger: str) -> dict[str, _Value]:
    """The variables that EventBridge itself defines; the rule is the trigger."""

    def rule_arn(event: TriggerEvent) -> Json:
        return f"arn:aws:events:{event.region}:{event.account}:rule/{trigger}"

    def without_detail(event: TriggerEvent) -> Json:
        return {key: value for key, value in event.envelope().items() if key != "detail"}

    return {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": lambda _event: trigger,
        "aws.events.event.ingestion-time": lambda event: format_instant(event.at_ms),
        "aws.events.event": without_detail,
        "aws.events.event.json": lambda event: event.envelope(),
    }


def _split_template(template: str) -> list[tuple[str, str | None, bool]]:
    """The template as (text, variable after it, whether that stands in quotes)."""
    pieces: list[tuple[str, str | None, bool]] = []
    position, quoted = 0, False
    for match in _PLACEHOLDER.finditer(template):
        literal = template[position : match.start()]
        quoted ^= _quotes(literal) % 2 == 1
        pieces.append((literal, match[1], quoted))
        position = match.end()
    return [*pieces, (template[position:], None, False)]


def _quotes(text: str) -> int:
    return text.replace(r"\\", "").replace(r"\"", "").count('"')


def _filled_in(value: Json, quoted: bool) -> str:
    """A value as JSON, or as part of a JSON string: there a text stands as it is."""
    if not quoted:
        return encode_json(value).decode()
    text = value if isinstance(value, str) else encode_json(value).decode()
    return encode_json(text).decode()[1:-1]


def _sample(literal: str, variable: str | None, quoted: bool) -> str:
    return literal if variable is None else literal + _filled_in(None, quoted)


def _is_json(text: str) -> bool:
    try:
        decode_json(text)
    except ValueError:
        return False
    return True


def environment_of(event: TriggerEvent) -> Environment:
    """What an expression about an event sees: the envelope as `$` or `$states.input`."""
    drawn = count()

    def draw(below: int) -> int:
        """Random numbers that are the same whenever the same event comes again."""
        return int(digest(event.source, event.id, str(next(drawn)), length=64), 16) % below

    return Environment(Payload.of(event.envelope()), no_context, {}, draw, now_ms=event.at_ms)


def digest(*parts: str, length: int) -> str:
    """So many hexadecimal digits that stand for these texts in this order."""
    return hashlib.sha256(encode_json(list(parts))).hexdigest()[:length]
