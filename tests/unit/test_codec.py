"""The stored form of a step: small payloads stand in it, large ones are kept apart."""

import json
from collections.abc import Iterable

import pytest

from eventmill.codec import decode_step, encode_step, references, spell_out
from eventmill.machine.facts import TaskSucceeded, TimeReached
from eventmill.machine.history import Details, HistoryEvent
from eventmill.model import LARGE_BYTES_MIN, Enveloped, Payload

FACT = TimeReached()
LARGE = Payload(b'[ "%b" ]' % ("ü".encode() * LARGE_BYTES_MIN))
SMALL = Payload(b'{ "small": null }')


def events(*details: Details | None) -> list[HistoryEvent]:
    return [
        HistoryEvent(id, id - 1, "PassStateEntered", 7, 0, each)
        for id, each in enumerate(details, 1)
    ]


def events_with(payloads: Iterable[Payload]) -> list[HistoryEvent]:
    details: list[Details] = [{"name": "A", "input": each} for each in payloads]
    return events(*details)


def test_a_step_without_large_payloads_has_the_form_it_always_had() -> None:
    body, payloads = encode_step(7, FACT, events({"name": "A", "input": SMALL}, None))
    assert body == (
        b'[7,["TimeReached"],[[1,0,"PassStateEntered",0,{"name":"A","input":{ "small": null }},'
        b'null],[2,1,"PassStateEntered",0,null,null]]]'
    )
    assert payloads is None
    assert references(body) == ()
    assert spell_out(7, FACT, events({"name": "A", "input": SMALL}, None)) == body


def test_a_large_payload_is_kept_once_and_referred_to() -> None:
    body, payloads = encode_step(7, FACT, events_with([LARGE, SMALL, Payload(LARGE.text)]))
    assert payloads == {LARGE.digest: LARGE}
    assert len(body) < 500
    at_ms, fact, rows, referred = json.loads(body)
    assert (at_ms, fact) == (7, ["TimeReached"])
    assert [row[4]["input"] for row in rows] == [None, {"small": None}, None]
    assert referred == [[0, "input", LARGE.digest, "", ""], [2, "input", LARGE.digest, "", ""]]
    assert references(body) == [LARGE.digest, LARGE.digest]


@pytest.mark.parametrize("size", [LARGE_BYTES_MIN - 1, LARGE_BYTES_MIN])
def test_the_size_in_bytes_decides(size: int) -> None:
    payload = Payload(b'"%b"' % (b"x" * (size - 2)))
    _, payloads = encode_step(7, FACT, events_with([payload]))
    assert (payloads is not None) == (size == LARGE_BYTES_MIN)


def test_events_come_back_with_the_same_payload_for_all_that_refer_to_it() -> None:
    assigned = Payload.of({"rows": ["x"] * LARGE_BYTES_MIN, "n": 1})
    given = events(
        {"name": "A", "output": LARGE, "assignedVariables": assigned},
        {"name": "B", "input": Payload(b"null")},
        {"name": "C", "input": LARGE, "note": None},
    )
    body, payloads = encode_step(7, FACT, given)
    again = decode_step(body, payloads)
    assert list(again.events) == given
    first, _, last = (each.details or {} for each in again.events)
    assert list(first) == ["name", "output", "assignedVariables"]
    assert first["output"] is last["input"]
    assert spell_out(7, again.fact, again.events) == spell_out(7, FACT, given)


def test_a_fact_takes_its_large_payload_from_the_events() -> None:
    fact = TaskSucceeded(task=3, output=LARGE)
    event = HistoryEvent(4, 3, "TaskSucceeded", 7, 0, {"resource": "invoke", "output": LARGE})
    assert decode_step(*encode_step(7, fact, [event])).fact == fact


def test_what_stands_around_a_large_payload_stands_in_the_step() -> None:
    inner = Enveloped(b'{"b\xc3\xbc":', LARGE, b',"c":"\\u0000"}', "bü")
    outer = Enveloped(b'{"a":', inner, b"}", "a")
    body, payloads = encode_step(7, FACT, events_with([outer, inner, LARGE]))
    assert payloads == {LARGE.digest: LARGE}
    assert len(body) < 600
    again = decode_step(body, payloads)
    texts = [(each.details or {})["input"] for each in again.events]
    assert texts == [outer, inner, LARGE]
    assert spell_out(7, FACT, again.events) == spell_out(
        7, FACT, events_with([outer, inner, LARGE])
    )
    assert encode_step(7, FACT, again.events) == (body, payloads)


def test_an_envelope_that_is_large_itself_is_kept_with_what_is_in_it() -> None:
    wrapping = b'{"a":"%b","b":' % (b"x" * LARGE_BYTES_MIN)
    outer = Enveloped(wrapping, LARGE, b"}", "b")
    _, payloads = encode_step(7, FACT, events_with([outer]))
    assert payloads == {outer.digest: outer}


def test_small_payloads_that_are_large_together_are_kept_whole() -> None:
    inner = Payload(b'"%b"' % (b"x" * (LARGE_BYTES_MIN - 10)))
    outer = Enveloped(b'{"abcdefghi":', inner, b"}", "abcdefghi")
    _, payloads = encode_step(7, FACT, events_with([outer]))
    assert payloads == {outer.digest: outer}


def test_a_payload_that_is_not_given_is_told() -> None:
    body, _ = encode_step(7, FACT, events_with([LARGE]))
    for given in (None, {}, {"another": LARGE}):
        with pytest.raises(ValueError, match="not a stored step"):
            decode_step(body, given)


@pytest.mark.parametrize(
    "body",
    [b"", b'"]]]', b'[["x"]]]', b'["execution 1, step 2",["x"]]]', b'[1,[],[],[["x"]]]'],
)
def test_what_is_no_stored_step_refers_to_nothing(body: bytes) -> None:
    assert references(body) == ()


@pytest.mark.parametrize(
    "body",
    [
        b'[7,["TimeReached"],[],[[0,"input","%b","",""]]]',
        b'[7,["TimeReached"],[[1,0,"X",0,{},null]],[[-9,"input","%b","",""]]]',
        b'[7,["TimeReached"],[[1,0,"X",0,{},null]],[["0","input","%b","",""]]]',
    ],
)
def test_a_reference_to_nowhere_is_no_stored_step(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a stored step"):
        decode_step(body % LARGE.digest.encode(), {LARGE.digest: LARGE})
