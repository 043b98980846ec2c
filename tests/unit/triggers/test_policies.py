from typing import Any

import pytest

from eventmill.events import TriggerEvent
from eventmill.model import Json
from eventmill.triggers.policies import NO_POLICIES, Batching, Policies, RateLimit, RetryPolicy
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


def test_retry_policy() -> None:
    read = trigger(RetryPolicy={"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 3})
    assert read.policies == Policies(retry=RetryPolicy(age_ms=60_000, attempts_max=3))
    assert not read.policies.holds
    assert trigger(RetryPolicy={}).policies.retry == RetryPolicy(
        age_ms=86_400_000, attempts_max=185
    )


def test_mistakes_in_a_retry_policy() -> None:
    assert mistakes_in(
        RetryPolicy={"MaximumEventAgeInSeconds": 59, "MaximumRetryAttempts": 186}
    ) == [
        ("/RetryPolicy/MaximumEventAgeInSeconds", "must be a whole number, 60 to 86,400"),
        ("/RetryPolicy/MaximumRetryAttempts", "must be a whole number, 0 to 185"),
    ]


def test_pauses_grow_until_the_event_is_too_old() -> None:
    retry = RetryPolicy(age_ms=600_000, attempts_max=20)
    now_ms, tried_ms = 0, []
    for failed in range(1, 30):
        due_ms = retry.next_ms(0, failed, now_ms)
        if due_ms is None:
            break
        tried_ms.append(due_ms)
        now_ms = due_ms
    seconds = [each // 1000 for each in tried_ms]
    assert seconds == [1, 3, 7, 15, 31, 63, 127, 255, 511, 600]


def test_pauses_are_five_minutes_at_most_and_attempts_are_counted() -> None:
    retry = RetryPolicy(attempts_max=20)
    assert retry.next_ms(0, 20, 0) == 300_000
    assert retry.next_ms(0, 21, 0) is None


def event(**detail: Json) -> TriggerEvent:
    return TriggerEvent(
        id="1",
        source="test",
        detail_type="Test",
        at_ms=0,
        account="000000000000",
        region="local",
        detail=detail,
    )


@pytest.mark.parametrize(
    "key",
    ["$.detail.order", "States.Format('{}', $.detail.order)", "{% $states.input.detail.order %}"],
)
def test_keys_of_deduplication(key: str) -> None:
    policies = trigger(Deduplication={"Key": key, "WindowSeconds": 60}).policies
    assert policies.holds
    assert policies.deduplication is not None
    assert policies.deduplication.window_ms == 60_000
    one, same, other = (policies.keys_of(event(order=each, x=1)) for each in ("A", "A", "B"))
    assert one == same
    assert one.dedup not in (None, other.dedup)
    assert (one.content_key, one.content) == (None, None)


def test_contents_are_the_same_whatever_the_order_of_their_fields() -> None:
    policies = trigger(SkipUnchanged="$.detail.content").policies
    assert policies.holds
    given: list[Json] = [
        {"a": 1, "b": {"c": 2, "d": 3}},
        {"b": {"d": 3, "c": 2}, "a": 1},
        {"a": 1},
        [1],
    ]
    contents = [policies.keys_of(event(content=each)).content for each in given]
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3
    assert policies.keys_of(event(content=1)).content_key == ""


def test_contents_belong_to_the_key_of_deduplication() -> None:
    both = trigger(SkipUnchanged="$.detail.content", Deduplication={"Key": "$.id"}).policies
    keys = both.keys_of(event(content=1))
    assert keys.dedup == keys.content_key
    assert both.deduplication is not None
    assert both.deduplication.window_ms == 300_000


def test_mistakes_in_deduplication() -> None:
    assert mistakes_in(Deduplication={"WindowSeconds": 0}, SkipUnchanged="detail") == [
        ("/Deduplication/Key", "is missing"),
        ("/Deduplication/WindowSeconds", "must be a whole number, 1 to 2,592,000"),
        ("/SkipUnchanged", "'detail' is no JSONPath: Value is not a valid JSONPath"),
    ]
    ((pointer, text),) = mistakes_in(Deduplication={"Key": "fixed"})
    assert pointer == "/Deduplication/Key"
    assert text.startswith("'fixed' is neither a JSONPath into the event nor an intrinsic function")


def test_batching() -> None:
    policies = trigger(Batching={"Size": 10, "WindowSeconds": 0.5}).policies
    assert policies == Policies(batching=Batching(size=10, window_ms=500))
    assert policies.holds
    assert (policies.gathering_ms, NO_POLICIES.gathering_ms) == (500, 0)


def test_mistakes_in_batching() -> None:
    assert mistakes_in(Batching={"Size": 1001}, ExecutionName="$.id", Overlap="skip") == [
        ("/Batching/WindowSeconds", "is missing"),
        ("/Batching/Size", "must be a whole number, 1 to 1,000"),
        ("/ExecutionName", "cannot name an execution of several events (Batching)"),
        ("/Overlap", "cannot be skip with Batching"),
    ]
    assert mistakes_in(
        Batching={"Size": 2, "WindowSeconds": 60}, RetryPolicy={"MaximumEventAgeInSeconds": 60}
    ) == [("/Batching/WindowSeconds", "is as long as MaximumEventAgeInSeconds, or longer")]


def test_names_of_batches_follow_from_all_their_events() -> None:
    named = trigger().batch_name
    names = {
        named(each) for each in ([("s", "1")], [("s", "1"), ("s", "2")], [("s", "2"), ("s", "1")])
    }
    assert len(names) == 3
    assert named([("s", "1"), ("s", "2")]) in names
    assert all(name.startswith("t-") for name in names)
