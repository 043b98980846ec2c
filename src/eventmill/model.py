"""The values everything else is made of: JSON, payloads, failures and quotas.

Knows nothing of states, executions or storage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar, dataclass_transform

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[_T]) -> type[_T]:
    """Declare an immutable value: slotted, keyword-only, equal by content.

    The type checker forbids to change one. At run time nothing does: a frozen dataclass sets every
    field by a call, which was a tenth of all the work of an execution.
    """
    return dataclass(unsafe_hash=True, slots=True, kw_only=True)(cls)


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


class Payload:
    """A JSON document that is text, value or both; each is made from the other when first asked.

    AWS passes JSON text on unchanged until a state changes it, so a payload that came as text
    keeps that text, spaces included. Payloads are never changed in place: neither the bytes nor
    the value, which may be shared.
    """

    __slots__ = ("_text", "_value")

    def __init__(self, text: bytes) -> None:
        """Hold `text`, which must be a valid JSON document in UTF-8; it is not checked here."""
        self._text: bytes | None = text
        self._value: Json | _Absent = ABSENT

    @classmethod
    def of(cls, value: Json) -> "Payload":
        """The payload of a value; its text is compact and made when first asked for."""
        self = cls.__new__(cls)
        self._text = None
        self._value = value
        return self

    @classmethod
    def parse(cls, text: bytes) -> "Payload":
        """The payload of a text from outside.

        Raises:
            ValueError: `text` is not JSON.
        """
        self = cls(text)
        self._value = decode_json(text)
        return self

    @property
    def text(self) -> bytes:
        """The JSON text in UTF-8."""
        if self._text is None:
            assert not isinstance(self._value, _Absent), "a payload has a text or a value"
            self._text = _encode(self._value)
        return self._text

    @property
    def value(self) -> Json:
        """The value. It may be shared: never change it, build a new one."""
        if isinstance(self._value, _Absent):
            assert self._text is not None, "a payload has a text or a value"
            self._value = _decode(self._text)
        return self._value

    def __len__(self) -> int:
        """The size of the text in bytes, as AWS's quotas count it."""
        return len(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Payload({self.text.decode()})"


class _Absent:
    """The type of `ABSENT`, which stands for "no value at all" where null is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()

EMPTY_OBJECT: Final = Payload(b"{}")


@record
class Failure:
    """The author's kind of wrong: an ASL error name with its cause, matched by `ErrorEquals`."""

    error: str | None = None
    cause: str | None = None


class AuthorError(Exception):
    """Carries a `Failure` from an expression up to the machine, which turns it into events.

    `located` says whether AWS puts "An error occurred while executing the state …" before the
    cause. `location` names the field whose evaluation failed, where AWS writes an EvaluationFailed
    event about it. It never leaves the machine.
    """

    def __init__(
        self,
        error: str,
        cause: str | None = None,
        *,
        located: bool = True,
        location: str | None = None,
    ) -> None:
        super().__init__(error, cause)
        self.failure = Failure(error=error, cause=cause)
        self.located = located
        self.location = location


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
