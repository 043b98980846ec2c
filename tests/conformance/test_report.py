"""The report on recorded cases: it runs whatever lies in a folder, and counts truly."""

import asyncio
import json
import os
import subprocess
import sys
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.recorded import ABSENT_REASON, FOLDER, IS_BESIDE, ROOT, Case
from tests.conformance.report import executions, scripts
from tests.conformance.report.attempts import Worker, attempt, lines, verdicts
from tests.conformance.report.document import document
from tests.conformance.report.engine_runs import Agenda, engine_world
from tests.conformance.report.figures import Outcome, figures, unexplained
from tests.conformance.report.kinds import kind_of
from tests.conformance.report.reasons import REASONS, reason
from tests.conformance.report.verdict import Different, Equal, NotRun

compares = pytest.mark.skipif(not (FOLDER / "check.py").is_file(), reason=ABSENT_REASON)

FOREVER = "($f := function($n) { $f($n + 1) }; $f(1))"
ENDLESS: Case = {
    "id": "endless",
    "expr": FOREVER,
    "timelimit": 600_000,
    "depth": 100,
    "expected": {"result": 1},
}


def expression(id: str, expr: str, result: Any) -> Case:
    return {"id": id, "expr": expr, "expected": {"result": result}}


def execution(output: Any, **members: Any) -> Case:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 1, "End": True}}}
    expected = {"status": "SUCCEEDED", "output": output}
    return {"id": "e", "definition": definition, "input": {}, "expected": expected, **members}


def script(*steps: Any) -> Case:
    return {"id": "s", "steps": list(steps)}


def call(name: str, **members: Any) -> dict[str, Any]:
    return {"call": f"stepfunctions.{name}", "params": members}


# Lines


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "the line is not JSON"),
        ("[" * 100_000, "the line is not JSON"),
        ("[1]", "the line is no object"),
        ('{"id": "x"}', "a case of an unknown form"),
        ('{"id": "x", "expr": 1, "expected": {}}', "a case of an unknown form"),
        ('{"id": "x", "pattern": {}, "expected_error": 7}', "a case of an unknown form"),
    ],
)
def test_a_line_that_is_no_case_is_not_run(text: str, reason: str) -> None:
    assert attempt(text) == NotRun(reason)


def test_an_error_while_a_case_runs_is_a_difference() -> None:
    # Half of a surrogate pair is text that JSON can write and UTF-8 cannot.
    verdict = attempt(json.dumps(execution(1, input="\ud800")))

    assert isinstance(verdict, Different)
    assert verdict.differences[0].startswith("raised UnicodeEncodeError: ")


def test_kinds_are_told_apart_by_the_form_of_a_case() -> None:
    cases: dict[str, Case] = {
        "script of API calls": script(),
        "JSONata expression": expression("x", "1", 1),
        "event pattern": {"pattern": {}, "expected_valid": True},
        "judged definition": {"definition": {}, "expected_valid": True},
        "variable references": {"definition": {}, "expected": {"variableReferences": {}}},
        "refused creation": {"op": "x", "request": {}, "definition": {}, "expected": {}},
        "TestState": {"request": {}, "definition": {}, "expected": {}},
        "execution": execution(1),
    }

    found = {name: kind_of(case) for name, case in cases.items()}

    assert {name: kind and kind.name for name, kind in found.items()} == {
        name: name for name in cases
    }


# Processes


def test_a_case_that_does_not_end_is_given_up_and_the_others_run() -> None:
    texts = [json.dumps(ENDLESS), json.dumps(expression("x", "1 + 1", 2))]

    found = dict(verdicts(texts, processes=1, seconds_max=0.2))

    assert found == {0: Different(("did not end within 0.2 seconds",)), 1: Equal()}


def test_a_process_that_dies_costs_its_own_case_only() -> None:
    worker = Worker()
    try:
        worker.give((0, json.dumps(ENDLESS)), 60)
        worker.process.kill()
        wait([worker.connection])
        died = worker.verdict()
        worker.give((1, json.dumps(expression("x", "1 + 1", 2))), 60)
        while (verdict := worker.verdict()) is None:
            wait([worker.connection])
    finally:
        worker.end()

    assert died == Different(("the process ended that ran the case",))
    assert verdict == Equal()


# Executions and scripts


@compares
def test_an_execution_is_equal_or_different() -> None:
    wrong = executions.run(execution(2))

    assert executions.run(execution(1)) == Equal()
    assert isinstance(wrong, Different)
    assert wrong.differences == ("output: expected 2, got 1",)


@compares
def test_an_execution_that_needs_what_is_not_there_is_not_run() -> None:
    handlers = [{"name": "f", "behaviour_id": "sing"}]

    assert [
        executions.run(execution(1, needs=["sqs", "lambda", "task-token"])),
        executions.run(execution(1, handlers=handlers)),
    ] == [NotRun("needs sqs, task-token"), NotRun("needs a handler of the behaviour sing")]


@compares
def test_a_definition_that_is_refused_is_a_difference() -> None:
    case = execution(1)
    case["definition"]["StartAt"] = "B"

    assert isinstance(executions.run(case), Different)


@compares
def test_a_script_takes_members_from_the_answers_before() -> None:
    case = script(
        call("describe_execution", executionArn="arn:x") | {"expects_error": True},
        call("describe_execution", executionArn="stub")
        | {
            "expects_error": True,
            "params_from": {"dict": {"executionArn": {"step": 0, "path": ["Error", "Code"]}}},
        },
        {
            "check": "second",
            "expected": {
                "exception_typename": "InvalidArn",
                "exception_value": "An error occurred (InvalidArn) when calling the "
                "DescribeExecution operation: Invalid Arn: 'Invalid ARN prefix: InvalidArn'",
            },
            "of": {"dict": {"exception_value": {"step": 1, "path": ["<exception>"]}}},
        },
    )

    assert scripts.run(case) == Equal()


@compares
def test_a_script_differs_where_an_answer_does() -> None:
    case = script(
        call("list_state_machines"),
        {"check": "list", "expected": {"stateMachines": [1]}, "of": {"step": 0, "path": []}},
        call("list_state_machines") | {"expects_error": True},
        call("describe_execution", executionArn="arn:x"),
    )

    verdict = scripts.run(case)

    assert isinstance(verdict, Different)
    assert [each.partition(":")[0] for each in verdict.differences] == [
        "step 0, ListStateMachines",
        "step 2, ListStateMachines",
        "step 3, DescribeExecution",
    ]


@compares
@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (call("no_such_operation"), "NoSuchOperation is not offered yet"),
        ({"call": "s3.list_objects", "params": {}}, "calls s3"),
        ({"check": "c", "expected": 1}, "checks what the test made of the answers, not an answer"),
    ],
)
def test_a_script_that_cannot_be_run_says_why(step: Any, reason: str) -> None:
    assert scripts.run(script(step)) == NotRun(reason)


def test_members_that_aws_added_later_are_left_out_at_any_depth() -> None:
    answer = {"a": 1, "b": [{"a": 2, "c": 3}], "d": {"a": 4, "e": "a"}}

    assert scripts.without(answer, {"a"}) == {"b": [{"c": 3}], "d": {"e": "a"}}


@compares
def test_what_the_client_refuses_is_never_sent() -> None:
    case = script(
        call("list_state_machines", maxResults=-1) | {"expects_error": True},
        {
            "check": "c",
            "expected": "Parameter validation failed:\nInvalid value for parameter maxResults, "
            "value: -1, valid min value: 0",
            "of": {"step": 0, "path": ["<exception>"]},
        },
    )

    assert scripts.run(case) == Equal()


def test_time_goes_on_to_what_is_due_and_skips_what_nobody_waits_for() -> None:
    clock, seen = Agenda(1_000), list[int]()

    def note(does: bool) -> Any:
        def act() -> bool:
            seen.append(clock.now_ms())
            return does

        return act

    clock.at(5_000, note(True))
    clock.at(2_000, note(False))
    clock.at(3_000, note(True))

    assert [clock.go_on(), clock.now_ms(), clock.go_on(4_000), clock.now_ms()] == [
        *(True, 3_000, False, 4_000)
    ]
    assert [clock.go_on(), clock.go_on(), clock.now_ms()] == [True, False, 5_000]
    assert seen == [2_000, 3_000, 5_000]


async def test_reading_an_object_takes_no_virtual_time(tmp_path: Path) -> None:
    case = {"s3_objects": [{"bucket": "b", "key": "in/a.csv", "body": "x\r\n"}]}
    async with engine_world(case, tmp_path) as world:
        reading = asyncio.ensure_future(asyncio.to_thread((tmp_path / "b/in/a.csv").read_bytes))
        before_ms = world.clock.now_ms()
        await world.settled()

        assert reading.done()
        assert (reading.result(), world.clock.now_ms()) == (b"x\r\n", before_ms)


async def test_an_object_stays_in_its_folder(tmp_path: Path) -> None:
    case = {"s3_objects": [{"bucket": "..", "key": "outside", "body": ""}]}

    with pytest.raises(AssertionError, match="stays in its folder"):
        async with engine_world(case, tmp_path / "objects"):
            pass


# Figures and the page


def outcomes() -> list[Outcome]:
    told: list[Any] = [
        ("a.jsonl", "x::one", Equal()),
        ("a.jsonl", "x::two", Different(("$: expected 1, got 2",))),
        ("b.jsonl", "y::test_catch", Different(("cause",)), "masked"),
        ("b.jsonl", "y::three", NotRun("needs *sqs*")),
        ("b.jsonl", "z::three", NotRun("needs *sqs*")),
        ("b.jsonl", "fo`ur\n", NotRun("needs sns")),
    ]
    return [Outcome(*each) for each in told]


def test_figures_add_up() -> None:
    counted = figures(outcomes())

    assert counted == {
        "a.jsonl": {"run": 2, "equal": 1, "different": 1, "not_run": 0},
        "b.jsonl": {"run": 1, "equal": 0, "different": 1, "not_run": 3},
        "total": {"run": 3, "equal": 1, "different": 2, "not_run": 3},
    }


def test_only_a_difference_without_a_reason_is_unexplained() -> None:
    assert [each.id for each in unexplained(outcomes())] == ["x::two"]


def test_the_page_lists_every_case_that_is_not_equal_by_its_reason() -> None:
    page = document(outcomes())

    assert page == document(outcomes())
    assert "| `b.jsonl` | 4 | 1 | 0 | 1 | 3 |" in page
    assert "| **all** | **6** | **3** | **1** | **2** | **3** |" in page
    assert "- **no reason known yet** (1): `a:two`\n" in page
    assert r"- **needs \*sqs\*** (2): `b:y::three`, `b:z::three`" in page
    assert r"- **needs sns** (1): `` b:fo`ur\n ``" in page
    assert "one" not in page.partition("## Different")[2].replace("None", "")


@pytest.mark.parametrize("name", ["test_catch", "a::test_catch", "a::test_catch#exec2"])
def test_a_reason_is_found_by_the_end_of_an_id(name: str) -> None:
    assert reason(name, {}, Different(())) == REASONS["test_catch"]


POINTER = "history[6:MapStateExited].previousEventId: expected 5, got 4"


@pytest.mark.parametrize(
    ("day", "differences", "is_known"),
    [
        ("20-07-2024, 08:30:22", (POINTER, POINTER), True),
        ("13-11-2024, 15:21:53", (POINTER,), False),
        ("20-07-2024, 08:30:22", (POINTER, "output: expected 1, got 2"), False),
        (None, (POINTER,), False),
    ],
)
def test_what_aws_has_changed_since_explains_older_recordings_only(
    day: str | None, differences: tuple[str, ...], is_known: bool
) -> None:
    found = reason("x", {"aws_recorded_date": day}, Different(differences))

    assert (found is not None) == is_known


@pytest.mark.skipif(
    not IS_BESIDE, reason="the reasons are about the recorded cases beside the project"
)
def test_every_reason_is_of_a_case_that_there_is() -> None:
    ids = {each.id() for each in lines()}
    known = ids | {id.split("::")[-1].split("#")[0] for id in ids}

    assert sorted(REASONS.keys() - known) == []


# The command


def report(folder: Path, *cases: str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir()
    (folder / "odd.jsonl").write_text("\n".join(cases) + "\n", encoding="utf-8")
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.conformance.report", "--processes", "1"),
            *("--document", folder / "page.md", "--json", folder / "figures.json"),
        ],
        cwd=ROOT,
        env={**os.environ, "EVENTMILL_CONFORMANCE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_the_command_writes_what_it_found_and_fails_without_a_reason(tmp_path: Path) -> None:
    done = report(
        tmp_path / "cases",
        json.dumps(expression("right", "1 + 1", 2)),
        "",
        json.dumps(expression("wrong", "1 + 1", 3)),
        json.dumps(execution(1)),
        "{",
    )

    written = json.loads((tmp_path / "cases" / "figures.json").read_text(encoding="utf-8"))
    page = (tmp_path / "cases" / "page.md").read_text(encoding="utf-8")
    counts = {"run": 2, "equal": 1, "different": 1, "not_run": 2}
    assert (done.returncode, written) == (1, {"odd.jsonl": counts, "total": counts})
    assert "the folder has no check.py to compare with" in page
    assert "`odd:line 5`" in page
    assert "odd:wrong" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_command_succeeds_where_nothing_lacks_a_reason(tmp_path: Path) -> None:
    done = report(
        tmp_path / "cases", json.dumps(expression("tail-recursion/case002.json", "1", 2)), "{"
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_says_when_there_is_no_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.report"],
        cwd=ROOT,
        env={**os.environ, "EVENTMILL_CONFORMANCE": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert done.returncode == 1
    assert "no recorded cases in" in done.stderr
    assert "Traceback" not in done.stderr
