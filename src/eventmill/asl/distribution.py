"""What makes a Map distributed: ItemReader, ItemBatcher, ResultWriter, tolerances and label.

Source: "Using Map state in Distributed mode", and its pages on ItemReader, ItemBatcher and
ResultWriter, of the developer guide.
"""

import math
import re
from typing import Final

from eventmill.asl import syntax
from eventmill.asl.fields import Fields
from eventmill.asl.grammar import JSONATA
from eventmill.model import Json, encode_json

_READER: Final = re.compile(r"arn:aws[a-z-]*:states:::s3:(getObject|listObjectsV2)")
_WRITER: Final = re.compile(r"arn:aws[a-z-]*:states:::s3:putObject")
_LABEL_LENGTH_MAX: Final = 40
_ITEMS_MAX: Final = 100_000_000
_BATCH_BYTES_MAX: Final = 262_144
_BATCH_LIMITS: Final = (
    "MaxItemsPerBatch", "MaxInputBytesPerBatch",
    "MaxItemsPerBatchPath", "MaxInputBytesPerBatchPath",
)  # fmt: skip
_DELIMITERS: Final = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_READER_CONFIG: Final = frozenset(
    {
        "CSVDelimiter", "CSVHeaderLocation", "CSVHeaders", "InputType", "ItemsPointer",
        "ManifestType", "MaxItems", "MaxItemsPath", "Transformation",
    }
)  # fmt: skip

ONLY_DISTRIBUTED: Final = ("ItemReader", "ItemBatcher", "ResultWriter", "Label")


def compile_distribution(
    state: Fields, processor: Fields, machine: syntax.Language
) -> syntax.Distribution:
    """The fields of a Map whose processor is distributed; mistakes are reported.

    `machine` is the query language of the whole machine, which the children inherit.
    """
    config = processor.object_or_empty("ProcessorConfig")
    config.allow(("Mode", "ExecutionType"))
    config.require("ExecutionType")
    return syntax.Distribution(
        execution_type=config.one_of("ExecutionType", "STANDARD", "EXPRESS") or "STANDARD",
        definition=_definition(processor, machine),
        label=_label(state),
        reader=_reader(state),
        batcher=_batcher(state),
        writer=_writer(state),
        tolerated_count=number(state, "ToleratedFailureCount"),
        tolerated_percentage=number(state, "ToleratedFailurePercentage"),
    )


def check_inline(state: Fields) -> None:
    """Warn of what an inline Map does not heed, or fails on when it is entered."""
    for name in ("ToleratedFailureCount", "ToleratedFailurePercentage"):
        number(state, name)
        for field in (name, f"{name}Path"):
            if field in state:
                _warn(state, field, f"'{field}' has no effect on a Map whose Mode is INLINE")
    for field in ONLY_DISTRIBUTED[:3]:
        if field in state:
            _warn(state, field, f"a Map whose Mode is INLINE fails at run time with '{field}'")


def _warn(state: Fields, field: str, message: str) -> None:
    state.report.warning("FIELD_WITHOUT_EFFECT", state.place.field(field), message)


def number(fields: Fields, name: str, maximum: float = math.inf) -> syntax.Number:
    """A number, or the expression that gives it: in a field of its own in JSONPath."""
    if fields.has_query(name):
        return fields.query(name)
    path = f"{name}Path"
    fields.at_most_one((name, path))
    if path in fields:
        return fields.single_path(path, context=False)
    if name == "ToleratedFailurePercentage":
        return fields.number(name, 0.0, 100.0)
    return fields.integer(name, 0, maximum)


def _definition(processor: Fields, machine: syntax.Language) -> str:
    """The state machine that the children run: the processor, without its ProcessorConfig."""
    kept: dict[str, Json] = {
        name: value for name, value in processor.values.items() if name != "ProcessorConfig"
    }
    if machine == JSONATA:
        kept["QueryLanguage"] = JSONATA
    return encode_json(kept).decode()


def _label(state: Fields) -> str | None:
    label = state.text("Label")
    if label is not None and len(label) > _LABEL_LENGTH_MAX:
        state.note(f"String must be at most {_LABEL_LENGTH_MAX} characters", "Label")
    return label


def _reader(state: Fields) -> syntax.ItemReader | None:
    reader = state.object("ItemReader")
    if reader is None:
        return None
    reader.require("Resource")
    reader.allow(("Resource", "ReaderConfig", "Parameters", "Arguments"))
    reader.check_language()
    action = _action(reader, _READER)
    config = reader.object_or_empty("ReaderConfig")
    config.allow(_READER_CONFIG)
    config.check_language()
    if action == "getObject" and not {"InputType", "ManifestType"} & config.values.keys():
        config.note("These fields are required: [InputType]", hint="such as CSV, JSON or JSONL")
    return syntax.ItemReader(
        action="listObjectsV2" if action == "listObjectsV2" else "getObject",
        arguments=_arguments(reader),
        input_type=config.one_of("InputType", "CSV", "JSON", "JSONL", "PARQUET", "MANIFEST"),
        flatten=config.one_of("Transformation", "NONE", "LOAD_AND_FLATTEN") == "LOAD_AND_FLATTEN",
        manifest_type=config.one_of("ManifestType", "ATHENA_DATA", "S3_INVENTORY"),
        csv_delimiter=_DELIMITERS[config.one_of("CSVDelimiter", *_DELIMITERS) or "COMMA"],
        csv_headers=_csv_headers(config),
        items_pointer=config.text("ItemsPointer"),
        items_max=number(config, "MaxItems", _ITEMS_MAX),
    )


def _csv_headers(config: Fields) -> tuple[str, ...] | None:
    location = config.one_of("CSVHeaderLocation", "FIRST_ROW", "GIVEN")
    headers = config.array("CSVHeaders", filled=True)
    place = config.place.field("CSVHeaders")
    if location == "GIVEN" and "CSVHeaders" not in config:
        config.note("These fields are required: [CSVHeaders]")
    if location != "GIVEN" and "CSVHeaders" in config:
        config.note("CSVHeaders belongs to the CSVHeaderLocation GIVEN", "CSVHeaders")
    for index, header in enumerate(headers):
        if not isinstance(header, str):
            config.report.schema(place.item(index), "Expected value of type String")
    return tuple(each for each in headers if isinstance(each, str)) or None


def _batcher(state: Fields) -> syntax.ItemBatcher | None:
    batcher = state.object("ItemBatcher")
    if batcher is None:
        return None
    batcher.allow((*_BATCH_LIMITS, "BatchInput"))
    batcher.check_language()
    if not any(name in batcher for name in _BATCH_LIMITS):
        message = "This object should have at least one of the following fields:"
        batcher.note(f"{message} [{', '.join(_BATCH_LIMITS)}]")
    return syntax.ItemBatcher(
        items_max=number(batcher, "MaxItemsPerBatch", _ITEMS_MAX),
        bytes_max=number(batcher, "MaxInputBytesPerBatch", _BATCH_BYTES_MAX),
        input=batcher.template("BatchInput"),
    )


def _writer(state: Fields) -> syntax.ResultWriter | None:
    writer = state.object("ResultWriter")
    if writer is None:
        return None
    writer.allow(("Resource", "Parameters", "Arguments", "WriterConfig"))
    writer.check_language()
    if "Resource" in writer:
        _action(writer, _WRITER)
    elif "WriterConfig" not in writer:
        writer.require("Resource")
    config = writer.object_or_empty("WriterConfig")
    config.allow(("Transformation", "OutputType"))
    return syntax.ResultWriter(
        arguments=_arguments(writer) if "Resource" in writer else None,
        transformation=config.one_of("Transformation", "NONE", "COMPACT", "FLATTEN") or "NONE",
        output_type=config.one_of("OutputType", "JSON", "JSONL") or "JSON",
    )


def _action(fields: Fields, resource: re.Pattern[str]) -> str | None:
    """What the Resource asks for; the part of the pattern in parentheses."""
    text = fields.text("Resource")
    found = None if text is None else resource.fullmatch(text)
    if text is not None and found is None:
        reason = "is not a valid resource ARN, or the resource is not available in this region"
        message = "The resource provided in the Map state is not recognized. The value"
        fields.note(f"{message} {reason}.", "Resource")
    return None if found is None or not found.groups() else found[1]


def _arguments(fields: Fields) -> syntax.AnyTemplate | None:
    name = "Arguments" if fields.language == JSONATA else "Parameters"
    values = fields.object(name)
    if values is None:
        fields.require(name)
        return None
    suffix = "" if fields.language == JSONATA else ".$"
    if "Bucket" not in {key.removesuffix(suffix) for key in values.values}:
        values.note("The field 'Bucket' is required but was missing")
    return fields.template(name)
