"""One large JSON document, read item by item: only one item is in memory at a time.

The scanner finds where values end; what a value says is left to the decoder, which sees every item.
Values that are passed over on the way to the items are not checked.
"""

import codecs
import re
from collections.abc import AsyncIterator
from typing import Final

from eventmill.asl.error_names import ITEM_READER_FAILED
from eventmill.datasets.content import ITEM_BYTES_MAX
from eventmill.errors import AuthorError
from eventmill.model import Json, decode_json, pointer_steps

_BLANKS: Final = re.compile(rb"[ \t\r\n]*+")
_SCALAR: Final = re.compile(rb"[^\s,:\[\]{}\"]*+")
# Each part of these can be read in one way only. Groups are not repeated possessively, which
# Python before 3.11.5 gets wrong.
_IN_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*"'
_STRING: Final = re.compile(_IN_STRING, re.DOTALL)
# What holds no bracket: characters and whole strings.
_PLAIN: Final = re.compile(rb'[^"\[\]{}]*+(?:%b[^"\[\]{}]*+)*' % _IN_STRING, re.DOTALL)
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")

_ITEMS_PER_BATCH: Final = 100
_NO_SUCH_PATH: Final = (
    "The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure."
)
_NOT_ITERABLE: Final = "Attempting to map over non-iterable node."

Entry = tuple[str | None, Json]


async def json_entries(
    content: AsyncIterator[bytes], pointer: str | None
) -> AsyncIterator[list[Entry]]:
    """The elements of an array or the entries of an object, with their keys, in batches.

    It is the document itself, or what `pointer` (RFC 6901) finds in it. Of equal keys on the way
    there the first one counts. What comes after the items is looked at only without a pointer.

    Raises:
        ValueError: The document is not JSON, or an item is longer than it may be.
        AuthorError: `pointer` finds nothing, or what it finds is neither array nor object.
    """
    document = _Document(content)
    for token in _tokens(pointer or ""):
        await _descend(document, token)
    opening = await document.next()
    if opening not in (b"[", b"{"):
        if not opening:
            raise ValueError("it is not JSON: the text breaks off")
        raise AuthorError(ITEM_READER_FAILED, _NOT_ITERABLE, located=False)
    batch: list[Entry] = []
    async for entry in _entries(document, opening == b"{"):
        batch.append(entry)
        if len(batch) == _ITEMS_PER_BATCH:
            yield batch
            batch = []
    if not pointer and await document.next():
        raise ValueError("it is not JSON: text follows its end")
    yield batch


def _tokens(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise _no_such_path()
    return pointer_steps(pointer)


async def _descend(document: "_Document", token: str) -> None:
    """Go to the beginning of the member or element `token` of the value that begins here."""
    opening = await document.next()
    if opening == b"{":
        async for key in document.members():
            if key == token:
                return
            await document.skip()
    elif opening == b"[" and _INDEX.fullmatch(token):
        left = int(token)
        async for _ in document.elements():
            if left == 0:
                return
            left -= 1
            await document.skip()
    raise _no_such_path()


async def _entries(document: "_Document", is_object: bool) -> AsyncIterator[Entry]:
    async for key in document.members() if is_object else document.elements():
        yield key, decode_json(await document.take())


def _no_such_path() -> AuthorError:
    return AuthorError(ITEM_READER_FAILED, _NO_SUCH_PATH, located=False)


class _Document:
    """A place in the text of a document. Whoever is told of a value must take or skip it."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self._text = b""
        self._begin = 0  # what lies before is no longer needed
        self._at = 0
        self._started = False

    async def next(self) -> bytes:
        """The next byte that is no blank, and stay before it; nothing at the end."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            assert match is not None, "no blanks are blanks too"
            self._at = self._begin = match.end()
            if self._at < len(self._text) or not await self._more():
                return self._text[self._at : self._at + 1]

    async def elements(self) -> AsyncIterator[None]:
        """Stop before each element of the array that begins here."""
        async for _ in self._each(b"]"):
            yield None

    async def members(self) -> AsyncIterator[str]:
        """Stop before the value of each member of the object that begins here; tell its key."""
        async for _ in self._each(b"}"):
            key = decode_json(await self.take()) if await self.next() == b'"' else None
            if not isinstance(key, str):
                raise ValueError("it is not JSON: a key must be a string")
            await self._pass(b":")
            yield key

    async def take(self) -> bytes:
        """The text of the value that begins here."""
        await self.next()
        await self._go_past(keep=True)
        self._check_length(self._at - self._begin)
        return self._text[self._begin : self._at]

    async def skip(self) -> None:
        """Pass over the value that begins here, however long it is."""
        await self.next()
        await self._go_past(keep=False)

    async def _each(self, closing: bytes) -> AsyncIterator[None]:
        self._at += 1
        if await self.next() == closing:
            self._at += 1
            return
        while True:
            yield None
            found = await self.next()
            if found != closing:
                await self._pass(b",")
            else:
                self._at += 1
                return

    async def _pass(self, expected: bytes) -> None:
        found = await self.next()
        if found != expected:
            seen = repr(found.decode(errors="replace")) if found else "the end"
            raise ValueError(f"it is not JSON: {expected.decode()!r} expected, not {seen}")
        self._at += 1

    async def _go_past(self, *, keep: bool) -> None:
        """Go to the end of the value that begins here; with `keep` all of it is kept."""
        first = self._text[self._at : self._at + 1]
        if first not in (b"{", b"["):
            await self._go_past_scalar(_STRING if first == b'"' else _SCALAR)
            return
        depth = 0
        while True:
            plain = _PLAIN.match(self._text, self._at)
            assert plain is not None, "nothing is plain too"
            self._at = plain.end()
            bracket = self._text[self._at : self._at + 1]
            if bracket in (b"", b'"'):
                if not keep:
                    self._begin = self._at
                if not await self._more():
                    raise ValueError("it is not JSON: the text breaks off")
                continue
            self._at += 1
            depth += 1 if bracket in b"[{" else -1
            if depth == 0:
                return

    async def _go_past_scalar(self, pattern: re.Pattern[bytes]) -> None:
        while True:
            match = pattern.match(self._text, self._at)
            if match is not None and match.end() < len(self._text):
                break
            if not await self._more():
                break
        if match is None or match.end() == self._at:
            raise ValueError("it is not JSON: a value expected")
        self._at = match.end()

    def _check_length(self, length: int) -> None:
        if length > ITEM_BYTES_MAX:
            raise ValueError(f"an item is longer than {ITEM_BYTES_MAX} bytes")

    async def _more(self) -> bool:
        """Read on, and forget what is no longer needed; False at the end."""
        self._check_length(len(self._text) - self._begin)
        # A long value is looked at again from time to time, not after every piece of it.
        wanted = (len(self._text) - self._begin) // 2
        parts = [self._text[self._begin :]]
        size = 0
        async for piece in self._content:
            if not self._started:
                piece = piece.removeprefix(codecs.BOM_UTF8)
                self._started = True
            parts.append(piece)
            size += len(piece)
            if size > wanted:
                break
        self._text = b"".join(parts)
        self._at -= self._begin
        self._begin = 0
        return size > 0
