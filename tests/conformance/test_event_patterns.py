"""Every recorded case of an event pattern: what EventBridge and event-ruler answered."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from eventmill.patterns.compiler import compile_pattern

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("EVENTMILL_CONFORMANCE", ROOT / "../shared/conformance"))
FILES = ("event_patterns.jsonl", "event_ruler.jsonl")
REASON = "Event pattern is not valid. Reason: "

if not all((FOLDER / file).is_file() for file in FILES):
    pytest.skip(f"no recorded cases in {FOLDER}", allow_module_level=True)

# Where we differ knowingly: what was recorded, what we answer, and why.
DIFFERENT: dict[bool | str, bool | str] = {
    # A double holds this number as 0, and that is how it reaches the compiler.
    "Cannot compare number : 1E-325": False,
    # We print the double that the number became.
    "Cannot compare number : 2.0e422": "Cannot compare number : inf",
    # The words of a second compiler in event-ruler; EventBridge itself uses those of the first.
    "Inside anything-but/ignore-case list, number|start|null|boolean is not supported.": (
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    ),
}


def cases() -> list[Any]:
    return [
        pytest.param(json.loads(line), id=f"{file}:{number}")
        for file in FILES
        for number, line in enumerate((FOLDER / file).read_text().splitlines(), 1)
    ]


def answer(case: dict[str, Any]) -> bool | str:
    """True or False for a match, or the first mistake of a pattern that is refused."""
    try:
        pattern = json.loads(case["pattern_text"]) if "pattern_text" in case else case["pattern"]
        event = json.loads(case["event_text"]) if "event_text" in case else case.get("event", {})
    except json.JSONDecodeError:
        return "not JSON"
    mistakes: list[str] = []
    matcher = compile_pattern(pattern, lambda _pointer, message: mistakes.append(message))
    return mistakes[0] if mistakes else matcher.matches(event)


def recorded(case: dict[str, Any]) -> bool | str:
    if "expected_match" in case:
        return bool(case["expected_match"])
    message: str = case["expected_error"]["message"]
    return message.removeprefix(REASON).split("\n at ")[0]


@pytest.mark.parametrize("case", cases())
def test_answers_as_recorded(case: dict[str, Any]) -> None:
    answered = answer(case)
    if "expected_valid" in case:
        assert case["expected_valid"] is True
        assert isinstance(answered, bool)
    elif answered == "not JSON":
        # Such a text never reaches the compiler; whoever reads it refuses it.
        assert "expected_error" in case
    else:
        assert answered == DIFFERENT.get(recorded(case), recorded(case))
