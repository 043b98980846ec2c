from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.cloud_events import (
    CloudEvent,
    InvalidCloudEvent,
    is_json,
    parse_batch,
    parse_binary,
    parse_structured,
    structured,
)
from eventmill.events import TriggerEvent
from eventmill.model import Json, decode_json, encode_json

LEAST: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
HEADERS = {name: str(value) for name, value in LEAST.items()}


def on_the_bus(event: CloudEvent) -> TriggerEvent:
    return event.to_trigger_event(account="1", region="r", now_ms=7_000)


def test_an_event_with_all_attributes() -> None:
    event = parse_structured(
        {
            **LEAST,
            "time": "2026-01-02t03:04:05.678+01:00",
            "subject": "s",
            "dataschema": "https://x/y",
            "datacontenttype": "application/json",
            "sampled": True,
            "level": 3,
            "nothing": None,
            "data": {"a": 1},
        }
    )

    assert on_the_bus(event) == TriggerEvent(
        id="1",
        source="/s",
        detail_type="t",
        at_ms=1_767_319_445_678,
        account="1",
        region="r",
        detail={
            "a": 1,
            "cloudevent": {
                "subject": "s",
                "dataschema": "https://x/y",
                "sampled": True,
                "level": 3,
            },
        },
    )


def test_an_event_without_a_time_happened_now() -> None:
    assert on_the_bus(parse_structured(LEAST)).at_ms == 7_000


@pytest.mark.parametrize(
    ("given_data", "detail"),
    [
        ({}, {}),
        ({"data": None}, {}),
        ({"data": 5}, {"data": 5}),
        ({"data": {"data": 5}}, {"data": 5}),
        ({"data": {"cloudevent": 1}}, {"data": {"cloudevent": 1}}),
        ({"data_base64": "AP8="}, {"data_base64": "AP8="}),
        ({"data_base64": "", "datacontenttype": "application/json"}, {}),
        ({"data_base64": "WzFd", "datacontenttype": "application/json"}, {"data": [1]}),
    ],
)
def test_where_data_stands(given_data: dict[str, Any], detail: Json) -> None:
    assert on_the_bus(parse_structured({**LEAST, **given_data})).detail == detail


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "a CloudEvent is a JSON object"),
        ({**LEAST, "specversion": "0.3"}, "specversion must be 1.0"),
        ({"id": "1"}, "specversion must be 1.0, not None"),
        ({**LEAST, "id": ""}, "the attribute id must be a text"),
        ({**LEAST, "source": 5}, "the attribute source must be a text"),
        ({**LEAST, "time": 5}, "the attribute time must be a string"),
        ({**LEAST, "time": "2026-02-30T00:00:00Z"}, "the attribute time: "),
        ({**LEAST, "traceId": "x"}, "small letters and digits only: 'traceId'"),
        ({**LEAST, "level": 1.5}, "the attribute level must be a string, integer or boolean"),
        ({**LEAST, "more": {}}, "the attribute more must be"),
        ({**LEAST, "data": 1, "data_base64": ""}, "not both"),
        ({**LEAST, "data_base64": 5}, "data_base64 must be a string"),
        ({**LEAST, "data_base64": "*"}, "data_base64 is not base64"),
    ],
)
def test_what_is_no_event_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(InvalidCloudEvent, match=reason):
        parse_structured(value)


def test_a_batch_is_read_whole_or_not_at_all() -> None:
    assert [each.id for each in parse_batch([LEAST, {**LEAST, "id": "2"}])] == ["1", "2"]
    with pytest.raises(InvalidCloudEvent, match="event 1: specversion"):
        parse_batch([LEAST, {}])
    with pytest.raises(InvalidCloudEvent, match="is a JSON array"):
        parse_batch(LEAST)


@pytest.mark.parametrize(
    ("content_type", "body", "detail"),
    [
        ("application/json", b"[1]", {"data": [1]}),
        ("application/json", b"", {}),
        ("application/ld+json", b"{}", {"cloudevent": {"datacontenttype": "application/ld+json"}}),
        (
            "text/plain",
            b"x",
            {"data": "x", "cloudevent": {"datacontenttype": "text/plain"}},
        ),
        ("", b"\0", {"data_base64": "AA=="}),
    ],
)
def test_binary_data_by_its_content_type(content_type: str, body: bytes, detail: Json) -> None:
    assert on_the_bus(parse_binary(HEADERS, content_type, body)).detail == detail


def test_data_of_other_types_is_read_by_whoever_can() -> None:
    event = parse_binary(HEADERS, "application/avro", b"7", lambda body: int(body))

    assert event.data == 7


@pytest.mark.parametrize(("type_", "body"), [("application/json", b"{"), ("text/x", b"\xff")])
def test_data_that_is_not_what_its_type_says_is_refused(type_: str, body: bytes) -> None:
    with pytest.raises(InvalidCloudEvent, match=f"data is not {type_}"):
        parse_binary(HEADERS, type_, body)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/json", True),
        ("application/cloudevents+json", True),
        ("application/jsonl", False),
        ("", False),
    ],
)
def test_what_counts_as_json(content_type: str, expected: bool) -> None:
    assert is_json(content_type) is expected


_NAMES = st.sampled_from(["a", "data", "data_base64", "id", "Bad"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab=", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(_NAMES | st.just("cloudevent"), inner, max_size=3)
    ),
    max_leaves=6,
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["subject", "traceid", "datacontenttype"]),
    st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "text/plain", "a/b+json"]),
    min_size=1,
)
_DETAILS = st.dictionaries(_NAMES, _VALUES, max_size=2) | st.builds(
    lambda detail, attributes: {**detail, "cloudevent": attributes},
    st.dictionaries(_NAMES, _VALUES, max_size=2),
    _ATTRIBUTES,
)


@given(_DETAILS)
def test_an_event_that_goes_out_comes_back(detail: dict[str, Any]) -> None:
    event = TriggerEvent(
        id="1",
        source="s",
        detail_type="t",
        at_ms=1_700_000_000_123,
        account="1",
        region="r",
        detail=detail,
    )

    sent = decode_json(encode_json(structured(event)))

    assert on_the_bus(parse_structured(sent)) == event
