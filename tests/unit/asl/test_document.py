import json

import pytest

from eventmill.asl.document import DEPTH_MAX, read_document
from eventmill.asl.report import Report
from eventmill.errors import Diagnostic
from eventmill.model import AWS_QUOTAS, Quotas


def read(text: str | bytes, quotas: Quotas = AWS_QUOTAS) -> tuple[object, list[Diagnostic]]:
    report = Report()
    value = read_document(text, quotas, report)
    return value, [*report.errors, *report.warnings]


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null]}', b'{"a": [1, 2.5, null]}'])
def test_an_object_is_read_from_text_or_bytes(text: str | bytes) -> None:
    assert read(text) == ({"a": [1, 2.5, None]}, [])


@pytest.mark.parametrize("text", ["", " \n", "null", "[]", '"A"', "1"])
def test_anything_but_an_object_is_refused_in_aws_words(text: str) -> None:
    value, [mistake] = read(text)

    assert value is None
    assert (mistake.code, mistake.message, mistake.location) == (
        "SCHEMA_VALIDATION_FAILED",
        "Definition must be a valid JSON object",
        None,
    )


@pytest.mark.parametrize(
    ("text", "message", "line_and_column", "hint"),
    [
        (
            "not a definition",
            "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token"
            " 'null', 'true' or 'false')",
            "line: 1, column: 4",
            "line 1, column 1: ",
        ),
        ("{", "Unexpected end-of-input", "line: 1, column: 2", "line 1, column 2: "),
        (
            '{\n "a": 1,\n}',
            "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
            "line: 3, column: 1",
            "line 3, column 1: ",
        ),
        (
            '{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name"
            " and value",
            "line: 1, column: 6",
            "line 1, column 6: ",
        ),
    ],
)
def test_a_syntax_error_is_located_as_aws_does_with_a_hint_for_humans(
    text: str, message: str, line_and_column: str, hint: str
) -> None:
    value, [mistake] = read(text)

    location = f'[Source: (String)"{text}"; {line_and_column}]'
    assert value is None
    assert mistake.code == "INVALID_JSON_DESCRIPTION"
    assert mistake.message == f"{message}\n at {location}"
    assert mistake.location == location
    assert (mistake.hint or "").startswith(hint)


def test_a_long_text_is_cut_in_the_location_of_a_syntax_error() -> None:
    _, [mistake] = read("{" + " " * 600)

    assert (mistake.location or "").startswith('[Source: (String)"{' + " " * 499 + '"[truncated ')
    assert "[truncated 101 chars]" in (mistake.location or "")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": "\ud800"}',
        b'{"a": "\xff"}',
        '{"a": ' + "1" * 5000 + "}",
        '{"a": 1} x',
        "\ufeff{}",
    ],
)
def test_what_only_lenient_readers_accept_is_refused(text: str | bytes) -> None:
    value, [mistake] = read(text)

    assert value is None
    assert mistake.code == "INVALID_JSON_DESCRIPTION"
    assert mistake.hint


def test_a_text_over_the_quota_is_refused_with_both_sizes() -> None:
    quotas = Quotas(definition_bytes_max=12)

    assert read('{"a": "é"}', quotas)[1] == []  # 11 bytes, 10 characters
    assert [each.message for each in read('{"a": "éé"}', quotas)[1]] == [
        "The definition has 13 bytes; at most 12 are allowed"
    ]


def test_depth_is_limited_and_never_overflows_the_stack() -> None:
    assert read(nested(DEPTH_MAX))[1] == []
    for depth in (DEPTH_MAX + 1, 100_000):
        value, [mistake] = read(nested(depth))
        assert value is None
        assert mistake.code == "TOO_DEEPLY_NESTED"


def test_a_repeated_state_or_field_is_an_error_and_in_data_a_warning() -> None:
    text = """{"StartAt": "A", "StartAt": "A", "States": {
        "A": {"Type": "Pass", "Type": "Pass", "Result": {"k": 1, "k": 2, "k": 3}, "End": true},
        "A": {"Type": "Pass", "Parameters": [{"k": 1, "k": 2}], "End": true, "End": true},
        "States": {"Comment": "", "Comment": ""}}}"""

    value, mistakes = read(text)

    assert value is not None
    assert {(each.severity, each.code, each.pointer) for each in mistakes} == {
        ("ERROR", "SCHEMA_VALIDATION_FAILED", "/StartAt"),
        ("ERROR", "DUPLICATE_STATE_NAME", "/States/A"),
        ("ERROR", "SCHEMA_VALIDATION_FAILED", "/States/A/End"),
        ("ERROR", "SCHEMA_VALIDATION_FAILED", "/States/States/Comment"),
        ("WARNING", "DUPLICATE_KEY", "/States/A/Parameters/0/k"),
    }
    assert value["States"]["A"] == json.loads(text)["States"]["A"]  # type: ignore[index]  # JSON


@pytest.mark.parametrize("field", ["Arguments", "Assign", "Items", "Output"])
def test_a_repeated_key_in_the_data_of_jsonata_is_a_warning(field: str) -> None:
    text = f'{{"StartAt": "A", "States": {{"A": {{"{field}": {{"k": 1, "k": 2}}}}}}}}'

    _, mistakes = read(text)

    assert [(each.severity, each.code, each.pointer) for each in mistakes] == [
        ("WARNING", "DUPLICATE_KEY", f"/States/A/{field}/k")
    ]
