"""Rows of Parquet files."""

import datetime
import math
from decimal import Decimal
from io import BytesIO
from typing import Any

import pyarrow  # type: ignore[import-untyped]  # pyarrow has no types
import pyarrow.parquet  # type: ignore[import-untyped]  # pyarrow has no types
import pytest

from eventmill.model import decode_json, encode_json
from tests.unit.datasets.conftest import Bucket


def parquet(table: Any, **how: Any) -> bytes:
    file = BytesIO()
    pyarrow.parquet.write_table(table, file, **how)
    return file.getvalue()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "snappy"])
async def test_each_row_is_an_item(bucket: Bucket, compression: str) -> None:
    rows = [{"id": number, "name": f"n{number}", "x": number / 4} for number in range(5_000)]
    content = parquet(pyarrow.Table.from_pylist(rows), compression=compression, row_group_size=700)
    assert await bucket.read(content, input_type="PARQUET") == rows
    assert await bucket.read(content, input_type="PARQUET", max_items=1_500) == rows[:1_500]


async def test_no_rows(bucket: Bucket) -> None:
    content = parquet(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())}))
    assert await bucket.read(content, input_type="PARQUET") == []


async def test_every_type_becomes_json(bucket: Bucket) -> None:
    utc = datetime.timezone.utc
    columns = {
        "null": pyarrow.array([None], pyarrow.string()),
        "flag": pyarrow.array([True]),
        "long": pyarrow.array([2**62]),
        "nan": pyarrow.array([math.nan]),
        "infinity": pyarrow.array([math.inf]),
        "price": pyarrow.array([Decimal("12.50")], pyarrow.decimal128(10, 2)),
        "count": pyarrow.array([Decimal("12")], pyarrow.decimal128(30, 0)),
        "bytes": pyarrow.array([b"\x00\xff"]),
        "date": pyarrow.array([datetime.date(2026, 11, 25)]),
        "time": pyarrow.array([datetime.time(1, 2, 3)]),
        "at": pyarrow.array(
            [datetime.datetime(2026, 11, 25, 1, 2, 3, tzinfo=utc)], pyarrow.timestamp("ms", "UTC")
        ),
        "lasts": pyarrow.array([datetime.timedelta(seconds=90)]),
        "list": pyarrow.array([[1.5, None]]),
        "struct": pyarrow.array([{"a": {"b": [b"x"]}}]),
    }
    (item,) = await bucket.read(parquet(pyarrow.table(columns)), input_type="PARQUET")
    assert item == {
        "null": None,
        "flag": True,
        "long": 2**62,
        "nan": None,
        "infinity": None,
        "price": 12.5,
        "count": 12,
        "bytes": "AP8=",
        "date": "2026-11-25",
        "time": "01:02:03",
        "at": "2026-11-25T01:02:03+00:00",
        "lasts": 90.0,
        "list": [1.5, None],
        "struct": {"a": {"b": ["eA=="]}},
    }
    assert decode_json(encode_json(item)) == item


async def test_what_is_no_parquet_file(bucket: Bucket) -> None:
    whole = parquet(pyarrow.table({"a": list(range(10_000))}))
    for content in (b"", b"PAR1", b"a,b\n1,2\n", whole[:-20], b"PAR1" + bytes(999) + b"PAR1"):
        cause = await bucket.cause(content, input_type="PARQUET")
        assert cause.startswith("data/object: it cannot be read as Parquet: ")


async def test_a_row_group_that_is_too_large(bucket: Bucket) -> None:
    # One text many times takes no room in the file, but the size of a group counts it unpacked.
    zeros = pyarrow.array([bytes(1024 * 1024)] * 260, pyarrow.binary())
    content = parquet(
        pyarrow.table({"a": zeros}), use_dictionary=False, compression="zstd", row_group_size=260
    )
    cause = await bucket.cause(content, input_type="PARQUET")
    assert "row group 0 has 27" in cause
    assert "at most 268435456 are read" in cause
