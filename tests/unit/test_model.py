"""Payloads: text and value, and one that stands in another."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.model import (
    LARGE_BYTES_MIN,
    Enveloped,
    Payload,
    decode_json,
    encode_json,
    payload_with,
)

ROWS: list[Any] = [{"ü": 1.0, "b": [None, True, "\u2028\\"]} for _ in range(LARGE_BYTES_MIN // 20)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inside: st.lists(inside) | st.dictionaries(TEXT, inside),
)


@given(JSON)
def test_what_was_written_and_read_is_written_the_same_again(value: Any) -> None:
    text = encode_json(value)
    assert encode_json(decode_json(text)) == text
    assert Payload.of(value).is_compact
    assert Payload(text).is_compact


@pytest.mark.parametrize("text", [b'{"a": 1}', b"[1E2]", b'"\\u00fc"', b"[1.50]", b'{"a":1,"a":2}'])
def test_a_text_that_would_be_written_differently_is_not_compact(text: bytes) -> None:
    assert not Payload(text).is_compact
    assert not Payload.parse(text).is_compact


def test_the_digest_is_that_of_the_text_and_computed_once() -> None:
    payload = Payload(b'{ "a":1}')
    assert payload.digest == sha256(b'{ "a":1}').hexdigest()
    assert payload.digest is payload.digest


def test_a_large_part_is_not_written_again() -> None:
    part = Payload.of(ROWS)
    value: Any = {"before": [1], "rows": part.value, "after": "ü"}
    made = payload_with(value, part)
    assert isinstance(made, Enveloped)
    assert made.inner is part
    assert made.value is value
    assert made.text == encode_json(value)
    assert len(made) == len(made.text)
    assert made == Payload.of(value)
    assert made.is_compact
    assert made.member("rows") is part
    assert made.member("before") is None
    again = Enveloped(made.before, part, made.after, "rows")
    assert again.value == value
    assert Enveloped(made.before, part, made.after).value == value


def test_a_part_that_stands_there_twice_is_written_once_more() -> None:
    part = Payload.of(ROWS)
    value: Any = {"a": part.value, "b": part.value}
    assert payload_with(value, part).text == encode_json(value)


def test_a_part_in_a_part() -> None:
    part = Payload.of(ROWS)
    inner = payload_with({"rows": part.value}, part)
    outer = payload_with({"inner": inner.value, "n": 1}, inner)
    assert isinstance(outer, Enveloped)
    assert outer.inner is inner
    assert outer.text == encode_json({"inner": {"rows": ROWS}, "n": 1})
    assert outer.value == {"inner": {"rows": ROWS}, "n": 1}


def test_a_small_part_is_written_again() -> None:
    part = Payload.of(["small"])
    assert type(payload_with({"a": part.value}, part)) is Payload


def test_a_part_that_stands_nowhere_changes_nothing() -> None:
    value: Any = {"rows": list(ROWS)}
    for part in (Payload.of(ROWS), Payload(encode_json(ROWS))):
        made = payload_with(value, part)
        assert type(made) is Payload
        assert made.text == encode_json(value)


def test_spaces_of_a_part_are_not_handed_on() -> None:
    part = Payload.parse(json.dumps(ROWS).encode())
    made = payload_with({"rows": part.value}, part)
    assert type(made) is Payload
    assert made.text == encode_json({"rows": ROWS})


def test_what_is_taken_out_of_an_envelope_is_compact() -> None:
    spaced = Payload(json.dumps(ROWS).encode())
    assert Enveloped(b'{"rows":', spaced, b"}", "rows").member("rows") is None
    assert not Enveloped(b'{"rows":', spaced, b"}", "rows").is_compact
    assert not Enveloped(b'{"rows": ', Payload.of(ROWS), b"}").is_compact
    assert Enveloped(b'{"rows":', Payload.of(ROWS), b"}").is_compact


@pytest.mark.parametrize("value", [1, "x", None, [1], {}])
def test_what_is_no_object_has_no_parts(value: Any) -> None:
    part = Payload.of(ROWS)
    assert payload_with(value, part).value == value
    assert payload_with(part.value, part).text == part.text
