"""A trigger: which events start which state machine, and with what input.

A trigger is one file under `triggers/`. This module knows what such a file may say, and nothing of
files: the shell reads them, and it runs the sensors that the sources describe. Fields are spelled
in AWS's case; `EventPattern` and `Target` mean what they mean in an EventBridge rule.
"""

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final, TypeAlias

from eventmill.arn import is_name
from eventmill.asl.fields import did_you_mean
from eventmill.events import TriggerEvent
from eventmill.instant import format_instant
from eventmill.model import AuthorError, Json, Payload, decode_json, encode_json, record
from eventmill.patterns.compiler import compile_pattern
from eventmill.patterns.matcher import Matcher
from eventmill.query.environment import Environment, no_context
from eventmill.query.jsonpath import Path, PathNotFound, PathSyntaxError, compile_path
from eventmill.query.template import Template, compile_expression

SECONDS_MAX: Final = 86_400.0
VARIABLES_MAX: Final = 100  # EventBridge's quota for InputPathsMap

_STATE_MACHINE_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:stateMachine:(?P<name>[^:]+)"
)

InputRule: TypeAlias = Callable[[TriggerEvent], Payload]
Note: TypeAlias = Callable[[str, str], None]


class InvalidTrigger(Exception):
    """The trigger has mistakes; `mistakes` lists all of them as (JSON Pointer, message)."""

    def __init__(self, mistakes: Iterable[tuple[str, str]]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{pointer or '/'}: {text}" for pointer, text in self.mistakes))


@record
class FilesystemSource:
    """A folder to watch. Equal sources are served by one sensor.

    `path` is absolute, or relative to the project. `include` and `exclude` are globs on the path
    relative to the folder; no `include` means all files. `polling` is for network file systems,
    which neither report changes nor keep inode numbers.
    """

    path: str
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    stable_seconds: float = 2.0
    scan_seconds: float = 5.0
    polling: bool = False

    @property
    def name(self) -> str:
        """Under which the sensor remembers files: what it watches, whatever the timing.

        A change of the selection is another name, so that no two selections share a memory.
        """
        selection: Json = [
            self.recursive, list(self.include), list(self.exclude), self.polling
        ]  # fmt: skip
        digest = hashlib.sha256(encode_json(selection)).hexdigest()[:8]
        return f"filesystem:{posixpath.normpath(self.path)}#{digest}"


Source: TypeAlias = FilesystemSource


@record
class Trigger:
    """A trigger, ready to be asked about events of its source."""

    name: str
    source: Source
    state_machine: str  # a name or an ARN
    enabled: bool
    matcher: Matcher | None
    input_rule: InputRule
    name_template: Template | None

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
            return f"{self.name[:47]}-{_digest(self.name, event.source, event.id, length=32)}"
        text = self.name_template.render(_environment(event)).value
        if not isinstance(text, str) or not text:
            shown = encode_json(text).decode()[:100]
            raise AuthorError("States.Runtime", f"ExecutionName must give a text, not {shown}")
        if is_name(text):
            return text
        safe = "".join(character if is_name(character) else "-" for character in text[:63])
        return f"{safe}-{_digest(text, length=16)}"


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
    fields = _Fields(value, "", note)
    fields.text("Comment")
    enabled = fields.flag("Enabled", default=True)
    source = _parse_source(fields.object("Source"))
    matcher = _parse_pattern(fields, note)
    target = fields.object("Target")
    state_machine = _parse_state_machine(target)
    input_rule = _parse_input(target, name)
    name_template = _parse_execution_name(target)
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
    )


_NAME_RULE: Final = '1 to 80 characters, without spaces and without any of <>{}[]?*"#%\\^|~`$&,;:/'


def _parse_source(fields: "_Fields") -> Source:
    kind = fields.text("Type", required=True)
    parse = _SOURCES.get(kind)
    if parse is None:
        if kind:
            fields.note(f"there is no source {kind!r}; there are: {', '.join(_SOURCES)}", "Type")
        return FilesystemSource(path=".")
    source = parse(fields)
    fields.refuse_others()
    return source


def _parse_filesystem(fields: "_Fields") -> FilesystemSource:
    path = fields.text("Path", required=True)
    if "\0" in path:
        fields.note("no path has a NUL character", "Path")
    return FilesystemSource(
        path=path,
        recursive=fields.flag("Recursive", default=True),
        include=_parse_globs(fields, "Include"),
        exclude=_parse_globs(fields, "Exclude"),
        stable_seconds=fields.seconds("StableSeconds", default=2.0, least=0.0),
        scan_seconds=fields.seconds("ScanSeconds", default=5.0, least=0.1),
        polling=fields.flag("Polling", default=False),
    )


_SOURCES: Final[dict[str, Callable[["_Fields"], Source]]] = {"filesystem": _parse_filesystem}


def _parse_globs(fields: "_Fields", name: str) -> tuple[str, ...]:
    globs = fields.texts(name)
    for index, glob in enumerate(globs):
        if glob == "" or glob.startswith("/") or ".." in glob.split("/"):
            fields.note(f"{glob!r} can match nothing: globs are relative to Path", name, index)
    return globs


def _parse_pattern(fields: "_Fields", note: Note) -> Matcher | None:
    if not fields.has("EventPattern"):
        return None
    return compile_pattern(
        fields.take("EventPattern"),
        lambda pointer, message: note(f"/EventPattern{pointer}", message),
    )


def _parse_state_machine(target: "_Fields") -> str:
    reference = target.text("StateMachine", required=True)
    arn = _STATE_MACHINE_ARN.fullmatch(reference)
    if reference and not is_name(arn["name"] if arn else reference):
        target.note(
            f"{reference!r} is neither the name of a state machine nor its ARN", "StateMachine"
        )
    return reference


def _parse_execution_name(target: "_Fields") -> Template | None:
    text = target.text("ExecutionName")
    if not text:
        return None
    try:
        return compile_expression(text)
    except PathSyntaxError as error:
        target.note(
            f"{text!r} is neither a JSONPath into the event nor an intrinsic function: {error}",
            "ExecutionName",
        )
        return None


_INPUT_FIELDS: Final = ("Input", "InputPath", "InputTransformer")


def _parse_input(target: "_Fields", trigger: str) -> InputRule:
    given = [name for name in _INPUT_FIELDS if target.has(name)]
    for name in given[1:]:
        target.note(f"a target has at most one of {', '.join(_INPUT_FIELDS)}", name)
    constant = Payload.of(target.take("Input"))
    path = target.path("InputPath")
    transformer = target.object("InputTransformer") if "InputTransformer" in given else None
    if transformer is not None:
        return _parse_transformer(transformer, trigger)
    if path is not None:
        return lambda event: path.select(_environment(event))
    if "Input" in given:
        return lambda _event: constant
    return lambda event: Payload.of(event.envelope())


# `<name>`, in an InputTemplate. A `<` that begins no such thing is only a character.
_PLACEHOLDER: Final = re.compile(r"<([A-Za-z0-9_.-]+)>")

_Value: TypeAlias = Callable[[TriggerEvent], Json]


def _parse_transformer(fields: "_Fields", trigger: str) -> InputRule:
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
                f"<{variable}> is not in InputPathsMap{_hint(variable, values)}", "InputTemplate"
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


def _parse_variables(fields: "_Fields") -> dict[str, _Value]:
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
            return path.find(_environment(event))
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


def _environment(event: TriggerEvent) -> Environment:
    drawn = count()

    def draw(below: int) -> int:
        """Random numbers that are the same whenever the same event comes again."""
        digest = _digest(event.source, event.id, str(next(drawn)), length=64)
        return int(digest, 16) % below

    return Environment(Payload.of(event.envelope()), no_context, {}, draw)


def _digest(*parts: str, length: int) -> str:
    return hashlib.sha256(encode_json(list(parts))).hexdigest()[:length]


def _hint(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known)
    return f"; {hint}" if hint else ""


class _Fields:
    """One object of the file: its fields are taken one by one, and the others are refused.

    What is missing or of the wrong type is noted and replaced by something harmless, so that one
    pass finds every mistake.
    """

    def __init__(self, value: Json, pointer: str, note: Note) -> None:
        self._values: dict[str, Json] = value if isinstance(value, dict) else {}
        self._pointer = pointer
        self._note = note
        self._known: set[str] = set()
        # When nothing is there, its fields are not missed one by one.
        self._hollow = not isinstance(value, dict)
        if self._hollow:
            note(pointer, f"must be an object, not {_kind(value)}")

    def note(self, message: str, *place: str | int) -> None:
        self._note(self._at(*place), message)

    def names(self) -> list[str]:
        return list(self._values)

    def has(self, name: str) -> bool:
        self._known.add(name)
        return name in self._values

    def take(self, name: str) -> Json:
        self._known.add(name)
        return self._values.get(name)

    def object(self, name: str, *, required: bool = True) -> "_Fields":
        if self.has(name):
            return _Fields(self.take(name), self._at(name), self._note)
        if required:
            self._miss(name)
        nothing = _Fields({}, self._at(name), self._note)
        nothing._hollow = True
        return nothing

    def text(self, name: str, *, required: bool = False) -> str:
        if not self.has(name):
            if required:
                self._miss(name)
            return ""
        value = self.take(name)
        if not isinstance(value, str):
            self.note(f"must be a string, not {_kind(value)}", name)
            return ""
        if not value and required:
            self.note("must not be empty", name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.take(name) if self.has(name) else []
        if not isinstance(value, list):
            self.note(f"must be an array of strings, not {_kind(value)}", name)
            return ()
        for index, each in enumerate(value):
            if not isinstance(each, str):
                self.note(f"must be a string, not {_kind(each)}", name, index)
        texts = tuple(each for each in value if isinstance(each, str))
        return texts if len(texts) == len(value) else ()

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.take(name) if self.has(name) else default
        if not isinstance(value, bool):
            self.note(f"must be true or false, not {_kind(value)}", name)
            return default
        return value

    def seconds(self, name: str, *, default: float, least: float) -> float:
        value = self.take(name) if self.has(name) else default
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.note(f"must be a number of seconds, not {_kind(value)}", name)
            return default
        if not least <= value <= SECONDS_MAX:
            self.note(f"must lie between {least:g} and {SECONDS_MAX:g} seconds, not {value}", name)
        return float(value)

    def path(self, name: str) -> Path | None:
        if not self.has(name):
            return None
        value = self.take(name)
        if not isinstance(value, str):
            self.note(f"must be a JSONPath, not {_kind(value)}", name)
            return None
        try:
            path = compile_path(value)
        except PathSyntaxError as error:
            self.note(f"{value!r} is no JSONPath: {error}", name)
            return None
        if path.root != "$":
            self.note(f"{value!r} does not begin with $, the event", name)
        return path

    def refuse_others(self) -> None:
        for name in self._values:
            if name not in self._known:
                self.note(f"there is no such field{_hint(name, self._known)}", name)

    def _at(self, *place: str | int) -> str:
        keys = (str(key).replace("~", "~0").replace("/", "~1") for key in place)
        return "".join((self._pointer, *(f"/{key}" for key in keys)))

    def _miss(self, name: str) -> None:
        if not self._hollow:
            self.note("is missing", name)


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "an array"
    return "an object" if isinstance(value, dict) else "a number"
