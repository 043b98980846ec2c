"""Rehearsals: the real engine with mocked tasks, and time that takes none."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import pytest

from eventmill import HandlerError
from eventmill.errors import InvalidDefinition
from eventmill.instant import parse_instant
from eventmill.model import Json
from eventmill.rehearsal.outcome import RehearsalBroken
from eventmill.rehearsal.rehearse import rehearse

FUNCTION: Final = "arn:aws:lambda:local:000000000000:function:f"
YEAR: Final = 31_536_000


def one(state: dict[str, Json], **others: dict[str, Json]) -> dict[str, Json]:
    """A state machine of one state that ends it, and of others."""
    end: dict[str, Json] = {} if {"Next", "Default"} & state.keys() else {"End": True}
    return {"StartAt": "A", "States": {"A": {**state, **end}, **others}}


def task(resource: str = FUNCTION, **fields: Json) -> dict[str, Json]:
    return one({"Type": "Task", "Resource": resource, **fields})


RETRY: Final[list[Json]] = [
    {"ErrorEquals": ["Busy"], "IntervalSeconds": 60, "MaxAttempts": 3, "BackoffRate": 2}
]


def types(history: Any) -> list[str]:
    return [event["type"] for event in history]


# Time


def test_a_wait_of_a_year_takes_no_time() -> None:
    begun = time.perf_counter()

    outcome = rehearse(one({"Type": "Wait", "Seconds": YEAR}))

    assert (outcome.status, outcome.duration_ms) == ("SUCCEEDED", YEAR * 1000)
    assert time.perf_counter() - begun < 1


def test_a_thousand_retries_take_no_time() -> None:
    retry: list[Json] = [
        {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60, "MaxAttempts": 1_000,
         "BackoffRate": 1}
    ]  # fmt: skip
    begun = time.perf_counter()

    outcome = rehearse(task(Retry=retry), mocks={"A": {"Throw": {"Error": "Busy"}}})

    assert (len(outcome.calls["A"]), outcome.duration_ms) == (1_001, 60_000_000)
    assert time.perf_counter() - begun < 5  # a tenth of it where nobody else is at work


def test_time_begins_when_it_is_told_to() -> None:
    waits = one({"Type": "Wait", "Timestamp": "2030-01-01T00:01:00Z"})

    outcome = rehearse(waits, start_ms=parse_instant("2030-01-01T00:00:00Z"))

    assert outcome.duration_ms == 60_000


def test_intervals_of_retries_elapse() -> None:
    busy: Json = {"Throw": {"Error": "Busy"}}

    outcome = rehearse(task(Retry=RETRY), mocks={"A": [busy, busy, {"Return": 1}]})

    assert (outcome.output, outcome.duration_ms) == (1, 180_000)


def test_an_answer_may_take_its_time() -> None:
    outcome = rehearse(task(), mocks={"A": {"Return": 1, "AfterSeconds": 1.5}})

    assert (outcome.output, outcome.duration_ms) == (1, 1_500)


@pytest.mark.parametrize("mock", [{"Never": True}, {"Return": 1, "AfterSeconds": 61}])
def test_a_task_that_is_too_late_times_out(mock: Json) -> None:
    outcome = rehearse(task(TimeoutSeconds=60), mocks={"A": mock})

    assert (outcome.error, outcome.duration_ms) == ("States.Timeout", 60_000)


def test_a_token_without_heartbeats_times_out() -> None:
    resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
    definition = task(resource, Parameters={"FunctionName": "f"}, HeartbeatSeconds=30)

    outcome = rehearse(definition, mocks={"A": {"Never": True}})

    assert (outcome.error, outcome.duration_ms) == ("States.Timeout", 30_000)


def test_an_execution_times_out() -> None:
    outcome = rehearse({**task(), "TimeoutSeconds": 5}, mocks={"A": {"Never": True}})

    assert (outcome.status, outcome.duration_ms) == ("TIMED_OUT", 5_000)


def test_branches_advance_in_the_order_of_virtual_time() -> None:
    def waits(name: str, seconds: int) -> dict[str, Json]:
        states: dict[str, Json] = {
            name: {"Type": "Wait", "Seconds": seconds, "Next": f"{name}End"},
            f"{name}End": {"Type": "Pass", "End": True},
        }
        return {"StartAt": name, "States": states}

    branches: list[Json] = [waits("Long", 20), waits("Short", 10)]
    outcome = rehearse(one({"Type": "Parallel", "Branches": branches}))

    assert outcome.path == ("A", "Long", "Short", "ShortEnd", "LongEnd")


# Mocks


def test_the_result_of_a_mock_is_the_raw_result_of_the_task() -> None:
    definition = task(
        "arn:aws:states:::lambda:invoke",
        Parameters={"FunctionName": "f", "Payload.$": "$"},
        ResultSelector={"n.$": "$.Payload.n"},
        ResultPath="$.result",
    )

    outcome = rehearse(definition, {"a": 1}, {"A": {"Return": {"Payload": {"n": 2}}}})

    assert outcome.output == {"a": 1, "result": {"n": 2}}
    assert outcome.calls == {"A": [{"FunctionName": "f", "Payload": {"a": 1}}]}


def test_an_error_of_a_mock_can_be_caught() -> None:
    catch: list[Json] = [{"ErrorEquals": ["Busy"], "Next": "B"}]
    definition = one(
        {"Type": "Task", "Resource": FUNCTION, "Catch": catch, "Next": "B"},
        B={"Type": "Pass", "End": True},
    )

    outcome = rehearse(definition, mocks={"A": {"Throw": {"Error": "Busy", "Cause": "full"}}})

    assert (outcome.output, outcome.path) == ({"Error": "Busy", "Cause": "full"}, ("A", "B"))


ITEMS: Final[dict[str, Json]] = one(
    {
        "Type": "Map",
        "ItemProcessor": {
            "StartAt": "Each",
            "States": {"Each": {"Type": "Task", "Resource": FUNCTION, "End": True}},
        },
    }
)


def test_answers_go_to_the_calls_they_suit() -> None:
    mock: Json = [
        {"When": {"n": [2]}, "Return": "two"},
        {"Return": "first"},
        {"Return": "others", "Times": "Any"},
    ]
    items: Json = [{"n": n} for n in (1, 2, 3, 2)]

    assert rehearse(ITEMS, items, {"Each": mock}).output == ["first", "two", "others", "two"]


def test_an_answer_has_as_many_calls_as_it_says() -> None:
    mock: Json = [{"Return": "a", "Times": 2}, {"Return": "b"}]

    assert rehearse(ITEMS, [{}, {}, {}], {"Each": mock}).output == ["a", "a", "b"]


def test_a_state_without_a_mock_ends_the_rehearsal() -> None:
    definition = one(
        {"Type": "Pass", "Next": "T"}, T={"Type": "Task", "Resource": FUNCTION, "End": True}
    )

    with pytest.raises(RehearsalBroken, match=r"the state 'T' calls arn:.*:f and") as caught:
        rehearse(definition)

    assert (caught.value.outcome.status, caught.value.outcome.path) == ("RUNNING", ("A", "T"))


def test_a_mock_without_an_answer_left_ends_the_rehearsal() -> None:
    with pytest.raises(RehearsalBroken, match=r'no answer left for call number 2, with \{"n":2\}'):
        rehearse(ITEMS, [{"n": 1}, {"n": 2}], {"Each": [{"Return": 1}]})


def test_mocks_of_states_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="no state 'Eaach'; did you mean 'Each'"):
        rehearse(ITEMS, [], {"Eaach": {"Return": 1}})
    with pytest.raises(ValueError, match="'A' is a Map state, which calls nothing"):
        rehearse(ITEMS, [], {"A": {"Return": 1}})


@pytest.mark.parametrize("more", [{"Return": 1}, {"Throw": {"Error": "E"}}, {"AfterSeconds": 1}])
def test_a_handler_that_answers_itself_has_no_other_answer(more: dict[str, Json]) -> None:
    with pytest.raises(ValueError, match=r"beside Handler only a \.waitForTaskToken task has"):
        rehearse(task(), mocks={"A": {"Handler": True, **more}}, handlers={"f": _double})


def test_a_function_may_change_what_it_is_given() -> None:
    def spoil(parameters: Any) -> Json:
        parameters.clear()
        return parameters  # type: ignore[no-any-return]  # it was a dict

    outcome = rehearse(task(ResultPath="$.r"), {"n": 1}, {"A": spoil})

    assert (outcome.output, outcome.calls) == ({"n": 1, "r": {}}, {"A": [{"n": 1}]})


def test_a_function_can_be_a_mock() -> None:
    def double(parameters: Any) -> Json:
        if parameters["n"] > 2:
            raise HandlerError("TooLarge", "3")
        return 2 * int(parameters["n"])

    assert rehearse(ITEMS, [{"n": 1}, {"n": 2}], {"Each": double}).output == [2, 4]
    assert rehearse(ITEMS, [{"n": 3}], {"Each": double}).error == "TooLarge"


@pytest.mark.parametrize("first", [{"Type": "Pass"}, {"Type": "Wait", "Seconds": 9}])
def test_what_a_function_raises_is_raised(first: dict[str, Json]) -> None:
    def broken(parameters: Json) -> Json:
        raise KeyError("mine")

    definition = one({**first, "Next": "T"}, T={"Type": "Task", "Resource": FUNCTION, "End": True})

    with pytest.raises(KeyError, match="mine"):
        rehearse(definition, mocks={"T": broken})


# What never comes


def test_a_token_that_nobody_answers_is_waited_for_in_vain() -> None:
    resource = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"

    with pytest.raises(RehearsalBroken, match="never comes: the state 'A' waits for an answer to"):
        rehearse(task(resource, Parameters={"QueueUrl": "q"}), mocks={"A": {"Never": True}})


def test_work_that_never_ends_is_waited_for_in_vain() -> None:
    with pytest.raises(RehearsalBroken, match="the state 'A' waits for the result of arn:"):
        rehearse(task(), mocks={"A": {"Never": True}})


# Integrations


@pytest.mark.parametrize(
    ("resource", "service", "action"),
    [
        ("arn:aws:states:::sqs:sendMessage", "sqs", "sendMessage"),
        ("arn:aws:states:::aws-sdk:s3:getObject", "aws-sdk:s3", "getObject"),
    ],
)
def test_integrations_that_do_not_run_here_can_be_mocked(
    resource: str, service: str, action: str
) -> None:
    outcome = rehearse(task(resource, Parameters={"a": 1}), mocks={"A": {"Return": {"b": 2}}})

    assert outcome.output == {"b": 2}
    assert types(outcome.history)[2:5] == ["TaskScheduled", "TaskStarted", "TaskSucceeded"]
    scheduled: Any = outcome.history[2]
    details = scheduled["taskScheduledEventDetails"]
    assert (details["resourceType"], details["resource"]) == (service, action)


@pytest.mark.parametrize("pattern", ["states:startExecution.sync:2", "glue:startJobRun.sync"])
def test_jobs_are_submitted_and_end(pattern: str) -> None:
    definition = task(f"arn:aws:states:::{pattern}", Parameters={})

    outcome = rehearse(definition, mocks={"A": {"Return": 1, "AfterSeconds": 9}})

    assert types(outcome.history)[3:6] == ["TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    assert (outcome.output, outcome.duration_ms) == (1, 9_000)


def test_activities_can_be_mocked() -> None:
    activity = "arn:aws:states:us-east-1:123456789012:activity:sign"

    assert rehearse(task(activity), mocks={"A": {"Return": "signed"}}).output == "signed"


def test_foreign_tasks_inside_of_parallel_and_map_can_be_mocked() -> None:
    queue = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    inner: dict[str, Json] = {
        "StartAt": "Send",
        "States": {"Send": {"Type": "Task", "Resource": queue, "Parameters": {}, "End": True}},
    }
    mapped: dict[str, Json] = {"Type": "Map", "ItemProcessor": inner, "End": True}
    branch: dict[str, Json] = {"StartAt": "Items", "States": {"Items": mapped}}

    outcome = rehearse(
        one({"Type": "Parallel", "Branches": [branch]}), [1, 2], {"Send": {"Return": 0}}
    )

    assert outcome.output == [[0, 0]]
    assert types(outcome.history).count("TaskSubmitted") == 2


def test_other_mistakes_count() -> None:
    definition = task("arn:aws:states:::sqs:sendMessage", Parameters={}, Retries=[])

    with pytest.raises(InvalidDefinition, match="Field 'Retries' is not supported") as caught:
        rehearse(definition, mocks={})

    assert {each.code for each in caught.value.diagnostics} == {"SCHEMA_VALIDATION_FAILED"}


def test_a_distributed_map_runs_its_children() -> None:
    processor: dict[str, Json] = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Send",
        "States": {
            "Send": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage",
                "Parameters": {"MessageBody.$": "$.n"},
                "End": True,
            }
        },
    }
    mock: Json = [{"When": {"MessageBody": [2]}, "Return": "two"}, {"Return": "one"}]

    definition = one({"Type": "Map", "ItemProcessor": processor})

    outcome = rehearse(definition, [{"n": 1}, {"n": 2}], {"Send": mock})

    assert outcome.output == ["one", "two"]
    assert len(outcome.calls["Send"]) == 2
    with pytest.raises(RehearsalBroken, match="the state 'Send' calls sqs:sendMessage"):
        rehearse(definition, [{"n": 1}])


def test_a_distributed_map_reads_and_writes_objects() -> None:
    processor: dict[str, Json] = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Each",
        "States": {"Each": {"Type": "Task", "Resource": FUNCTION, "End": True}},
    }
    reader: Json = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
        "Parameters": {"Bucket": "in", "Key": "cities.csv"},
    }
    writer: Json = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "out", "Prefix": "run"},
    }

    outcome = rehearse(
        one(
            {
                "Type": "Map", "ItemReader": reader, "ItemProcessor": processor,
                "ResultWriter": writer,
            }
        ),
        mocks={"Each": {"Return": "seen"}},
        objects={"in/cities.csv": b"name\nOslo\nRome\n"},
    )  # fmt: skip

    assert outcome.status == "SUCCEEDED"
    assert outcome.calls["Each"] == [{"name": "Oslo"}, {"name": "Rome"}]
    written = sorted(name for name in outcome.objects if name.startswith("out/run/"))
    assert [name.rsplit("/", 1)[-1] for name in written] == ["SUCCEEDED_0.json", "manifest.json"]


# Handlers


async def _double(event: Any, context: Any) -> Json:
    return {"n": 2 * event["n"], "left_ms": context.remaining_time_ms()}


def test_a_mock_can_ask_for_the_handler() -> None:
    outcome = rehearse(
        task(TimeoutSeconds=60), {"n": 2}, {"A": {"Handler": True}}, handlers={"f": _double}
    )

    output: Any = outcome.output
    assert output["n"] == 4
    assert 50_000 < output["left_ms"] <= 60_000
    assert outcome.duration_ms == 0


def test_time_stands_still_while_a_handler_runs() -> None:
    def slow(event: Any, context: Any) -> Json:  # runs in a thread
        return sum(range(1_000_000))

    branches: list[Json] = [
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9, "End": True}}},
        {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": FUNCTION, "End": True}}},
    ]

    outcome = rehearse(
        one({"Type": "Parallel", "Branches": branches}),
        mocks={"T": {"Handler": True}},
        handlers={"f": slow},
    )

    exits = [each for each in types(outcome.history) if each.endswith("Exited")]
    assert exits == ["TaskStateExited", "WaitStateExited", "ParallelStateExited"]


def test_a_handler_that_is_too_late_times_out() -> None:
    async def stuck(event: Any, context: Any) -> Json:
        await asyncio.Event().wait()
        return None

    outcome = rehearse(
        task(TimeoutSeconds=1), mocks={"A": {"Handler": True}}, handlers={"f": stuck}
    )

    assert (outcome.error, outcome.duration_ms) == ("States.Timeout", 1_000)


def test_a_handler_may_send_heartbeats() -> None:
    async def beating(event: Any, context: Any) -> Json:
        context.heartbeat()
        await asyncio.sleep(0)
        return "alive"

    outcome = rehearse(
        task(HeartbeatSeconds=1, TimeoutSeconds=9),
        mocks={"A": {"Handler": True}},
        handlers={"f": beating},
    )

    assert outcome.output == "alive"


def test_a_handler_may_pass_the_token_on_and_the_mock_answers_it() -> None:
    tokens = []

    async def send(event: Any, context: Any) -> Json:
        tokens.append((event["token"], context.task_token))
        return "sent"

    definition = task(
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        Parameters={"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
    )

    outcome = rehearse(
        definition,
        mocks={"A": {"Handler": True, "Return": "signed", "AfterSeconds": 60}},
        handlers={"f": send},
    )

    assert (outcome.output, outcome.duration_ms) == ("signed", 60_000)
    assert [given == own != "" for given, own in tokens] == [True]


def test_a_handler_is_asked_for_where_there_is_none() -> None:
    with pytest.raises(RehearsalBroken, match="there is no folder of handlers"):
        rehearse(task(), mocks={"A": {"Handler": True}})
    with pytest.raises(RehearsalBroken, match="no handler serves sqs:sendMessage"):
        rehearse(
            task("arn:aws:states:::sqs:sendMessage", Parameters={}),
            mocks={"A": {"Handler": True}},
            handlers={"f": _double},
        )


# The call itself


def test_the_same_rehearsal_takes_the_same_course() -> None:
    items: Json = [{"n": n} for n in range(50)]
    mock: Json = {"Return": 1, "AfterSeconds": 3}

    first, second = (rehearse(ITEMS, items, {"Each": mock}) for _ in range(2))

    assert first == second


def test_definitions_come_as_text_and_as_files(tmp_path: Path) -> None:
    text = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}'
    path = tmp_path / "a.asl.json"
    path.write_text(text)

    assert rehearse(text, 1).output == rehearse(path, 1).output == 1


async def test_a_coroutine_may_rehearse() -> None:
    assert rehearse(one({"Type": "Wait", "Seconds": 1})).duration_ms == 1_000
