"""The values everything else is made of: JSON, payloads, failures and quotas.

Knows nothing of states, executions or storage.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final, TypeAlias, Union

import msgspec

from eventmill.record import record

Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_decode: Final[Callable[[bytes | str], Json]] = msgspec.json.Decoder().decode


def encode_json(value: Json) -> bytes:
    """Write `value` as compact JSON in UTF-8, keys in their own order."""
    return _encode(value)


def decode_json(text: bytes | str) -> Json:
    """Read one JSON document (RFC 8259).

    Raises:
        ValueError: The text is not JSON; NaN, infinities and lone surrogates are not.
    """
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from None


def pointer_steps(pointer: str) -> list[str]:
    """The names and indexes in a JSON Pointer (RFC 6901), unescaped.

    >>> pointer_steps("/States/A~1b/Choices/0")
    ['States', 'A/b', 'Choices', '0']
    """
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


class _Absent:
    """The type of `ABSENT`, which stands for "no value at all" where null is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Payload:
    """A JSON document that is text, value or both; each is made from the other when first asked.

    AWS passes JSON text on unchanged until a state changes it, so a payload that came as text
    keeps that text, spaces included. Payloads are never changed in place: neither the bytes nor
    the value, which may be shared.
    """

    # The last two are not set before they are asked for: most payloads are small, and nobody asks.
    __slots__ = ("_digest", "_is_compact", "_text", "_value")

    _digest: str
    _is_compact: bool

    def __init__(self, text: bytes | None, value: "Json | _Absent" = ABSENT) -> None:
        """Hold `text`, a valid JSON document in UTF-8, or `value`, or both; nothing is checked."""
        self._text = text
        self._value = value

    @staticmethod
    def of(value: Json) -> "Payload":
        """The payload of a value; its text is compact and made when first asked for."""
        return Payload(None, value)

    @staticmethod
    def parse(text: bytes) -> "Payload":
        """The payload of a text from outside.

        Raises:
            ValueError: `text` is not JSON.
        """
        return Payload(text, decode_json(text))

    @staticmethod
    def compact(text: bytes) -> "Payload":
        """The payload of a text that `encode_json` has written."""
        payload = Payload(text)
        payload._is_compact = True
        return payload

    @property
    def text(self) -> bytes:
        """The JSON text in UTF-8."""
        if self._text is None:
            assert not isinstance(self._value, _Absent), "a payload has a text or a value"
            self._text = _encode(self._value)
            self._is_compact = True
        return self._text

    @property
    def value(self) -> Json:
        """The value. It may be shared: never change it, build a new one."""
        if isinstance(self._value, _Absent):
            assert self._text is not None, "a payload has a text or a value"
            self._value = _decode(self._text)
        return self._value

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, in hexadecimal; it is computed once."""
        try:
            return self._digest
        except AttributeError:
            self._digest = sha256(self.text).hexdigest()
            return self._digest

    @property
    def is_compact(self) -> bool:
        """Whether the text is the one that `Payload.of` makes of the value."""
        try:
            return self._is_compact
        except AttributeError:
            self._is_compact = self._text is None or _encode(self.value) == self._text
            return self._is_compact

    def member(self, name: str) -> "Payload | None":
        """The payload of a member, where that is at hand; None says nothing."""
        return None

    def __len__(self) -> int:
        """The size of the text in bytes, as AWS's quotas count it."""
        text = self._text
        return len(self.text if text is None else text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Payload({self.text.decode()})"


Payloads: TypeAlias = Mapping[str, Payload]
"""Payloads that are kept apart from what refers to them, by their digests."""


class Enveloped(Payload):
    """An object of which one member is another payload, `inner`, between `before` and `after`.

    So the text of a large one is not written again for every envelope that it is put into, and it
    is the same payload that comes out. `member` is the name it has, where that is known; `before`
    and `after` are compact then.
    """

    __slots__ = ("after", "before", "inner", "name")

    def __init__(
        self, before: bytes, inner: Payload, after: bytes, name: str | None = None
    ) -> None:
        """Hold `before`, the text of `inner`, and `after`, which must be valid JSON together."""
        super().__init__(None)
        self.before = before
        self.inner = inner
        self.after = after
        self.name = name

    @property
    def text(self) -> bytes:
        """The JSON text in UTF-8."""
        if self._text is None:
            self._text = b"".join((self.before, self.inner.text, self.after))
        return self._text

    @property
    def value(self) -> Json:
        """The value. It may be shared: never change it, build a new one."""
        if isinstance(self._value, _Absent):
            if self.name is None:
                self._value = _decode(self.text)
            else:
                around = _decode(b"".join((self.before, b"null", self.after)))
                assert isinstance(around, dict), "a member stands in an object"
                around[self.name] = self.inner.value
                self._value = around
        return self._value

    @property
    def is_compact(self) -> bool:
        """Whether the text is the one that `Payload.of` makes of the value."""
        if self.name is not None:
            return self.inner.is_compact
        return _encode(self.value) == self.text

    def member(self, name: str) -> Payload | None:
        """The payload of a member, where that is at hand; None says nothing."""
        return self.inner if name == self.name and self.inner.is_compact else None

    def __len__(self) -> int:
        return len(self.before) + len(self.inner) + len(self.after)


# From this size on a payload is worth to be kept once, wherever it goes.
LARGE_BYTES_MIN: Final = 2_048

_MARK: Final = b"\0"  # stands in no JSON text


def payload_with(value: Json, part: Payload) -> Payload:
    """The payload of `value`, which is new and may have the value of `part` as a member.

    It is equal to `Payload.of(value)`. If `part` is large, its text is not written again.
    """
    text = part._text
    if (text is not None and len(text) < LARGE_BYTES_MIN) or not isinstance(value, dict):
        return Payload.of(value)
    inside = part._value
    name = next((each for each in value if value[each] is inside), None)
    if name is None or len(part) < LARGE_BYTES_MIN or not part.is_compact:
        return Payload.of(value)
    before, _, after = _encode({**value, name: msgspec.Raw(_MARK)}).partition(_MARK)
    made = Enveloped(before, part, after, name)
    made._value = value
    return made


EMPTY_OBJECT: Final = Payload(b"{}")


@record
class Failure:
    """The author's kind of wrong: an ASL error name with its cause, matched by `ErrorEquals`."""

    error: str | None = None
    cause: str | None = None


@record
class Quotas:
    """AWS's limits. They hold by default and are settings of the project."""

    history_events_max: int = 25_000
    payload_bytes_max: int = 262_144
    definition_bytes_max: int = 1_048_576
    variable_bytes_max: int = 262_144  # of one variable, and of all that one state assigns
    variables_bytes_max: int = 10_485_760  # of all variables of an execution
    map_concurrency_max: int = 40  # iterations of an inline Map at once
    map_run_concurrency_max: int = 10_000  # children of a Map Run at once


AWS_QUOTAS: Final = Quotas()
