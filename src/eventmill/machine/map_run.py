"""What a Map Run is told: where its items are, how to batch them, where its results go.

The fields of a Distributed Map, with every expression in them worked out: values that whoever
carries the Map Run out can go by. Source: "Using Map state in Distributed mode" of the developer
guide.
"""

from typing import Final, Literal, TypeAlias

from eventmill.model import Json, Payload
from eventmill.record import record

InputType: TypeAlias = Literal["CSV", "JSON", "JSONL", "PARQUET", "MANIFEST"]
ManifestType: TypeAlias = Literal["ATHENA_DATA", "S3_INVENTORY"]

STATE_DATA: Final = "STATE_DATA"


@record
class Item:
    """One item of a dataset.

    `source` is where it came from, as `$$.Map.Item.Source` tells it: `STATE_DATA`, `s3://bucket`
    or `s3://bucket/key`. `key` is its key when the dataset is an object.
    """

    value: Json
    source: str = STATE_DATA
    key: str | None = None


@record
class Reading:
    """An ItemReader: what to read, and how.

    `action` is `getObject`, of `key`, or `listObjectsV2`, of `prefix`. `csv_headers` None means
    that the first row has them. `max_items` None means all.
    """

    action: Literal["getObject", "listObjectsV2"]
    bucket: str
    key: str = ""
    prefix: str = ""
    version: str | None = None
    input_type: InputType | None = None
    flatten: bool = False  # LOAD_AND_FLATTEN: not the listed objects are the items, but theirs
    manifest_type: ManifestType | None = None
    csv_delimiter: str = ","
    csv_headers: tuple[str, ...] | None = None
    items_pointer: str | None = None
    max_items: int | None = None


@record
class Batching:
    """An ItemBatcher: how many items and bytes a batch may have, and what goes with each."""

    items_max: int | None = None
    bytes_max: int | None = None
    input: Payload | None = None


@record
class Writing:
    """A ResultWriter. Without a bucket nothing is written, and the output takes this form."""

    bucket: str | None
    prefix: str = ""
    transformation: Literal["NONE", "COMPACT", "FLATTEN"] = "NONE"
    output_type: Literal["JSON", "JSONL"] = "JSON"
