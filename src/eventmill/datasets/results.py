"""ResultWriter: the results of a Map Run in files, or in the output of its state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from eventmill.asl.error_names import DATA_LIMIT_EXCEEDED, RESULT_WRITER_FAILED
from eventmill.datasets.records import transformed_result
from eventmill.errors import AuthorError, ObjectStoreError
from eventmill.machine.map_run import Writing
from eventmill.model import Json, Payload, encode_json
from eventmill.ports import ObjectStore
from eventmill.rows import ChildResult

FILE_BYTES_MAX: Final = 5 * 1024**3  # AWS's
_IN_MEMORY_BYTES_MAX: Final = 1024 * 1024  # of each file; more goes to disk until it is full
_PIECE_BYTES: Final = 256 * 1024
_CATEGORIES: Final = ("FAILED", "PENDING", "SUCCEEDED")


async def write_results(
    store: ObjectStore,
    writing: Writing,
    map_run_arn: str,
    folder: str,
    results: AsyncIterator[ChildResult],
    *,
    file_bytes_max: int = FILE_BYTES_MAX,
) -> str:
    """Write all results and the manifest that lists their files; return the manifest's key.

    The files are `<prefix>/<folder>/SUCCEEDED_0.json`, `FAILED_0.json`, `PENDING_0.json` (or
    `….jsonl`) and so on, each of at most `file_bytes_max` bytes unless a single result is larger.
    Children that timed out or were aborted are in FAILED. The manifest comes last: when it is
    there, all of them are. What is written waits on disk, not in memory.

    Raises:
        AuthorError: `States.ResultWriterFailed`: the store does not take the files.
    """
    assert writing.bucket is not None, "without a bucket nothing is written"
    place = f"{writing.prefix.removesuffix('/')}/{folder}" if writing.prefix else folder
    with ExitStack() as stack:
        export = _Export(store, writing, place, file_bytes_max, stack)
        try:
            async for result in results:
                await export.add(result)
            return await export.finish(map_run_arn)
        except ObjectStoreError as error:
            raise AuthorError(RESULT_WRITER_FAILED, str(error), located=False) from error


async def transformed(
    writing: Writing | None,
    results: AsyncIterator[ChildResult],
    *,
    bytes_max: int,
    cause: str | None = None,
) -> Payload:
    """The output of a Map state whose results are not written.

    Without a ResultWriter it is an array of the outputs in their order; a child that did not
    succeed has its status, error and cause there. With one it is what the transformation makes.

    Raises:
        AuthorError: `States.DataLimitExceeded`, with `cause`: the text would be longer than
            `bytes_max`. No further result is asked for then.
    """
    values: list[Json] = []
    size = 1  # "[", and after each value a "," or the "]"
    async for result in results:
        for value in [_plain(result)] if writing is None else transformed_result(result, writing):
            values.append(value)
            size += len(encode_json(value)) + 1
        if size > bytes_max:
            raise AuthorError(DATA_LIMIT_EXCEEDED, cause, located=False)
    return Payload.of(values)


def _plain(result: ChildResult) -> Json:
    if result.output is not None:
        return result.output.value
    told: dict[str, Json] = {"Status": result.status}
    if result.error is not None:
        told["Error"] = result.error
    if result.cause is not None:
        told["Cause"] = result.cause
    return told


class _Export:
    """The files of one export: one open for each category, and those that are in the store."""

    def __init__(
        self,
        store: ObjectStore,
        writing: Writing,
        place: str,
        file_bytes_max: int,
        stack: ExitStack,
    ) -> None:
        assert writing.bucket is not None
        self._store = store
        self._writing = writing
        self._bucket = writing.bucket
        self._place = place
        self._file_bytes_max = file_bytes_max
        self._stack = stack
        self._open: dict[str, _File] = {}
        self._written: dict[str, list[Json]] = {category: [] for category in _CATEGORIES}

    async def add(self, result: ChildResult) -> None:
        category = result.status if result.status in ("SUCCEEDED", "PENDING") else "FAILED"
        for value in transformed_result(result, self._writing):
            text = encode_json(value)
            file = self._open.get(category)
            if file is not None and file.size_with(text) > self._file_bytes_max:
                await self._store_file(category)
                file = None
            if file is None:
                spool = SpooledTemporaryFile(  # noqa: SIM115 - the stack closes it
                    max_size=_IN_MEMORY_BYTES_MAX
                )
                self._stack.enter_context(spool)
                file = _File(spool, lines=self._writing.output_type == "JSONL")
                self._open[category] = file
            await file.add(text)

    async def finish(self, map_run_arn: str) -> str:
        for category in sorted(self._open):
            await self._store_file(category)
        manifest: Json = {
            "DestinationBucket": self._bucket,
            "MapRunArn": map_run_arn,
            "ResultFiles": {**self._written},
        }
        key = f"{self._place}/manifest.json"
        await self._store.write(self._bucket, key, _once(encode_json(manifest)))
        return key

    async def _store_file(self, category: str) -> None:
        file = self._open.pop(category)
        files = self._written[category]
        ending = self._writing.output_type.lower()
        key = f"{self._place}/{category}_{len(files)}.{ending}"
        size = await self._store.write(self._bucket, key, file.content())
        files.append({"Key": key, "Size": size})
        file.close()


class _File:
    """A file being put together, on disk when it is large: an array, or a value a line."""

    def __init__(self, file: IO[bytes], *, lines: bool) -> None:
        self._file = file
        self._begin, self._between, self._end = (b"", b"\n", b"\n") if lines else (b"[", b",", b"]")
        self._ready = bytearray()
        self._size = 0

    def size_with(self, text: bytes) -> int:
        """The size of the finished file if this value is its last."""
        return self._size + len(self._between) + len(text) + len(self._end)

    async def add(self, text: bytes) -> None:
        before = self._between if self._size else self._begin
        self._ready += before + text
        self._size += len(before) + len(text)
        if len(self._ready) >= _PIECE_BYTES:
            await self._flush()

    async def content(self) -> AsyncIterator[bytes]:
        self._ready += self._end
        await self._flush()
        self._file.seek(0)
        while piece := await asyncio.to_thread(self._file.read, _PIECE_BYTES):
            yield piece

    def close(self) -> None:
        self._file.close()

    async def _flush(self) -> None:
        await asyncio.to_thread(self._file.write, bytes(self._ready))
        self._ready.clear()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
