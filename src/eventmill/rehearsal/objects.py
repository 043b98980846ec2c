"""The objects of a rehearsal: what a test file says lies in buckets, and what results are left."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

from eventmill.errors import ObjectDoesNotExist
from eventmill.model import encode_json
from eventmill.ports import StoredObject
from eventmill.rehearsal.fields import Fields, Note, pointer_to

_PIECE_BYTES: Final = 1_048_576
_KINDS: Final = ("Text", "Json", "File")


class MemoryObjectStore:
    """An `ObjectStore` that lasts for one rehearsal; every bucket that is written to exists.

    `objects` are its contents by `bucket/key`.
    """

    def __init__(self, objects: Mapping[str, bytes], now_ms: int) -> None:
        self.objects = dict(objects)
        self._now_ms = now_ms

    async def read(
        self, bucket: str, key: str, *, version: str | None = None
    ) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`; there is one version of each object."""
        self._require(bucket)
        content = self.objects.get(f"{bucket}/{key}")
        if content is None or version not in (None, "null"):
            raise ObjectDoesNotExist(f"The specified key does not exist: {bucket}/{key}")
        for start in range(0, len(content), _PIECE_BYTES):
            yield content[start : start + _PIECE_BYTES]

    async def list(self, bucket: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        """See `ObjectStore.list`."""
        self._require(bucket)
        begin = f"{bucket}/{prefix}"
        for name in sorted(self.objects, key=str.encode):
            if name.startswith(begin):
                content = self.objects[name]
                digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
                yield StoredObject(
                    key=name.removeprefix(f"{bucket}/"),
                    size=len(content),
                    etag=f'"{digest}"',
                    modified_ms=self._now_ms,
                )

    async def write(self, bucket: str, key: str, content: AsyncIterable[bytes]) -> int:
        """See `ObjectStore.write`."""
        whole = b"".join([piece async for piece in content])
        self.objects[f"{bucket}/{key}"] = whole
        return len(whole)

    def _require(self, bucket: str) -> None:
        if not any(name.startswith(f"{bucket}/") for name in self.objects):
            raise ObjectDoesNotExist(f"The specified bucket does not exist: {bucket!r}")


def parse_objects(fields: Fields, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Read what stands under `Objects`; files are looked for in `folder`."""
    for name, value in fields.members("Objects"):
        place = pointer_to(fields.pointer, "Objects", name)
        bucket, _, key = name.partition("/")
        if not bucket or not key:
            fields.note_at(place, "must be called bucket/key")
        content = _content(Fields(value, place, fields.note_at), folder, fields.note_at)
        if content is not None:
            yield name, content


def _content(fields: Fields, folder: Path, note: Note) -> bytes | None:
    given = [name for name in _KINDS if fields.has(name)]
    text = fields.text("Text", empty=True) if "Text" in given else None
    file = fields.text("File") if "File" in given else None
    fields.refuse_others()
    if len(given) != 1:
        note(fields.pointer, f"needs one of {', '.join(_KINDS)}")
        return None
    if file is not None:
        try:
            return (folder / file).read_bytes()
        except OSError as error:
            fields.note(f"cannot read {folder / file}: {error.strerror}", "File")
            return None
    if "Json" in given:
        return encode_json(fields.json("Json"))
    return None if text is None else text.encode()
