"""One state of each type, from its fields to its value, and the branches that hold states.

After a mistake a state is None and its report says why; the whole definition is then refused.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final, TypeVar

from eventmill.asl import grammar, syntax
from eventmill.asl.choice import RULE_FIELDS, compile_condition
from eventmill.asl.distribution import ONLY_DISTRIBUTED, check_inline, compile_distribution
from eventmill.asl.error_handling import compile_catchers, compile_retriers
from eventmill.asl.fields import Fields, members, object_at
from eventmill.asl.grammar import JSONATA, JSONPATH, OF_INPUT, OF_RESULT
from eventmill.asl.resource import MachineType, Refused, read_resource, what_lacks
from eventmill.model import Payload
from eventmill.query.jsonata import Query, QueryTemplate
from eventmill.query.jsonpath import Path, compile_path
from eventmill.query.template import Template
from eventmill.record import record

_S = TypeVar("_S")

SECONDS_MAX: Final = 99_999_999

_INVOKE_FIELDS = frozenset(
    {"ClientContext", "FunctionName", "InvocationType", "LogType", "Payload", "Qualifier"}
)


@record
class Setting:
    """What holds for the whole machine.

    The states inside a Map or Parallel take `language` from here, not from the state around them.
    """

    language: syntax.Language
    machine_type: MachineType


def compile_branch(fields: Fields, setting: Setting) -> syntax.Branch:
    """The states under one `StartAt`; the caller has checked which fields there are."""
    fields.require("States", "StartAt")
    start_at = fields.text("StartAt") or ""
    states = fields.object("States")
    compiled: dict[str, syntax.State] = {}
    if states is not None:
        if not states.values:
            states.note("Value cannot be empty")
        for name, value in states.values.items():
            each = object_at(value, states.place.field(name), fields.report)
            state = _compile_state(name, each, setting) if each is not None else None
            if state is not None:
                compiled[name] = state
    return syntax.Branch(start_at=start_at, states=compiled)


def _compile_state(name: str, fields: Fields, setting: Setting) -> syntax.State | None:
    kind = fields.values.get("Type")
    if "Type" not in fields:
        fields.require("Type")
        return None
    if not isinstance(kind, str) or kind not in grammar.STATE_TYPES:
        types = ", ".join(grammar.STATE_TYPES)
        fields.note(f"The field 'Type' should have one of these values: [{types}]", "Type")
        return None
    _check_fields(fields, kind)
    language = _language(fields, setting)
    if language is None:
        _check_inner(fields, kind, setting)
        return None
    spoken = Fields(fields.values, fields.place, fields.report, language)
    spoken.check_language()
    return _build(name, kind, spoken, setting)


def _check_fields(fields: Fields, kind: str) -> None:
    fields.require(*grammar.STATE_REQUIRED.get(kind, ()))
    fields.allow(grammar.STATE_FIELDS[kind])
    for group in grammar.STATE_ALTERNATIVES.get(kind, ()):
        fields.at_most_one(group)
    for group in grammar.STATE_CHOICES.get(kind, ()):
        fields.exactly_one(group)
    fields.text("Comment")
    if "Next" in grammar.STATE_FIELDS[kind]:
        _check_transition(fields)


def _language(fields: Fields, setting: Setting) -> syntax.Language | None:
    """The query language of a state, or None when the machine does not allow it."""
    language = fields.language_of(setting.language)
    if setting.language == JSONATA and language == JSONPATH:
        message = (
            "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
        )
        fields.note(message)
        return None
    return language


def _check_transition(fields: Fields) -> None:
    """A state goes on or ends: `End: false` beside `Next` says nothing and is let through."""
    fields.text("Next")
    if fields.boolean("End"):
        fields.at_most_one(("Next", "End"))
    elif "Next" not in fields and not fields.values.get("End"):
        fields.note("This object should have only one of the following fields: [Next, End]")


def _check_inner(fields: Fields, kind: str, setting: Setting) -> None:
    """Look into the branches of a state that is not compiled itself."""
    if kind == "Parallel":
        _branches(fields, setting)
    elif kind == "Map":
        _processor(_processor_fields(fields), setting)


def _build(name: str, kind: str, fields: Fields, setting: Setting) -> syntax.State | None:
    match kind:
        case "Pass":
            return _pass(name, fields)
        case "Task":
            return _task(name, fields, setting)
        case "Choice":
            return _choice(name, fields)
        case "Wait":
            return _state(syntax.Wait, name, fields)
        case "Succeed":
            return _state(syntax.Succeed, name, fields)
        case "Fail":
            error, cause = _error_text(fields, "Error"), _error_text(fields, "Cause")
            return _state(syntax.Fail, name, fields, error=error, cause=cause)
        case "Parallel":
            return _state(syntax.Parallel, name, fields, branches=_branches(fields, setting))
        case _:
            return _map(name, fields, setting)


def _state(kind: Callable[..., _S], name: str, fields: Fields, **own: Any) -> _S:
    """A state of this class: its `own` attributes, and those that several types have."""
    shared = {
        attribute: read(fields)
        for attribute, read in _READ.items()
        if attribute not in own and hasattr(kind, attribute)
    }
    return kind(name=name, language=fields.language, **own, **shared)


def _pass(name: str, fields: Fields) -> syntax.Pass:
    result = fields.values.get("Result")
    for pointer, key, _ in members(result):
        if key.endswith(".$"):
            fields.report.warning(
                "PASS_RESULT_IS_STATIC",
                fields.place.field("Result").inside(pointer),
                f"The value of '{key}' will not evaluate as a JSONPath or Intrinsic Function at"
                " runtime. Instead of 'Result', use 'Parameters' to evaluate it as a JSONPath or"
                " Intrinsic Function at runtime.",
            )
    # AWS takes `Result: null` for no Result at all.
    return _state(syntax.Pass, name, fields, result=None if result is None else Payload.of(result))


def _task(name: str, fields: Fields, setting: Setting) -> syntax.Task | None:
    resource = _resource(fields, setting)
    credentials = fields.object("Credentials")
    if credentials is not None and not {"RoleArn", "RoleArn.$"} & credentials.values.keys():
        credentials.note("The field 'RoleArn' is required but was missing")
    timeout = _seconds(fields, "TimeoutSeconds", 1)
    heartbeat = _seconds(fields, "HeartbeatSeconds", 1)
    if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
        fields.note("HeartbeatSeconds must be smaller than TimeoutSeconds", "HeartbeatSeconds")
    parameters = _arguments(fields)
    if resource is None:
        return None
    return _state(
        syntax.Task,
        name,
        fields,
        resource=resource,
        parameters=parameters,
        timeout_seconds=timeout,
        heartbeat_seconds=heartbeat,
    )


def _resource(fields: Fields, setting: Setting) -> syntax.Resource | None:
    text = fields.text("Resource")
    if text is None:
        return None
    try:
        resource = read_resource(text, setting.machine_type)
    except Refused as refused:
        fields.note(str(refused), "Resource")
        return None
    lacking = what_lacks(resource)
    if lacking is not None:
        fields.report.unsupported(fields.place.field("Resource"), lacking)
    elif resource.kind == "integration":
        _check_invocation(fields, text)
    return resource


def _check_invocation(fields: Fields, resource: str) -> None:
    """The arguments of `lambda:invoke`, of which a function's name is one."""
    field = "Arguments" if fields.language == JSONATA else "Parameters"
    if field not in fields:
        fields.note(f"{field} field is required for resource ARN: {resource}")
    elif fields.has_query(field):
        return  # what it gives is known at run time only
    elif (parameters := fields.object(field)) is not None:
        suffix = "" if fields.language == JSONATA else ".$"
        names = {name.removesuffix(suffix) for name in parameters.values}
        if "FunctionName" not in names:
            parameters.note("The field 'FunctionName' is required but was missing")
        for name in sorted(names - _INVOKE_FIELDS):
            parameters.note(f"The field '{name}' is not supported by Step Functions")
        if isinstance(parameters.values.get("Payload"), bool | int | float):
            parameters.note("The field 'Payload' must be a string, an array or an object")


def _choice(name: str, fields: Fields) -> syntax.Choice:
    rules = []
    for rule in fields.objects("Choices", filled=True):
        rule.require("Next")
        rule.allow(RULE_FIELDS | {"Next", "Assign", "Output"})
        rule.check_language()
        rule.text("Comment")
        condition, target = compile_condition(rule), rule.text("Next")
        assign, output = rule.assign(OF_INPUT), rule.output(OF_INPUT)
        if condition is not None and target is not None:
            rules.append(
                syntax.ChoiceRule(condition=condition, next=target, assign=assign, output=output)
            )
    default = fields.text("Default")
    return _state(syntax.Choice, name, fields, rules=tuple(rules), default=default)


def _branches(fields: Fields, setting: Setting) -> tuple[syntax.Branch, ...]:
    branches = fields.objects("Branches", filled=True)
    return tuple(_inner_branch(each, grammar.BRANCH_FIELDS, setting) for each in branches)


def _map(name: str, fields: Fields, setting: Setting) -> syntax.Map | None:
    processor_fields = _processor_fields(fields)
    distribution = _distribution(fields, processor_fields, setting)
    if distribution is not None and distribution.execution_type == "EXPRESS":
        setting = replace(setting, machine_type="EXPRESS")
    processor = _processor(processor_fields, setting)
    items = _items(fields, distributed=distribution is not None)
    selector = "ItemSelector" if "ItemSelector" in fields else "Parameters"
    if processor is None or items is None:
        return None
    return _state(
        syntax.Map,
        name,
        fields,
        processor=processor,
        items=items,
        item_selector=fields.template(selector),
        max_concurrency=_max_concurrency(fields),
        distribution=distribution,
        is_misplaced=distribution is None and any(each in fields for each in ONLY_DISTRIBUTED[:3]),
    )


def _distribution(
    fields: Fields, processor: Fields | None, setting: Setting
) -> syntax.Distribution | None:
    """How the iterations run, when the processor asks for executions of their own."""
    config = None if processor is None else processor.object("ProcessorConfig")
    if processor is not None and config is not None:
        if config.one_of("Mode", "INLINE", "DISTRIBUTED") == "DISTRIBUTED":
            return compile_distribution(fields, processor, setting.language)
        config.allow(("Mode",))
    check_inline(fields)
    return None


def _items(fields: Fields, *, distributed: bool) -> Path | Query | QueryTemplate | None:
    """What a Map goes through; without a field for it, the input, whatever the language."""
    if fields.language == JSONPATH or "Items" not in fields:
        return fields.single_path("ItemsPath") if "ItemsPath" in fields else whole_input()
    if fields.has_query("Items"):
        return fields.query("Items")
    value = fields.values["Items"]
    if isinstance(value, list) or (distributed and isinstance(value, dict)):
        return fields.query_template("Items")
    hint = 'items are an array, or an expression such as "{% $states.input.items %}"'
    fields.note("Expected value of type Array", "Items", hint=hint)
    return None


def _max_concurrency(fields: Fields) -> int | Path | Query:
    if fields.has_query("MaxConcurrency"):
        return fields.query("MaxConcurrency") or 0
    concurrency = fields.integer("MaxConcurrency", 0)
    path = fields.single_path("MaxConcurrencyPath", context=False)
    return path or concurrency or 0


def _processor(processor: Fields | None, setting: Setting) -> syntax.Branch | None:
    allowed = grammar.PROCESSOR_FIELDS
    return None if processor is None else _inner_branch(processor, allowed, setting)


def _inner_branch(fields: Fields, allowed: Collection[str], setting: Setting) -> syntax.Branch:
    fields.allow(allowed)
    fields.text("Comment")
    return compile_branch(fields, setting)


def _processor_fields(fields: Fields) -> Fields | None:
    return fields.object("ItemProcessor" if "ItemProcessor" in fields else "Iterator")


def _next(fields: Fields) -> str | None:
    target = fields.values.get("Next")
    return target if isinstance(target, str) and fields.values.get("End") is not True else None


def _whole(fields: Fields, name: str) -> Path | None:
    """InputPath or OutputPath: `$` when absent, None for null."""
    return fields.path(name) if name in fields else whole_input()


def _arguments(fields: Fields) -> syntax.AnyTemplate | None:
    return fields.template("Arguments" if fields.language == JSONATA else "Parameters")


def _seconds(fields: Fields, name: str, minimum: int) -> int | Path | Query | None:
    if fields.has_query(name):
        return fields.query(name)
    if f"{name}Path" in fields:
        return fields.single_path(f"{name}Path")
    return fields.integer(name, minimum, SECONDS_MAX)


def _timestamp(fields: Fields) -> int | Path | Query | None:
    if fields.has_query("Timestamp"):
        return fields.query("Timestamp")
    timestamp = fields.timestamp("Timestamp")
    return timestamp if timestamp is not None else fields.single_path("TimestampPath")


def _error_text(fields: Fields, name: str) -> str | Template | Query | None:
    """Error or Cause of Fail, or the expression that stands for it."""
    if fields.has_query(name):
        return fields.query(name)
    fields.check_static(name)
    text = fields.text(name)
    return text if text is not None else fields.expression(f"{name}Path")


def _credentials(fields: Fields) -> syntax.AnyTemplate | None:
    is_object = isinstance(fields.values.get("Credentials"), dict)
    return fields.template("Credentials") if is_object else None


def _members(fields: Fields) -> frozenset[str]:
    """What of `$states` the Assign and Output of a state may read."""
    return OF_RESULT if fields.values.get("Type") in ("Task", "Parallel", "Map") else OF_INPUT


@cache
def whole_input() -> Path:
    """The path `$`, which an absent InputPath, OutputPath or ItemsPath means."""
    return compile_path("$")


# The attributes that several types of states have, or that AWS judges in between, in its order.
_READ: Final[Mapping[str, Callable[[Fields], Any]]] = {
    "next": _next,
    "input_path": lambda fields: _whole(fields, "InputPath"),
    "parameters": _arguments,
    "result_selector": lambda fields: fields.payload_template("ResultSelector"),
    "result_path": lambda fields: fields.result_path("ResultPath"),
    "output_path": lambda fields: _whole(fields, "OutputPath"),
    "seconds": lambda fields: _seconds(fields, "Seconds", 0),
    "timestamp": _timestamp,
    "credentials": _credentials,
    "retry": compile_retriers,
    "catch": compile_catchers,
    "assign": lambda fields: fields.assign(_members(fields)),
    "output": lambda fields: fields.output(_members(fields)),
}
