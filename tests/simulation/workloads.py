"""What the servers of a simulation are given to do: random work, and some of the tricky kind."""

from collections.abc import Mapping
from dataclasses import field, replace
from random import Random
from typing import Any, Final

from eventmill.events import TriggerEvent
from eventmill.model import Json
from eventmill.record import record
from eventmill.triggers.trigger import Trigger, parse_trigger
from tests.simulation.definitions import CALLBACK, CATCH, FUNCTION, PATIENT, Definition, drawn

HOUR: Final = 3_600


@record
class Wish:
    """An execution that somebody starts by hand, and perhaps stops after a while."""

    machine: str
    name: str
    input: Json
    stop_after_ms: int | None = None


@record
class Workload:
    """State machines, triggers with the events that a sensor finds, and starts by hand.

    A steady one comes to the same end however it is disturbed.
    """

    name: str
    is_steady: bool
    machines: dict[str, Definition]
    triggers: tuple[Trigger, ...] = ()
    events: tuple[TriggerEvent, ...] = ()
    wishes: tuple[Wish, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)  # executions of a machine at once
    bus: tuple[Trigger, ...] = ()


def workload(seed: int) -> Workload:
    """The work of a seed; some of its state machines are limited, some tell the bus of ends."""
    work, random = _unlimited(seed), Random(f"{seed} limits")
    limits = {name: random.choice((1, 1, 2)) for name in work.machines if random.random() < 0.4}
    work = replace(work, limits=limits)
    return work if random.random() < 0.5 else _chained(work, random.choice([*work.machines]))


AFTER: Final = "after"


def _chained(work: Workload, machine: str) -> Workload:
    """The same, and whatever becomes of this state machine starts another one by way of the bus."""
    statuses = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    pattern: Json = {
        "source": ["aws.states"],
        "detail": {"stateMachineArn": [{"suffix": f":{machine}"}], "status": [*statuses]},
    }
    target: Json = {
        "StateMachine": AFTER,
        "Input": {"n": 1, "items": [1]},
        "ExecutionName": "States.Format('after-{}', $.detail.name)",
    }
    on_end = parse_trigger("on-end", {"EventPattern": pattern, "Target": target})
    return replace(work, machines={**work.machines, AFTER: _one("After1", _task())}, bus=(on_end,))


def _unlimited(seed: int) -> Workload:
    """Every fourth is one of the tricky ones."""
    random = Random(f"{seed} work")
    if seed % 4 == 0:
        return TRICKY[seed // 4 % len(TRICKY)]
    is_steady = random.random() < 0.6
    names = [f"machine{number}" for number in range(random.randint(1, 2))]
    machines = {name: drawn(random, is_steady=is_steady) for name in names}
    triggers, events = _triggered(random, names) if random.random() < 0.6 else ((), ())
    wishes = tuple(
        Wish(
            machine=random.choice(names),
            name=f"by-hand-{number}",
            input=_input(random),
            stop_after_ms=None
            if is_steady or random.random() < 0.7
            else int(10 ** random.uniform(0, 5)),
        )
        for number in range(random.randint(0 if events else 1, 2))
    )
    return Workload(
        name="random",
        is_steady=is_steady,
        machines=machines,
        triggers=triggers,
        events=events,
        wishes=wishes,
    )


NOTES: Final = "notes " * 1_000


def _input(random: Random) -> Json:
    data: dict[str, Json] = {"n": random.randint(0, 3), "items": list(range(random.randint(0, 4)))}
    # Of every second execution the log keeps the payloads apart from the steps.
    return {**data, "notes": NOTES} if random.random() < 0.5 else data


def _triggered(
    random: Random, machines: list[str]
) -> tuple[tuple[Trigger, ...], tuple[TriggerEvent, ...]]:
    triggers = tuple(
        trigger(f"trigger{number}", random.choice(machines), random.choice((None, 1)))
        for number in range(random.randint(1, 2))
    )
    events = tuple(
        event(number, random.randint(0, 3), list(range(random.randint(0, 3))))
        for number in range(random.randint(1, 3))
    )
    return triggers, events


def trigger(name: str, machine: str, n: int | None = None) -> Trigger:
    """A trigger for all events, or for those with this `n`."""
    value: dict[str, Any] = {
        "Source": {"Type": "filesystem", "Path": "inbox"},
        "Target": {"StateMachine": machine, "InputPath": "$.detail"},
    }
    if n is not None:
        value["EventPattern"] = {"detail": {"n": [n]}}
    return parse_trigger(name, value)


def event(number: int, n: int, items: list[Json]) -> TriggerEvent:
    """An event that a sensor finds."""
    return TriggerEvent(
        id=f"event-{number}",
        source="simulation",
        detail_type="Object Created",
        at_ms=1_790_000_000_000 + number,
        account="000000000000",
        region="local",
        detail={"n": n, "items": items},
    )


def _task(function: str = "steady", **fields: Any) -> Definition:
    return {"Type": "Task", "Resource": f"{FUNCTION}{function}", "ResultPath": "$.r", **fields}


def _one(name: str, state: Definition) -> Definition:
    return {"StartAt": name, "States": {name: {**state, "End": True}}}


def _each(processor: Definition, **fields: Any) -> Definition:
    mode = {"Mode": "DISTRIBUTED", "ExecutionType": fields.pop("kind", "STANDARD")}
    return {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": {"n.$": "$$.Map.Item.Value", "items": [7]},
        "ItemProcessor": {**processor, "ProcessorConfig": mode},
        "ResultPath": "$.d",
        **fields,
    }


def _callback(**fields: Any) -> Definition:
    call = {"FunctionName": "steady", "Payload": {"token.$": "$$.Task.Token"}}
    state = {"Type": "Task", "Resource": CALLBACK, "Parameters": call, "ResultPath": "$.c"}
    return {**state, **fields}


def _tricky(name: str, definition: Definition, *, is_steady: bool = True, **how: Any) -> Workload:
    stops = how.pop("stops", (None, None))
    items = how.pop("items", 4)
    return Workload(
        name=name,
        is_steady=is_steady,
        machines={"tricky": definition},
        wishes=tuple(
            Wish(
                machine="tricky",
                name=f"run-{number}",
                input={"n": number, "items": list(range(items))},
                stop_after_ms=stop_after_ms,
            )
            for number, stop_after_ms in enumerate(stops)
        ),
    )


_CHAIN: Final = {
    "StartAt": "A",
    "States": {
        "A": _task(Next="B"),
        "B": _task("flaky", Retry=[PATIENT], Next="C"),
        "C": _task("broken", Catch=[{**CATCH, "Next": "D"}], Next="D"),
        "D": _task(End=True),
    },
}
_LOOP: Final = {
    "StartAt": "Begin",
    "States": {
        "Begin": {"Type": "Pass", "Result": 0, "ResultPath": "$.round", "Next": "Nap"},
        "Nap": {"Type": "Wait", "Seconds": 1, "Next": "Work"},
        "Work": _task("flaky", Retry=[PATIENT], Next="Count"),
        "Count": {
            "Type": "Pass",
            "Parameters": {"n.$": "States.MathAdd($.round, 1)"},
            "ResultPath": "$.counted",
            "Next": "Move",
        },
        "Move": {
            "Type": "Pass",
            "InputPath": "$.counted.n",
            "ResultPath": "$.round",
            "Next": "Again?",
        },
        "Again?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.round", "NumericLessThan": 3, "Next": "Nap"}],
            "Default": "Over",
        },
        "Over": {"Type": "Succeed"},
    },
}
_WIDE: Final = _one(
    "One1",
    {
        "Type": "Parallel",
        "Branches": [
            _one("One2", _callback()),
            _one("One3", {"Type": "Wait", "Seconds": HOUR}),
            _one("One4", _task("flaky", Retry=[PATIENT])),
            _one("One5", {"Type": "Wait", "Seconds": 1}),
        ],
        "ResultPath": "$.b",
    },
)
_SLEEPERS: Final = _one(
    "One6",
    _each(
        {
            "StartAt": "Nap",
            "States": {
                "Nap": {"Type": "Wait", "Seconds": 90, "Next": "Work"},
                "Work": _task("flaky", Retry=[PATIENT], End=True),
            },
        },
        MaxConcurrency=2,
    ),
)
_QUICK: Final = _one("One7", 
    _each(_one("One8", {"Type": "Pass"}), ItemReader={
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": "in", "Key": "7"},
    }, ItemBatcher={"MaxItemsPerBatch": 2}, MaxConcurrency=3)
)  # fmt: skip
_SECOND_RUN: Final = _one(
    "One9",
    {
        "Type": "Parallel",
        "Branches": [
            {
                "StartAt": "Each",
                "States": {
                    "Each": _each(_one("One10", _task()), Next="Trip"),
                    "Trip": _task("once", End=True),
                },
            }
        ],
        "Retry": [PATIENT],
        "ResultPath": "$.b",
    },
)
_TOLERANT: Final = {
    "StartAt": "Each",
    "States": {
        "Each": _each(
            _one("One11", _task("moody")),
            ToleratedFailureCount=1,
            MaxConcurrency=2,
            Retry=[{**PATIENT, "MaxAttempts": 1}],
            Catch=[{**CATCH, "Next": "Over"}],
            End=True,
        ),
        "Over": {"Type": "Succeed"},
    },
}
_RACE: Final = {
    "StartAt": "Race",
    "States": {
        "Race": {
            "Type": "Parallel",
            "Branches": [
                _one("One12", _each(_one("One13", _task(TimeoutSeconds=20)), MaxConcurrency=1)),
                _one("One14", _callback(HeartbeatSeconds=5, TimeoutSeconds=100)),
                _one("One15", _task("moody")),
            ],
            "Retry": [{**PATIENT, "MaxAttempts": 1}],
            "End": True,
        }
    },
}
# What fails gives up a Map Run whose children have hours to sleep; it is tried again and again.
_GIVEN_UP: Final = {
    "StartAt": "Both",
    "States": {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                _one("Each", _each(_one("Nap", {"Type": "Wait", "Seconds": HOUR}))),
                _one("Trip", _task("broken")),
            ],
            "Retry": [{**PATIENT, "MaxAttempts": 5}],
            "End": True,
        }
    },
}
_EXPRESS: Final = _one(
    "One16",
    _each(_one("One17", _task("moody")), kind="EXPRESS", ToleratedFailureCount=1, MaxConcurrency=3),
)
_LIMITED: Final = {**_one("One18", _callback()), "TimeoutSeconds": 60}

TRICKY: Final = (
    _tricky("chain", _CHAIN),
    _tricky("loop", _LOOP),
    _tricky("wide", _WIDE),
    _tricky("sleepers", _SLEEPERS, items=5),
    _tricky("quick children", _QUICK),
    _tricky("a second Map Run", _SECOND_RUN, items=3),
    _tricky("tolerant", _TOLERANT, is_steady=False, items=5),
    _tricky("race", _RACE, is_steady=False, stops=(None, 4_000), items=3),
    _tricky("express", _EXPRESS, is_steady=False, items=6),
    _tricky("limited", _LIMITED, is_steady=False, stops=(None, 30_000)),
    _tricky("stopped", _SLEEPERS, is_steady=False, stops=(100, 91_000), items=4),
    _tricky("given up", _GIVEN_UP, items=6),
    Workload(
        name="events",
        is_steady=True,
        machines={"chain": _CHAIN, "sleepers": _SLEEPERS},
        triggers=(trigger("all", "chain"), trigger("some", "sleepers", 1)),
        events=tuple(event(number, number % 2, [1, 2]) for number in range(6)),
    ),
)
