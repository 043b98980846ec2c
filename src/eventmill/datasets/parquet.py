"""Apache Parquet files, a batch of rows at a time. Needs the extra `parquet` (pyarrow)."""

import asyncio
import base64
import math
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from tempfile import TemporaryFile
from typing import IO, Any, Final

from eventmill.model import Json

_ROWS_PER_BATCH: Final = 1_000
_ROW_GROUP_BYTES_MAX: Final = 256 * 1024 * 1024  # AWS's limit; one is in memory at a time


async def parquet_items(content: AsyncIterator[bytes]) -> AsyncIterator[list[Json]]:
    """An object for each row, in batches. The file is kept on disk while it is read.

    Dates and times become ISO 8601 texts, decimals numbers, bytes Base64, durations seconds; a
    number that is none (NaN, infinity) becomes null.

    Raises:
        ValueError: It is no Parquet file, or has a row group above 256 MiB.
        ValueError: pyarrow is not installed; the text names the extra.
    """
    pyarrow, reader = _pyarrow()
    with TemporaryFile() as file:
        async for piece in content:
            await asyncio.to_thread(file.write, piece)
        try:
            batches = await asyncio.to_thread(_batches, reader, file)
            while (rows := await asyncio.to_thread(_next_rows, batches)) is not None:
                yield rows
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"it cannot be read as Parquet: {error}") from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError(
            "reading PARQUET needs pyarrow: install the extra, pip install 'eventmill[parquet]'"
        ) from error


def _batches(reader: Any, file: IO[bytes]) -> Iterator[Any]:
    file.seek(0)
    parquet = reader.ParquetFile(file)
    metadata = parquet.metadata
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).total_byte_size
        if size > _ROW_GROUP_BYTES_MAX:
            raise ValueError(
                f"row group {group} has {size} bytes; at most {_ROW_GROUP_BYTES_MAX} are read"
            )
    batches: Iterator[Any] = parquet.iter_batches(batch_size=_ROWS_PER_BATCH)
    return batches


def _next_rows(batches: Iterator[Any]) -> list[Json] | None:
    batch = next(batches, None)
    return None if batch is None else [_json(row) for row in batch.to_pylist()]


def _json(value: Any) -> Json:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _json(each) for key, each in value.items()}
        case list() | tuple():
            return [_json(each) for each in value]
        case Decimal():
            return _number(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def _number(value: Decimal) -> Json:
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else float(value)
