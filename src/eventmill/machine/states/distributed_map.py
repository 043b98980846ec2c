"""Map in distributed mode: asks for a Map Run and waits for its end.

The iterations are executions of their own, so nothing of them is in this history. Source: "Using
Map state in Distributed mode" of the developer guide; the events are the service's.
"""

from collections.abc import Callable
from hashlib import blake2b, md5
from typing import Any

from eventmill.asl.error_names import ITEM_READER_FAILED, RESULT_WRITER_FAILED, RUNTIME
from eventmill.asl.syntax import (
    AnyTemplate,
    Distribution,
    ItemBatcher,
    ItemReader,
    Map,
    ResultWriter,
)
from eventmill.errors import AuthorError
from eventmill.machine import data_flow, failing
from eventmill.machine.commands import RunMap
from eventmill.machine.context import dataset_of, input_environment, item_surroundings
from eventmill.machine.decision import Decision
from eventmill.machine.execution import Execution, Frame
from eventmill.machine.history import reason_of
from eventmill.machine.map_run import Batching, Item, Reading, Writing
from eventmill.machine.numbers import Look, look_of, max_concurrency, percentage, whole_number
from eventmill.model import Failure, Json, Payload


def begin(decision: Decision, frame: Frame, state: Map, distribution: Distribution) -> None:
    """Make an attempt: a Map Run of its own for each.

    Raises:
        AuthorError: The items, a limit or an argument cannot be worked out.
    """
    items = None if distribution.reader is not None else dataset_of(decision.execution, frame)
    decision.emit(frame, "MapStateStarted", {"length": 0 if items is None else len(items)})
    frame.items = items
    settings = _settings(decision.execution, frame, state, distribution)
    settings["items"] = None if items is None else len(items)
    arn = _map_run_arn(decision.execution, state, distribution)
    decision.emit(frame, "MapRunStarted", {"mapRunArn": arn}, internal=settings)


def succeeded(decision: Decision, frame: Frame, output: Payload) -> None:
    """The Map Run has ended well.

    Raises:
        AuthorError: The result does not pass ResultSelector, ResultPath or OutputPath.
    """
    state = frame.state
    assert isinstance(state, Map)
    decision.emit(frame, "MapRunSucceeded", {"output": output})
    decision.emit(frame, "MapStateSucceeded", previous_id=decision.execution.sequence)
    data_flow.leave_with(decision, frame, state, output)


def failed(decision: Decision, frame: Frame, failure: Failure) -> None:
    """The Map Run has failed."""
    decision.emit(frame, "MapRunFailed", reason_of(failure))
    failing.fail(decision, frame, failure)


def run_map(execution: Execution, frame: Frame) -> RunMap:
    """The command that the frame's MapRunStarted event stands for."""
    state, run = frame.state, frame.map_run
    assert isinstance(state, Map)
    assert state.distribution is not None
    assert run is not None
    settings: Any = run.settings
    reading, batching, writing = (settings[name] for name in ("reading", "batching", "writing"))
    return RunMap(
        map_run=run.id,
        arn=run.arn,
        label=_label(execution, state, state.distribution),
        state=state.name,
        definition=state.distribution.definition,
        is_express=state.distribution.execution_type == "EXPRESS",
        reading=None if reading is None else _reading(reading),
        items=None if reading is not None else _items(execution, frame),
        item_input=_item_input(execution, frame, state),
        batching=None if batching is None else _batching(batching),
        writing=None if writing is None else Writing(**writing),
        max_concurrency=settings["max_concurrency"],
        tolerated_count=settings["tolerated_count"],
        tolerated_percentage=settings["tolerated_percentage"],
    )


def _items(execution: Execution, frame: Frame) -> list[Item]:
    """The items of the state's input; of an object, its members."""
    items = dataset_of(execution, frame)
    if isinstance(items, dict):
        return [Item(value=value, key=key) for key, value in items.items()]
    return [Item(value=value) for value in items]


def _item_input(execution: Execution, frame: Frame, state: Map) -> Callable[[int, Item], Payload]:
    """What the child of each item is given; it needs neither execution nor frame any more."""
    selector, run = state.item_selector, frame.map_run
    if selector is None:
        return _bare_item
    assert run is not None
    data = input_environment(execution, frame, state.input_path).data
    surroundings = item_surroundings(execution, frame, data, run.id << 32)

    def selected(index: int, item: Item) -> Payload:
        described: dict[str, Json] = {"Index": index, "Value": item.value, "Source": item.source}
        if item.key is not None:
            described["Key"] = item.key
        return selector.render(surroundings(index, described))

    return selected


def _bare_item(index: int, item: Item) -> Payload:
    """The item itself; a member of an object as its key and value."""
    return Payload.of(item.value if item.key is None else {"Key": item.key, "Value": item.value})


def _settings(
    execution: Execution, frame: Frame, state: Map, distribution: Distribution
) -> dict[str, Json]:
    """All that the Map Run goes by, worked out once; what a restarted shell is told again."""
    look = look_of(execution, frame, state)
    concurrency = max_concurrency(execution, frame, state)
    count = whole_number(look, "ToleratedFailureCount", distribution.tolerated_count)
    share = percentage(look, "ToleratedFailurePercentage", distribution.tolerated_percentage)
    if count is not None and count < 0:
        raise AuthorError(RUNTIME, "ToleratedFailureCount cannot be negative.")
    reader, batcher, writer = distribution.reader, distribution.batcher, distribution.writer
    return {
        "max_concurrency": concurrency,
        "tolerated_count": count or 0,
        "tolerated_percentage": share or 0,
        "reading": None if reader is None else _read_by(look, reader),
        "batching": None if batcher is None else _batch_by(look, batcher),
        "writing": None if writer is None else _write_by(look, writer),
    }


def _read_by(look: Look, reader: ItemReader) -> Json:
    given = _arguments(look, reader.arguments)
    return {
        "action": reader.action,
        "bucket": _text(given, "Bucket", ITEM_READER_FAILED),
        "key": _text(given, "Key", ITEM_READER_FAILED) if reader.action == "getObject" else "",
        "prefix": given.get("Prefix") or "",
        "version": given.get("VersionId"),
        "input_type": reader.input_type,
        "flatten": reader.flatten,
        "manifest_type": reader.manifest_type,
        "csv_delimiter": reader.csv_delimiter,
        "csv_headers": None if reader.csv_headers is None else list(reader.csv_headers),
        "items_pointer": reader.items_pointer,
        "max_items": whole_number(look, "MaxItems", reader.items_max),
    }


def _batch_by(look: Look, batcher: ItemBatcher) -> Json:
    given = None if batcher.input is None else batcher.input.render(look())
    limits = {
        "items_max": whole_number(look, "MaxItemsPerBatch", batcher.items_max),
        "bytes_max": whole_number(look, "MaxInputBytesPerBatch", batcher.bytes_max),
    }
    for limit in limits.values():
        if limit is not None and limit < 0:
            raise AuthorError(RUNTIME, f"Expected non-negative integer for a batch, got {limit}.")
    return {**limits, "input": None if given is None else given.value}


def _write_by(look: Look, writer: ResultWriter) -> Json:
    given = _arguments(look, writer.arguments)
    has_target = writer.arguments is not None
    return {
        "bucket": _text(given, "Bucket", RESULT_WRITER_FAILED) if has_target else None,
        "prefix": given.get("Prefix") or "",
        "transformation": writer.transformation,
        "output_type": writer.output_type,
    }


def _arguments(look: Look, template: AnyTemplate | None) -> dict[str, Json]:
    if template is None:
        return {}
    given = template.render(look()).value
    assert isinstance(given, dict), "arguments are an object"
    return given


def _text(given: dict[str, Json], name: str, error: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise AuthorError(error, f"{name} must be a non-empty string", located=False)
    return value


def _reading(stored: dict[str, Any]) -> Reading:
    headers = stored["csv_headers"]
    return Reading(**{**stored, "csv_headers": None if headers is None else tuple(headers)})


def _batching(stored: dict[str, Any]) -> Batching:
    given = stored["input"]
    return Batching(**{**stored, "input": None if given is None else Payload.of(given)})


def _map_run_arn(execution: Execution, state: Map, distribution: Distribution) -> str:
    """The ARN of the next Map Run: its name is a UUID that the seed and the event give."""
    identity = execution.identity
    given = b"map run %d %d" % (execution.seed, execution.sequence + 1)
    name = _uuid(blake2b(given, digest_size=16).digest(), version=4)
    machine = identity.state_machine_arn.replace(":stateMachine:", ":mapRun:", 1)
    return f"{machine}/{_label(execution, state, distribution)}:{name}"


def _label(execution: Execution, state: Map, distribution: Distribution) -> str:
    """The label, or one that is the same in every execution of the state machine."""
    if distribution.label is not None:
        return distribution.label
    given = f"{execution.identity.state_machine_arn} {state.name}".encode()
    return _uuid(md5(given, usedforsecurity=False).digest(), version=3)


def _uuid(digest: bytes, version: int) -> str:
    """A UUID of these 16 bytes (RFC 9562)."""
    number = int.from_bytes(digest)
    number = number & ~(0xF << 76) | version << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
