import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmill.asl.positions import position_of

DEFINITION = """{
  "StartAt": "A/b",
  "States": {
    "A/b": {
      "Type": "Choice",
      "Choices": [ {"Variable": "$.x"},
        {"Next": "~"} ]
    },
    "~": {"Comment": "caf\\u00e9 \\"quoted\\"", "Type": "Succeed"}
  }
}
"""


@pytest.mark.parametrize(
    ("pointer", "position"),
    [
        ("", (1, 1)),
        ("/StartAt", (2, 14)),
        ("/States", (3, 13)),
        ("/States/A~1b", (4, 12)),
        ("/States/A~1b/Choices/0", (6, 20)),
        ("/States/A~1b/Choices/1/Next", (7, 18)),
        ("/States/~0/Type", (9, 54)),
    ],
)
def test_a_pointer_leads_to_the_line_and_column_of_its_value(
    pointer: str, position: tuple[int, int]
) -> None:
    assert position_of(DEFINITION, pointer) == position


def test_a_value_that_is_not_there_is_shown_at_the_nearest_value_around_it() -> None:
    assert position_of(DEFINITION, "/States/~0/Next") == position_of(DEFINITION, "/States/~0")


def test_of_repeated_keys_the_last_one_is_shown() -> None:
    assert position_of('{"a": 1,\n "a": 2}', "/a") == (2, 7)


def test_text_that_breaks_off_is_shown_as_far_as_it_goes() -> None:
    assert position_of('{"States": {"A": {"Type": ', "/States/A/Type") == (1, 18)


@pytest.mark.parametrize("text", ["", "]", ",", ":", '{"a":1}]', '{"a":1}{"b":2}', '"', "[,,]"])
def test_any_text_has_some_position(text: str) -> None:
    line, column = position_of(text, "/b/0")

    assert line == 1
    assert 1 <= column <= len(text) + 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values, st.sampled_from([None, 1]))
def test_the_text_at_a_position_is_the_value(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    pointer, expected = "", value
    while isinstance(expected, (dict, list)) and expected:
        step = list(expected)[-1] if isinstance(expected, dict) else str(len(expected) - 1)
        pointer += "/" + str(step).replace("~", "~0").replace("/", "~1")
        expected = expected[step] if isinstance(expected, dict) else expected[-1]

    line, column = position_of(text, pointer)

    rest = "\n".join(text.split("\n")[line - 1 :])[column - 1 :]
    assert json.JSONDecoder().raw_decode(rest)[0] == expected


def test_a_colon_inside_an_array_breaks_nothing() -> None:
    assert position_of('["a": 1, 2]', "") == (1, 1)
