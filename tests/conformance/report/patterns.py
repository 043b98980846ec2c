"""Cases of event patterns: what EventBridge and event-ruler answered."""

import json

from eventmill.patterns.compiler import compile_pattern
from tests.conformance.recorded import Case
from tests.conformance.report.verdict import Equal, Verdict, equal_unless, same

_PREFIX = "Event pattern is not valid. Reason: "
NOT_JSON = "not JSON"


def run(case: Case) -> Verdict:
    """Whether a pattern matches an event, is valid, or why it is refused."""
    answered = answer(case)
    if "expected_valid" in case:
        is_valid = isinstance(answered, bool)
        return same(case["expected_valid"], is_valid)
    if answered == NOT_JSON:
        # Such a text never reaches the compiler; whoever reads it refuses it.
        is_refused = "expected_error" in case
        return Equal() if is_refused else equal_unless(["the text is taken for no JSON"])
    return same(recorded(case), answered)


def answer(case: Case) -> bool | str:
    """True or False for a match, or the first mistake of a pattern that is refused."""
    try:
        pattern = json.loads(case["pattern_text"]) if "pattern_text" in case else case["pattern"]
        event = json.loads(case["event_text"]) if "event_text" in case else case.get("event", {})
    except json.JSONDecodeError:
        return NOT_JSON
    mistakes: list[str] = []
    matcher = compile_pattern(pattern, lambda _pointer, message: mistakes.append(message))
    return mistakes[0] if mistakes else matcher.matches(event)


def recorded(case: Case) -> bool | str:
    """What was answered, in the form of `answer`."""
    if "expected_match" in case:
        return bool(case["expected_match"])
    message: str = case["expected_error"]["message"]
    return message.removeprefix(_PREFIX).split("\n at ")[0]
