"""What an ItemReader reads: which objects, which items, and where they say they are from."""

import gzip
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventmill.datasets.reading import read_items
from eventmill.errors import AuthorError
from eventmill.machine.map_run import Item, Reading
from eventmill.ports import StoredObject
from tests.conformance.recorded import ABSENT_REASON, FOLDER, Case, cases
from tests.unit.datasets.conftest import BUCKET, Bucket

# Recorded cases


def item_readers(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        own = [value["ItemReader"]] if "ItemReader" in value else []
        return [*own, *(found for each in value.values() for found in item_readers(each))]
    if isinstance(value, list):
        return [found for each in value for found in item_readers(each)]
    return []


def recorded_readings() -> list[Any]:
    """The recorded executions that read a dataset."""
    return [
        pytest.param(case, id=case["id"].rpartition("::")[2])
        for area in ("scenarios", "assign")
        for case in cases(area)
        if item_readers(case["definition"])
    ]


def recorded_reading(case: Case) -> Reading:
    """The reading of a case; the expressions in it are worked out here by hand."""
    (reader,) = item_readers(case["definition"])
    config, given = reader.get("ReaderConfig", {}), case["input"]
    max_items = config.get("MaxItems")
    if "MaxItemsPath" in config or isinstance(max_items, str):
        max_items = given.get("MaxItems", 2)
    if isinstance(max_items, float):
        pytest.skip("the machine refuses this before anything is read")
    headers = config.get("CSVHeaders")
    return Reading(
        action=reader["Resource"].rpartition(":")[2],
        bucket=given["Bucket"],
        key=given.get("Key", ""),
        input_type=config.get("InputType"),
        csv_headers=None if headers is None else tuple(headers),
        max_items=max_items,
    )


def unbatched(output: list[Any]) -> list[Any]:
    """The items of an output that is made of batches, or of items."""
    return [
        item
        for each in output
        for item in (each["Items"] if isinstance(each, dict) and "Items" in each else [each])
    ]


@pytest.mark.skipif(not FOLDER.exists(), reason=ABSENT_REASON)
@pytest.mark.parametrize("case", recorded_readings())
async def test_agrees_with_what_was_recorded(bucket: Bucket, case: Case) -> None:
    for each in case["s3_objects"]:
        (bucket.root.parent / each["bucket"]).mkdir(exist_ok=True)
        (bucket.root.parent / each["bucket"] / each["key"]).write_text(each["body"])
    expected = case["expected"]
    reading = recorded_reading(case)
    if expected["status"] == "FAILED":
        failure = await bucket.failure(reading)
        assert (failure.error, failure.cause) == (expected["error"], expected["cause"])
        return
    (text,) = (
        event["stateExitedEventDetails"]["output"]
        for event in expected["history"]
        if event["type"] == "MapStateExited"
    )
    found, wanted = await bucket.values(reading), unbatched(json.loads(text))
    if reading.action == "listObjectsV2":
        for item in found:
            assert isinstance(item, dict)
            item["Etag"] = f"<Etag-{item['Key']}>"
            item["LastModified"] = "<date>"
        assert found == wanted  # The order of the keys was lost when this was recorded.
    else:
        assert json.dumps(found) == json.dumps(wanted)


# MaxItems


@pytest.mark.parametrize(
    ("max_items", "count"),
    [(None, 250), (0, 250), (1, 1), (99, 99), (100, 100), (101, 101), (10**8 + 1, 250)],
)
@pytest.mark.parametrize("kind", ["CSV", "JSON", "JSONL", "list", "flatten"])
async def test_max_items(bucket: Bucket, kind: Any, max_items: int | None, count: int) -> None:
    rows: list[Any] = [{"n": str(number)} for number in range(250)]
    if kind in ("list", "flatten"):
        for row in rows:
            bucket.put(f"in/{row['n']:>03}", json.dumps([row]))
        how: dict[str, Any] = {"flatten": True, "input_type": "JSON"} if kind == "flatten" else {}
        reading = bucket.listing("in/", max_items=max_items, **how)
    else:
        texts = {
            "CSV": "n\n" + "".join(f"{row['n']}\n" for row in rows),
            "JSON": json.dumps(rows),
            "JSONL": "".join(json.dumps(row) + "\n" for row in rows),
        }
        bucket.put("object", texts[kind])
        reading = bucket.reading("object", input_type=kind, max_items=max_items)
    found = await bucket.values(reading)
    assert len(found) == count
    if kind != "list":
        assert found == rows[:count]


async def test_max_items_below_zero(bucket: Bucket) -> None:
    failure = await bucket.failure(bucket.reading("gone", input_type="CSV", max_items=-1))
    assert failure.cause == "field MaxItems must be positive"


async def test_no_more_is_read_than_max_items_need() -> None:
    class Endless:
        """A store of one endless object."""

        closed = 0
        pieces = 0

        async def read(
            self, bucket: str, key: str, *, version: str | None = None
        ) -> AsyncIterator[bytes]:
            try:
                while True:
                    self.pieces += 1
                    yield b"[1]\n" * 100
            finally:
                self.closed += 1

        async def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
            raise NotImplementedError
            yield

        async def write(self, bucket: str, key: str, content: Any) -> int:
            raise NotImplementedError

    store = Endless()
    reading = Reading(action="getObject", bucket="b", key="k", input_type="JSONL", max_items=1_000)
    assert len([item async for item in read_items(store, reading)]) == 1_000
    assert (store.pieces, store.closed) == (10, 1)


# Where items are from


async def test_items_tell_their_object(bucket: Bucket) -> None:
    bucket.put("in/a.json", '{"x": 1, "y": [2]}')
    assert await bucket.items(bucket.reading("in/a.json", input_type="JSON")) == [
        Item(value=1, source="s3://data/in/a.json", key="x"),
        Item(value=[2], source="s3://data/in/a.json", key="y"),
    ]
    bucket.put("in/a.csv", "a\n1\n")
    assert await bucket.items(bucket.reading("in/a.csv", input_type="CSV")) == [
        Item(value={"a": "1"}, source="s3://data/in/a.csv")
    ]


async def test_what_is_absent(bucket: Bucket) -> None:
    failure = await bucket.failure(bucket.reading("gone.csv", input_type="CSV"))
    assert failure.error == "States.ItemReaderFailed"
    assert failure.cause == "The specified key does not exist: data/gone.csv"
    for action in ("getObject", "listObjectsV2"):
        reading = Reading(action=action, bucket="nowhere", key="a", input_type="JSON")
        failure = await bucket.failure(reading)
        assert failure.error == "States.ItemReaderFailed"
        assert "The specified bucket does not exist: 'nowhere'" in (failure.cause or "")
    bucket.put("a.csv", "a\n1\n")
    failure = await bucket.failure(bucket.reading("a.csv", input_type="CSV", version="7"))
    assert "The specified version does not exist: 7 of data/a.csv" in (failure.cause or "")


async def test_without_a_type(bucket: Bucket) -> None:
    assert "an InputType is needed" in await bucket.cause("x")


async def test_items_before_a_mistake_are_given(bucket: Bucket) -> None:
    bucket.put("a.jsonl", '{"n": 1}\n' * 20_000 + "nonsense\n")
    found: list[Item] = []

    async def collect() -> None:
        async for item in read_items(bucket.store, bucket.reading("a.jsonl", input_type="JSONL")):
            found.append(item)

    with pytest.raises(AuthorError):
        await collect()
    assert len(found) > 10_000
    assert found[0].value == {"n": 1}


# Listings


async def test_lists_objects(bucket: Bucket) -> None:
    bucket.put("flat/b.jsonl", "12")
    bucket.put("flat/a.jsonl", "1")
    (bucket.root / "flat" / "folder").mkdir()
    items = await bucket.items(bucket.listing("flat/"))
    assert {item.source for item in items} == {"s3://data"}
    values: list[Any] = [item.value for item in items]
    assert [list(value) for value in values] == [
        ["Etag", "Key", "LastModified", "Size", "StorageClass"]
    ] * 3
    assert [(value["Key"], value["Size"]) for value in values] == [
        ("flat/a.jsonl", 1),
        ("flat/b.jsonl", 2),
        ("flat/folder/", 0),
    ]
    first = values[0]
    assert first["StorageClass"] == "STANDARD"
    assert isinstance(first["LastModified"], float)
    assert first["LastModified"] == (bucket.root / "flat/a.jsonl").stat().st_mtime // 1
    assert len(first["Etag"]) == 34


async def test_flattens_what_it_lists(bucket: Bucket) -> None:
    bucket.put("in/1.csv", "a,b\n1,2\n3,4\n")
    bucket.put("in/2.csv", "b,a\n5,6\n")
    bucket.put("in/3.csv", "a\n")
    bucket.put("other.csv", "a\n9\n")
    (bucket.root / "in" / "empty").mkdir()
    items = await bucket.items(bucket.listing("in/", flatten=True, input_type="CSV"))
    assert items == [
        Item(value={"a": "1", "b": "2"}, source="s3://data/in/1.csv"),
        Item(value={"a": "3", "b": "4"}, source="s3://data/in/1.csv"),
        Item(value={"a": "6", "b": "5"}, source="s3://data/in/2.csv"),
    ]


async def test_folders_are_passed_over_when_their_objects_are_read(bucket: Bucket) -> None:
    bucket.put("in/b.json", "[1, 2]")
    (bucket.root / "in" / "a").mkdir()
    assert len(await bucket.items(bucket.listing("in/"))) == 2
    reading = bucket.listing("in/", flatten=True, input_type="JSON")
    assert await bucket.values(reading) == [1, 2]


async def test_one_bad_file_of_many_fails_with_its_name(bucket: Bucket) -> None:
    bucket.put("in/1.json", "[1]")
    bucket.put("in/2.json", "[1")
    reading = bucket.listing("in/", flatten=True, input_type="JSON")
    failure = await bucket.failure(reading)
    assert failure.cause == "data/in/2.json: it is not JSON: ',' expected, not the end"


# Manifests


def put_inventory(bucket: Bucket, **changes: Any) -> None:
    manifest = {
        "sourceBucket": "source",
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "version": "2016-11-30",
        "creationTimestamp": "1668560400000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, LastModifiedDate",
        "files": [
            {"key": "inv/data/1.csv.gz", "size": 1, "MD5checksum": "x"},
            {"key": "inv/data/2.csv", "size": 1, "MD5checksum": "x"},
        ],
    }
    bucket.put("inv/manifest.json", json.dumps(manifest | changes))


@pytest.mark.parametrize(
    "how", [{"input_type": "MANIFEST"}, {"manifest_type": "S3_INVENTORY"}], ids=str
)
async def test_an_inventory(bucket: Bucket, how: Any) -> None:
    put_inventory(bucket)
    row = '"source","csvDataset/titles.csv","3399671","2022-11-16T00:29:32.000Z"\n'
    bucket.put("inv/data/1.csv.gz", gzip.compress(row.encode()))
    bucket.put("inv/data/2.csv", row.replace("titles", "a%20b"))
    items = await bucket.items(bucket.reading("inv/manifest.json", **how))
    # In this order of keys they are in the developer guide.
    assert json.dumps(items[0].value) == (
        '{"LastModifiedDate": "2022-11-16T00:29:32.000Z", "Bucket": "source", '
        '"Size": "3399671", "Key": "csvDataset/titles.csv"}'
    )
    assert [item.value["Key"] for item in items if isinstance(item.value, dict)] == [
        "csvDataset/titles.csv",
        "csvDataset/a%20b.csv",
    ]
    assert {item.source for item in items} == {"s3://data/inv/manifest.json"}


async def test_an_inventory_that_cannot_be_read(bucket: Bucket) -> None:
    reading = bucket.reading("inv/manifest.json", input_type="MANIFEST")
    for changes, told in (
        ({"fileFormat": "ORC"}, "data/inv/manifest.json: the inventory is in ORC; it must be in"),
        ({"files": 5}, "data/inv/manifest.json: it is no manifest of S3 Inventory: "),
        ({}, "The specified key does not exist: data/inv/data/1.csv.gz"),
        ({"destinationBucket": "arn:aws:s3:::gone"}, "bucket does not exist: 'gone'"),
    ):
        put_inventory(bucket, **changes)
        failure = await bucket.failure(reading)
        assert told in (failure.cause or "")


async def test_the_files_that_athena_unloaded(bucket: Bucket) -> None:
    bucket.put("q/manifest.csv", "s3://data/q/a b.jsonl\ns3://more/x?y#z.jsonl.gz\r\n")
    bucket.put("q/a b.jsonl", '{"n": 1}\n{"n": 2}\n')
    (bucket.root.parent / "more").mkdir()
    packed = gzip.compress(b'{"n": 3}\n')
    (bucket.root.parent / "more" / "x?y#z.jsonl.gz").write_bytes(packed)
    reading = bucket.reading("q/manifest.csv", manifest_type="ATHENA_DATA", input_type="JSONL")
    assert await bucket.items(reading) == [
        Item(value={"n": 1}, source="s3://data/q/a b.jsonl"),
        Item(value={"n": 2}, source="s3://data/q/a b.jsonl"),
        Item(value={"n": 3}, source="s3://more/x?y#z.jsonl.gz"),
    ]


@pytest.mark.parametrize("line", ["data/a.csv", "s3://data", "s3://data/", "https://data/a.csv"])
async def test_a_line_of_athenas_manifest_that_is_no_uri(bucket: Bucket, line: str) -> None:
    cause = await bucket.cause(line, manifest_type="ATHENA_DATA", input_type="CSV")
    assert cause == f"data/object: {line!r} is not the URI of an object: s3://bucket/key"


# Without the extra


async def test_parquet_without_pyarrow_names_the_extra(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    cause = await bucket.cause(b"PAR1", input_type="PARQUET")
    assert "pip install 'eventmill[parquet]'" in cause
