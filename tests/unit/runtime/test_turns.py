"""Calls take turns: what waits, who is next, and when a place is free again."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

import pytest

from eventmill.executors.scan import scan
from eventmill.model import Payload
from eventmill.ports import Answer, Invocation, Returned
from eventmill.runtime.turns import Gate, Turns, handler_gates, machine_of

ANSWER = Returned(output=Payload(b"null"))


class Recorder:
    """An executor that begins what it is given, and answers when it is told to."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self._answers: dict[int, Callable[[Answer], None]] = {}

    def invoke(self, invocation: Invocation, answer: Callable[[Answer], None]) -> None:
        self.begun.append(invocation.id)
        self._answers[invocation.id] = answer

    def cancel(self, invocation: int) -> None:
        self.cancelled.append(invocation)

    def answer(self, invocation: int) -> None:
        self._answers.pop(invocation)(ANSWER)


class Trial:
    """Turns in front of a recorder; `answered` are the calls whose callers have got an answer."""

    def __init__(self, calls_max: int, gates: Mapping[str, Gate] | None = None) -> None:
        self.executor = Recorder()
        self.turns = Turns(self.executor, calls_max=calls_max, gates=gates)
        self.answered: list[int] = []

    @property
    def begun(self) -> list[int]:
        return self.executor.begun

    def invoke(self, *ids: int, machine: str = "m", function: str = "f") -> None:
        for id_ in ids:
            self.turns.invoke(invocation(id_, machine, function), partial(self._answered, id_))

    def _answered(self, id_: int, answer: Answer) -> None:
        assert answer == ANSWER
        self.answered.append(id_)

    def end(self, *ids: int) -> None:
        """Calls are answered, and have really ended."""
        for id_ in ids:
            self.executor.answer(id_)
            self.turns.ended(id_)


def invocation(id_: int, machine: str, function: str) -> Invocation:
    return Invocation(
        id=id_,
        function=function,
        payload=Payload(b"null"),
        execution_arn=f"arn:aws:states:local:000000000000:execution:{machine}:run",
        state="Work",
        token="",
        idempotency_key="key",
        attempt=1,
        deadline_ms=None,
    )


@pytest.mark.parametrize(
    ("arn", "machine"),
    [
        ("arn:aws:states:local:000000000000:execution:etl:run", "etl"),
        ("arn:aws:states:local:000000000000:execution:etl/Rows:8f0c", "etl"),
        ("arn:aws:states:local:000000000000:express:etl:run:8f0c", "etl"),
        ("", ""),
        ("elsewhere", "elsewhere"),
    ],
)
def test_children_take_the_turns_of_their_parents_machine(arn: str, machine: str) -> None:
    assert machine_of(arn) == machine


def test_what_finds_room_begins_at_once() -> None:
    trial = Trial(2)
    trial.invoke(1, 2, 3)
    assert (trial.begun, trial.turns.waiting) == ([1, 2], 1)
    trial.end(2)
    assert (trial.begun, trial.answered, trial.turns.waiting) == ([1, 2, 3], [2], 0)
    trial.end(1, 3)
    trial.invoke(4, 5)
    assert trial.begun == [1, 2, 3, 4, 5]


def test_calls_of_one_machine_begin_in_the_order_in_which_they_came() -> None:
    trial = Trial(1)
    trial.invoke(*range(1, 50))
    for id_ in range(1, 50):
        trial.end(id_)
    assert trial.begun == list(range(1, 50))


def test_machines_take_turns_however_long_their_lines_are() -> None:
    trial = Trial(1)
    trial.invoke(*range(1, 10_001), machine="busy")
    trial.invoke(20_001, 20_002, machine="calm")
    trial.invoke(30_001, machine="new")
    for id_ in (1, 2, 20_001, 30_001, 3, 20_002, 4, 5):
        trial.end(id_)
    assert trial.begun == [1, 2, 20_001, 30_001, 3, 20_002, 4, 5, 6]


def test_a_machine_that_comes_back_queues_up_behind_the_others() -> None:
    trial = Trial(1)
    trial.invoke(1, 2, machine="a")
    trial.invoke(11, 12, machine="b")
    trial.end(1)  # a's next begins, and its line is empty
    trial.invoke(3, 4, machine="a")
    trial.end(2)
    trial.end(11)
    assert trial.begun == [1, 2, 11, 3]


def test_a_cancelled_call_that_waited_never_begins() -> None:
    trial = Trial(1)
    trial.invoke(1, 2, 3)
    trial.turns.cancel(2)
    trial.end(1)
    assert (trial.begun, trial.executor.cancelled, trial.turns.waiting) == ([1, 3], [], 0)


def test_a_cancelled_call_at_work_makes_room_and_is_not_answered() -> None:
    trial = Trial(1)
    trial.invoke(1, 2)
    trial.turns.cancel(1)
    assert (trial.begun, trial.executor.cancelled) == ([1, 2], [1])
    trial.end(1)
    trial.invoke(3)
    assert (trial.begun, trial.answered) == ([1, 2], [])
    trial.end(2)
    assert (trial.begun, trial.answered) == ([1, 2, 3], [2])


def test_to_cancel_what_is_unknown_or_answered_changes_nothing() -> None:
    trial = Trial(1)
    trial.turns.cancel(99)
    trial.turns.ended(99)
    trial.invoke(1)
    trial.end(1)
    trial.turns.cancel(1)
    trial.invoke(2, 3)
    assert (trial.begun, trial.executor.cancelled) == ([1, 2], [])


def test_a_limited_handler_holds_up_only_its_own_calls() -> None:
    trial = Trial(10, {"slow": Gate(1)})
    trial.invoke(1, 2, 3, function="slow")
    trial.invoke(4, 5, function="quick")
    assert trial.begun == [1, 4, 5]
    trial.end(4)
    assert trial.begun == [1, 4, 5]
    trial.end(1)
    assert trial.begun == [1, 4, 5, 2]


def test_machines_take_turns_at_a_limited_handler_too() -> None:
    trial = Trial(10, {"slow": Gate(1)})
    trial.invoke(1, 2, 3, machine="busy", function="slow")
    trial.invoke(11, machine="calm", function="slow")
    trial.end(1)
    trial.end(2)
    assert trial.begun == [1, 2, 11]


def test_a_call_counts_for_its_handler_until_it_has_really_ended() -> None:
    trial = Trial(10, {"slow": Gate(1)})
    trial.invoke(1, 2, 3, function="slow")
    trial.executor.answer(1)  # its time was over, and it goes on
    assert (trial.begun, trial.answered) == ([1], [1])
    trial.turns.ended(1)
    assert trial.begun == [1, 2]
    trial.turns.cancel(2)
    assert trial.begun == [1, 2]
    trial.turns.ended(2)
    assert trial.begun == [1, 2, 3]


def test_a_call_cancelled_between_the_gates_gives_the_place_of_its_handler_back() -> None:
    trial = Trial(1, {"slow": Gate(1)})
    trial.invoke(1, function="quick")
    trial.invoke(2, 3, function="slow")  # 2 has the handler's place, and waits for one among all
    trial.turns.cancel(2)
    trial.end(1)
    assert trial.begun == [1, 3]
    trial.invoke(4, function="slow")
    trial.turns.cancel(4)
    trial.end(3)
    assert (trial.begun, trial.turns.waiting) == ([1, 3], 0)


def test_nothing_begins_once_it_is_closed() -> None:
    trial = Trial(1)
    trial.invoke(1, 2)
    trial.turns.close()
    trial.end(1)
    trial.invoke(3)
    assert trial.begun == [1]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_and_goes_limits_hold_and_nobody_starves(seed: int) -> None:
    random = Random(seed)
    calls_max, limit = random.randint(1, 5), random.randint(1, 3)
    trial = Trial(calls_max, {"slow": Gate(limit)})
    functions: dict[int, str] = {}
    waiting: list[int] = []  # answered or cancelled, and not ended yet
    cancelled: set[int] = set()
    for id_ in range(1, 400):
        functions[id_] = random.choice(("slow", "quick"))
        trial.invoke(id_, machine=random.choice("abc"), function=functions[id_])
        for _ in range(random.choice((0, 1, 1, 2))):
            at_work = [each for each in trial.begun if each not in {*trial.answered, *cancelled}]
            what = random.random()
            left = sorted(functions.keys() - set(trial.answered) - cancelled)
            if what < 0.2 and left:
                gone = random.choice(left)
                cancelled.add(gone)
                waiting += [gone] if gone in trial.begun else []
                trial.turns.cancel(gone)
            elif what < 0.6 and at_work:
                waiting.append(random.choice(at_work))
                trial.executor.answer(waiting[-1])
            elif waiting:
                trial.turns.ended(waiting.pop(random.randrange(len(waiting))))
            at_work = [each for each in trial.begun if each not in {*trial.answered, *cancelled}]
            assert len(at_work) <= calls_max
            slow = [each for each in {*at_work, *waiting} if functions[each] == "slow"]
            assert len(slow) <= limit
    while len(done := {*trial.answered, *cancelled}) < len(functions):
        trial.end(next(each for each in trial.begun if each not in done))
        while waiting:
            trial.turns.ended(waiting.pop())
    assert len(trial.begun) == len(set(trial.begun))
    assert set(functions) - cancelled <= set(trial.begun)
    assert trial.turns.waiting == 0


HANDLERS = """
from eventmill import handler

@handler(concurrency=2)
async def declared(event, context):
    return event

@handler(name="renamed", concurrency=3)
async def original(event, context):
    return event

@handler
async def free(event, context):
    return event
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(HANDLERS)
    (tmp_path / "entry.py").write_text("def lambda_handler(event, context):\n    return event\n")
    return tmp_path


def places(gates: Mapping[str, Gate], name: str) -> int:
    """How many calls a gate lets in."""
    trial = Trial(100, {name: gates[name]})
    trial.invoke(*range(20), function=name)
    return len(trial.begun)


def test_a_handler_has_one_gate_under_all_its_names(folder: Path) -> None:
    gates = handler_gates(scan(folder), {"entry": 4, "work.free": 5})
    assert gates["declared"] is gates["work.declared"]
    assert gates["renamed"] is gates["work.original"]
    assert gates["entry"] is gates["entry.lambda_handler"]
    assert gates["free"] is gates["work.free"]
    assert [places(gates, name) for name in ("declared", "renamed", "entry", "free")] == [
        2,
        3,
        4,
        5,
    ]


def test_the_settings_win_over_what_a_handler_declares(folder: Path) -> None:
    gates = handler_gates(scan(folder), {"declared": 7})
    assert places(gates, "work.declared") == 7
    assert "free" not in gates
