"""Compressed objects."""

import asyncio
import gzip
import os

import pytest
import zstandard

from eventmill.datasets.content import decompressed
from tests.unit.datasets.conftest import Bucket
from tests.unit.datasets.pieces import in_pieces

TEXT = b"".join(f"{number},{number * number}\n".encode() for number in range(40_000))


async def unpacked(key: str, content: bytes, size: int = 65_536) -> bytes:
    return b"".join([piece async for piece in decompressed(key, in_pieces(content, size))])


@pytest.mark.parametrize("size", [1, 100, 65_536])
@pytest.mark.parametrize("ending", ["gz", "zst", "zstd"])
async def test_decompresses_by_the_name(ending: str, size: int) -> None:
    text = TEXT[:20_000] if size == 1 else TEXT
    packed = gzip.compress(text) if ending == "gz" else zstandard.compress(text)
    assert await unpacked(f"a.csv.{ending}", packed, size) == text


@pytest.mark.parametrize("size", [1, 10, 65_536])
async def test_files_of_several_parts(size: int) -> None:
    noise = os.urandom(100)
    gzips = [gzip.compress(part) for part in (b"one", b"", noise)]
    assert await unpacked("a.gz", b"".join(gzips) + bytes(9), size) == b"one" + noise
    frames = [zstandard.compress(part) for part in (b"one", b"", noise)]
    assert await unpacked("a.zst", b"".join(frames), size) == b"one" + noise


@pytest.mark.parametrize("key", ["a.csv", "a.gzip", "gz", "a.gz/b"])
async def test_other_names_are_left_alone(key: str) -> None:
    packed = gzip.compress(b"x")
    assert await unpacked(key, packed) == packed


@pytest.mark.parametrize("ending", ["gz", "zst"])
async def test_pieces_are_small_however_well_it_was_compressed(ending: str) -> None:
    zeros = bytes(64 * 1024 * 1024)
    packed = gzip.compress(zeros, 9) if ending == "gz" else zstandard.compress(zeros)
    sizes = [len(piece) async for piece in decompressed(f"a.{ending}", in_pieces(packed, 65_536))]
    assert sum(sizes) == len(zeros)
    assert max(sizes) <= 20 * 1024 * 1024


@pytest.mark.parametrize("ending", ["gz", "zst"])
async def test_others_may_run_between_the_pieces(ending: str) -> None:
    packed = gzip.compress(TEXT) if ending == "gz" else zstandard.compress(TEXT)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    pieces = [piece async for piece in decompressed(f"a.{ending}", in_pieces(packed, 10**9))]
    task.cancel()
    assert len(pieces) > 3
    assert turns >= len(pieces)


@pytest.mark.parametrize("ending", ["gz", "zst"])
async def test_what_is_broken_is_told(bucket: Bucket, ending: str) -> None:
    packed = gzip.compress(TEXT) if ending == "gz" else zstandard.compress(TEXT)
    kind = "gzip" if ending == "gz" else "Zstandard"
    for content, told in (
        (packed[:-9], f"the {kind} file breaks off"),
        (b"no archive at all, but text", f"it is no {kind} file: "),
        (packed[:-8] + bytes(range(1, 9)), f"it is no {kind} file: "),
    ):
        bucket.put(f"a.csv.{ending}", content)
        failure = await bucket.failure(bucket.reading(f"a.csv.{ending}", input_type="CSV"))
        assert failure.error == "States.ItemReaderFailed"
        assert f"data/a.csv.{ending}: {told}" in (failure.cause or ""), content[:10]


async def test_an_empty_file_has_no_rows(bucket: Bucket) -> None:
    for key in ("a.csv.gz", "a.csv.zst"):
        bucket.put(key, b"")
        assert await bucket.items(bucket.reading(key, input_type="CSV")) == []
