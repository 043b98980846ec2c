"""Manifests: files that list other files, as S3 Inventory and Athena's UNLOAD write them."""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from eventmill.datasets.content import whole
from eventmill.datasets.delimited import csv_rows
from eventmill.record import record

_MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024
_BUCKET_ARN: Final = "arn:aws:s3:::"


@record
class Inventory:
    """What a `manifest.json` of S3 Inventory says: where the lists are, and what their columns."""

    bucket: str
    keys: tuple[str, ...]
    headers: tuple[str, ...]


class _File(msgspec.Struct):
    key: str


class _Manifest(msgspec.Struct, rename="camel"):
    file_format: str
    file_schema: str
    files: list[_File]
    destination_bucket: str = ""


async def read_inventory(content: AsyncIterator[bytes], bucket: str) -> Inventory:
    """Read a manifest; its lists are in the bucket that it names, or else in `bucket`.

    Raises:
        ValueError: It is no such manifest, or its lists are not CSV.
    """
    text = await whole(content, _MANIFEST_BYTES_MAX)
    try:
        manifest = msgspec.json.decode(text, type=_Manifest)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"it is no manifest of S3 Inventory: {error}") from None
    if manifest.file_format != "CSV":
        raise ValueError(f"the inventory is in {manifest.file_format}; it must be in CSV")
    return Inventory(
        bucket=manifest.destination_bucket.removeprefix(_BUCKET_ARN) or bucket,
        keys=tuple(file.key for file in manifest.files),
        headers=tuple(name.strip() for name in manifest.file_schema.split(",")),
    )


async def read_uris(content: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """`(bucket, key)` of each file that a manifest of Athena's UNLOAD lists.

    Raises:
        ValueError: A line is no URI of an object.
    """
    async for rows in csv_rows(content, ","):
        for row in rows:
            uri = urlsplit(row[0].strip(), allow_fragments=False)
            if uri.scheme != "s3" or not uri.netloc or len(uri.path) < 2:
                raise ValueError(f"{row[0]!r} is not the URI of an object: s3://bucket/key")
            key = uri.path[1:] + (f"?{uri.query}" if uri.query else "")
            yield uri.netloc, key
