from typing import Any

import pytest

from eventmill.triggers.policies import NO_POLICIES, Policies, RateLimit
from eventmill.triggers.trigger import InvalidTrigger, Trigger, parse_trigger


def trigger(**target: Any) -> Trigger:
    return parse_trigger(
        "t",
        {
            "Source": {"Type": "filesystem", "Path": "inbox"},
            "Target": {"StateMachine": "intake", **target},
        },
    )


def mistakes_in(**target: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidTrigger) as raised:
        trigger(**target)
    return [(pointer.removeprefix("/Target"), text) for pointer, text in raised.value.mistakes]


def test_without_policies_nothing_is_held() -> None:
    assert trigger().policies == NO_POLICIES
    assert not trigger().policies.holds


def test_limits() -> None:
    read = trigger(Concurrency=3, RateLimit={"Executions": 10, "PerSeconds": 60})
    assert read.policies == Policies(
        concurrency=3, rate_limit=RateLimit(executions=10, per_ms=60_000)
    )
    assert trigger(Concurrency=3).policies.holds
    assert trigger(RateLimit={"Executions": 10, "PerSeconds": 60}).policies.holds


def test_mistakes_in_limits() -> None:
    assert mistakes_in(Concurrency=0, RateLimit={"Executions": "1", "Per": 3}) == [
        ("/Concurrency", "must be a whole number, 1 to 10,000"),
        ("/RateLimit/PerSeconds", "is missing"),
        ("/RateLimit/Executions", "must be a whole number, 1 to 10,000"),
        ("/RateLimit/Per", "there is no such field"),
    ]
    assert mistakes_in(RateLimit=5) == [("/RateLimit", "must be an object, not a number")]
    assert mistakes_in(Concurrency=1, Overlap="skip") == [
        ("/Concurrency", "says already what overlaps, so Overlap cannot be skip")
    ]
    assert mistakes_in(Concurrency=1, Overlap="skipp") == [
        (
            "/Overlap",
            "is one of allow, skip, buffer-one, cancel-other, not 'skipp'; did you mean 'skip'?",
        )
    ]
