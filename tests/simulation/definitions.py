"""Random small definitions of all state types, from a seed.

A steady definition comes to the same end however long everything takes and in whatever order: no
time limit, no two failures that race. A racy one has such things, and only the invariants hold.
"""

from random import Random
from typing import Any, Final

Definition = dict[str, Any]

FUNCTION: Final = "arn:aws:lambda:local:000000000000:function:"
CALLBACK: Final = "arn:aws:states:::lambda:invoke.waitForTaskToken"
# What each function does is in `handlers.py`.
PATIENT: Final = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}
CATCH: Final = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error"}


class _Author:
    """Writes one definition; state names are given once in it."""

    def __init__(self, random: Random, is_steady: bool) -> None:
        self.random = random
        self.is_steady = is_steady
        self._names = 0

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def sequence(self, length: int, depth: int, place: str) -> Definition:
        """States one after the other; `place` is top, inside or child (of a Map Run)."""
        names = [self._fresh() for _ in range(length)]
        states: Definition = {}
        for position, name in enumerate(names):
            later = names[position + 1 :]
            states[name] = self.state(depth, place, later)
        return {"StartAt": names[0], "States": states}

    def _fresh(self) -> str:
        self._names += 1
        return f"S{self._names}"

    def state(self, depth: int, place: str, later: list[str]) -> Definition:
        kinds = [self.task, self.task, self.task, self.callback, self.wait, self.pass_]
        if later:
            kinds += [self.choice]
        elif place == "top" or not self.is_steady:
            kinds += [self.fail, self.succeed]
        if depth < 2 and place != "child":
            kinds += [self.parallel, self.map_, self.distributed]
        state: Definition = self.random.choice(kinds)(depth, place, later)
        if state["Type"] in ("Choice", "Succeed", "Fail"):
            return state
        return {**state, **({"Next": later[0]} if later else {"End": True})}

    def task(self, depth: int, place: str, later: list[str]) -> Definition:
        name = self.random.choice(("steady", "flaky", "flaky"))
        if place == "top" or not self.is_steady:
            name = self.random.choice((name, name, "broken"))
        if not self.is_steady and self.maybe(0.3):
            name = "moody"
        state: Definition = {"Type": "Task", "Resource": f"{FUNCTION}{name}"}
        if self.maybe(0.7):
            state["ResultPath"] = "$.r"
        else:
            state["ResultPath"] = None
        return {**state, **self._handled(name, later), **self._limits()}

    def callback(self, depth: int, place: str, later: list[str]) -> Definition:
        name = self.random.choice(("steady", "flaky"))
        call = {"FunctionName": name, "Payload": {"token.$": "$$.Task.Token"}}
        state = {"Type": "Task", "Resource": CALLBACK, "Parameters": call, "ResultPath": "$.c"}
        return {**state, **self._handled(name, later), **self._limits()}

    def _handled(self, name: str, later: list[str]) -> Definition:
        handled: Definition = {}
        if name == "flaky" or self.maybe(0.2):
            handled["Retry"] = [PATIENT]
        if later and self.maybe(0.6 if name == "broken" else 0.2):
            handled["Catch"] = [{**CATCH, "Next": self.random.choice(later)}]
        return handled

    def _limits(self) -> Definition:
        if self.is_steady or self.maybe(0.5):
            return {}
        seconds = self.random.choice((1, 5, 60))
        if self.maybe(0.3):
            return {"TimeoutSeconds": 10 * seconds, "HeartbeatSeconds": seconds}
        return {"TimeoutSeconds": seconds}

    def wait(self, depth: int, place: str, later: list[str]) -> Definition:
        return {"Type": "Wait", "Seconds": self.random.choice((0, 1, 2, 5, 70, 1_800))}

    def pass_(self, depth: int, place: str, later: list[str]) -> Definition:
        return {"Type": "Pass", "Result": {"k": self.random.randint(0, 9)}, "ResultPath": "$.p"}

    def choice(self, depth: int, place: str, later: list[str]) -> Definition:
        rule = {"Variable": "$.n", "NumericGreaterThan": 1, "Next": self.random.choice(later)}
        return {"Type": "Choice", "Choices": [rule], "Default": later[0]}

    def fail(self, depth: int, place: str, later: list[str]) -> Definition:
        return {"Type": "Fail", "Error": "Meant", "Cause": "so it says"}

    def succeed(self, depth: int, place: str, later: list[str]) -> Definition:
        return {"Type": "Succeed"}

    def parallel(self, depth: int, place: str, later: list[str]) -> Definition:
        branches = [
            self.sequence(self.random.randint(1, 2), depth + 1, "inside")
            for _ in range(self.random.randint(2, 3))
        ]
        state = {"Type": "Parallel", "Branches": branches, "ResultPath": "$.b"}
        return {**state, **self._handled("parallel", later)}

    def map_(self, depth: int, place: str, later: list[str]) -> Definition:
        return {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"n.$": "$$.Map.Item.Value", "items": [1, 2]},
            "MaxConcurrency": self.random.choice((0, 1, 2)),
            "ItemProcessor": self.sequence(self.random.randint(1, 2), depth + 1, "inside"),
            "ResultPath": "$.m",
            **self._handled("map", later),
        }

    def distributed(self, depth: int, place: str, later: list[str]) -> Definition:
        processor = self.sequence(self.random.randint(1, 2), 2, "child")
        mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        state: Definition = {
            "Type": "Map",
            "ItemProcessor": {**processor, "ProcessorConfig": mode},
            "MaxConcurrency": self.random.choice((0, 1, 2, 3)),
            "ItemSelector": {"n.$": "$$.Map.Item.Index", "items": [3]},
            "ResultPath": "$.d",
        }
        if self.maybe(0.4):
            state["ItemReader"] = {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSONL"},
                "Parameters": {"Bucket": "in", "Key": str(self.random.randint(0, 7))},
            }
        else:
            state["ItemsPath"] = "$.items"
        if self.maybe(0.3):
            # Batches have no `n`, so nothing inside may look at it.
            state["ItemBatcher"] = {"MaxItemsPerBatch": self.random.choice((1, 2, 3))}
        if not self.is_steady and self.maybe(0.5):
            state["ToleratedFailureCount"] = self.random.choice((1, 2))
        if not self.is_steady and self.maybe(0.3):
            state["ResultWriter"] = {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "out", "Prefix": "results"},
            }
        return {**state, **self._handled("map", later)}


def drawn(random: Random, *, is_steady: bool) -> Definition:
    """A definition of a few states."""
    author = _Author(random, is_steady)
    definition = author.sequence(random.randint(1, 4), 0, "top")
    if not is_steady and author.maybe(0.15):
        definition["TimeoutSeconds"] = random.choice((5, 100, 4_000))
    return definition
