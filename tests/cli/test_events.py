"""`eventmill events`, `why` and `sensors`: on a real server, and on its log when it has gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eventmill.cli.main import eventmill
from eventmill.model import Json
from tests.cli.conftest import Run
from tests.cli.projects import PASS, SPREAD, write_project
from tests.cli.servers import server

WAITS: dict[str, Json] = {
    "StartAt": "W",
    "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}},
}


def on(pattern: Any, machine: str, **more: Any) -> str:
    target = {"StateMachine": machine, **more.pop("Target", {})}
    return json.dumps({"EventPattern": pattern, "Target": target, **more})


ORDER = {"source": ["my.shop"], "detail-type": ["Order Placed"]}
FOLDER = {"Type": "filesystem", "Path": "inbox", "StableSeconds": 0}
TRIGGERS = {
    "all.json": on(ORDER, "pass"),
    "big.json": on({**ORDER, "detail": {"total": [{"numeric": [">", 100]}]}}, "pass"),
    "off.json": on(ORDER, "pass", Enabled=False),
    "one.json": on(
        {"source": ["my.queue"]}, "wait", Target={"Overlap": "skip", "InputPath": "$.detail"}
    ),
    "line.json": on({"source": ["my.line"]}, "wait", Target={"Concurrency": 1}),
    "pairs.json": on(
        {"source": ["my.pairs"]}, "pass", Target={"Batching": {"Size": 2, "WindowSeconds": 3600}}
    ),
    "lacks.json": on({"source": ["my.gap"]}, "pass", Target={"InputPath": "$.detail.there"}),
    "files.json": on(
        {"source": ["eventmill.filesystem"]}, "spread", Source=FOLDER, Target={"Input": [1]}
    ),
    "after.json": on(
        {
            "source": ["aws.states"],
            "detail": {
                "status": ["SUCCEEDED"],
                "stateMachineArn": [{"suffix": ":spread"}],
            },
        },
        "pass",
        Target={"Input": {}},
    ),
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a server at work on it."""
    project = write_project(
        tmp_path_factory.mktemp("lived"),
        workflows={"pass": PASS, "wait": WAITS, "spread": SPREAD},
        triggers=TRIGGERS,
    )
    (project / "inbox").mkdir()
    with server(project, "--port", "0") as running:
        running.told("ready")
        yield project


def emit(run: Run, project: Path, source: str, type_: str, id_: str, detail: Any = None) -> None:
    arguments = ("--source", source, "--type", type_, "--id", id_, "--project", project)
    assert run("emit", json.dumps(detail or {}), *arguments).exit_code == 0


def document(run: Run, *arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def listed(run: Run, project: Path, *arguments: str) -> list[str]:
    found = document(run, "events", "list", "--project", project, *arguments)
    return [each["event"]["id"] for each in found["events"]]


@pytest.fixture(scope="module")
def orders(lived: Path) -> Path:
    """Some events of a shop that does nothing else."""
    for number in range(5):
        arguments = ["emit", json.dumps({"total": number}), "--source", "my.list", "--type"]
        arguments += ["Even" if number % 2 == 0 else "Odd", "--id", f"list-{number}"]
        assert CliRunner().invoke(eventmill, [*arguments, "--project", str(lived)]).exit_code == 0
    return lived


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], [4, 3, 2, 1, 0]),
        (["--limit", "2"], [4, 3]),
        (["--type", "Odd"], [3, 1]),
        (["--pattern", '{"detail": {"total": [{"numeric": ["<", 2]}]}}'], [1, 0]),
        (["--id", "list-3"], [3]),
        (["--since", "1h"], [4, 3, 2, 1, 0]),
        (["--until", "1h"], []),
        (["--since", "2020-01-01T00:00:00Z", "--until", "2999-01-01T00:00:00Z"], [4, 3, 2, 1, 0]),
    ],
)
def test_events_are_listed_as_they_were_asked_for(
    arguments: list[str], numbers: list[int], run: Run, orders: Path
) -> None:
    found = listed(run, orders, "--source", "my.list", *arguments)
    assert found == [f"list-{number}" for number in numbers]


def test_a_list_goes_on_where_the_last_one_ended(run: Run, orders: Path) -> None:
    first = document(
        run, "events", "list", "--source", "my.list", "--limit", "3", "--project", orders
    )
    following = ("--before", str(first["before"]))
    assert listed(run, orders, "--source", "my.list", *following) == ["list-1", "list-0"]


def test_what_is_asked_wrongly_is_told(run: Run, orders: Path) -> None:
    for arguments, text in (
        (["--since", "yesterday"], "neither a time like"),
        (["--pattern", "{"], "is not JSON"),
        (["--pattern", '{"a": 1}'], '/a: "a" must be an object or an array'),
    ):
        result = run("events", "list", "--project", orders, *arguments)
        assert (result.exit_code, text in result.stderr) == (2, True)


def test_lines_can_be_emitted(run: Run, orders: Path) -> None:
    result = run("events", "list", "--lines", "--id", "list-4", "--project", orders)
    assert json.loads(result.stdout)["detail"] == {"total": 4}


def test_an_event_is_shown_whole(run: Run, lived: Path) -> None:
    emit(run, lived, "my.shop", "Order Placed", "shown-1", {"total": 12, "note": "\x1b[31m"})
    shown = document(run, "events", "show", "shown", "--project", lived)
    assert shown["event"]["detail"] == {"total": 12, "note": "\x1b[31m"}
    assert (shown["sensor"], [*shown["executions"]]) == ("bus", ["all"])
    text = run("events", "show", "shown-1", "--project", lived).stdout
    assert '{"total":12' in text
    assert "SUCCEEDED" in text
    assert "\x1b" not in text


def test_an_unknown_or_ambiguous_id_is_told(run: Run, orders: Path) -> None:
    result = run("events", "show", "nothing", "--project", orders)
    assert (result.exit_code, "no event has the id 'nothing'" in result.stderr) == (1, True)
    result = run("events", "show", "list-", "--project", orders)
    assert (result.exit_code, "list-4 of my.list" in result.stderr) == (1, True)


def test_why_tells_for_each_trigger(run: Run, lived: Path) -> None:
    emit(run, lived, "my.shop", "Order Placed", "why-1", {"total": 12})
    told = document(run, "why", "why-1", "--project", lived)
    by_trigger = {each["trigger"]: (each["outcome"], each["reason"]) for each in told["triggers"]}
    assert by_trigger["all"][0] == "started"
    assert by_trigger["big"] == (
        "not matched",
        'detail.total is 12, wanted: {"numeric":[">",100]}',
    )
    assert by_trigger["off"] == ("disabled", "Enabled is false")
    assert "files" not in by_trigger
    text = run("why", "why-1", "--project", lived).stdout
    assert "trigger big: not matched" in text
    assert text.endswith("1 trigger of other sources did not hear of it.\n")


def test_why_knows_what_was_skipped_and_what_could_not_be_made(run: Run, lived: Path) -> None:
    emit(run, lived, "my.queue", "Next", "queue-1")
    emit(run, lived, "my.queue", "Next", "queue-2")
    emit(run, lived, "my.gap", "Next", "gap-1")

    def reason(id_: str, trigger: str) -> tuple[str, str]:
        told = document(run, "why", id_, "--project", lived)["triggers"]
        return next((e["outcome"], e["reason"]) for e in told if e["trigger"] == trigger)

    assert reason("queue-1", "one")[0] == "started"
    outcome, text = reason("queue-2", "one")
    assert (outcome, "ran (Overlap: skip)" in text) == ("skipped", True)
    outcome, text = reason("gap-1", "lacks")
    assert (outcome, "no input can be made of it" in text) == ("dead", True)


def test_why_knows_what_waits_and_what_started_together(run: Run, lived: Path) -> None:
    for id_ in ("line-1", "line-2"):
        emit(run, lived, "my.line", "Next", id_)
    for id_ in ("pairs-1", "pairs-2"):
        emit(run, lived, "my.pairs", "Next", id_)

    def answer(id_: str, trigger: str) -> Any:
        told = document(run, "why", id_, "--project", lived)["triggers"]
        return next(each for each in told if each["trigger"] == trigger)

    while answer("line-1", "line")["outcome"] != "started":
        pass
    assert answer("line-2", "line")["outcome"] == "waiting"
    while answer("pairs-2", "pairs")["outcome"] != "started":
        pass
    first, second = (answer(id_, "pairs") for id_ in ("pairs-1", "pairs-2"))
    assert "one of 2 in a batch" in second["reason"]
    assert second["reason"].split(",")[0] == first["reason"].split(",")[0]


def test_an_event_is_sent_again_to_whom_it_went(run: Run, lived: Path) -> None:
    emit(run, lived, "my.shop", "Order Placed", "again-1", {"total": 500})
    result = run("events", "send-again", "again-1", "--json", "--project", lived)
    sent = json.loads(result.stdout)
    assert sorted(sent["executions"]) == ["all", "big"]
    assert sent["id"].startswith("again-1.again-")
    shown = document(run, "events", "show", "again-1", "--project", lived)
    assert shown["sentAgain"] == [sent["id"]]
    new = document(run, "events", "show", sent["id"], "--project", lived)
    assert new["event"]["detail"] == {"total": 500}
    assert "sent again of again-1" in run("why", sent["id"], "--project", lived).stdout
    # Once more it still names the first.
    result = run("events", "send-again", sent["id"], "--json", "--project", lived)
    assert json.loads(result.stdout)["id"].count(".again-") == 1


def test_none_is_sent_when_one_is_unknown(run: Run, orders: Path) -> None:
    result = run("events", "send-again", "list-1", "nothing", "--project", orders)
    assert (result.exit_code, result.stdout) == (1, "")
    assert document(run, "events", "show", "list-1", "--project", orders)["sentAgain"] == []


def test_files_events_and_executions_hang_together(run: Run, lived: Path) -> None:
    (lived / "inbox/a.csv").write_text("1")
    after: list[Any] = []
    while not after:
        rows = document(run, "executions", "list", "--limit", "1000", "--project", lived)
        after = [each for each in rows["executions"] if each.get("trigger") == "after"]
    told = document(run, "why", after[0]["executionArn"], "--project", lived)
    kinds = [each["kind"] for each in told["chain"]]
    assert kinds == ["event", "trigger", "execution", "event", "trigger", "execution"]
    first, *_, last = told["chain"]
    assert (first["source"], first["sensor"][:10]) == ("eventmill.filesystem", "filesystem")
    assert last["executionArn"] == after[0]["executionArn"]
    text = run("why", after[0]["executionArn"], "--project", lived).stdout.splitlines()
    assert text[1] == "└─ trigger files"
    assert text[2].startswith("   └─ execution files-")

    # An event of a sensor goes to the triggers of this sensor again.
    (event,) = listed(run, lived, "--source", "eventmill.filesystem")
    result = run("events", "send-again", event, "--json", "--project", lived)
    assert [*json.loads(result.stdout)["executions"]] == ["files"]


def test_why_of_what_somebody_started(run: Run, lived: Path) -> None:
    started = run("start", "pass", "--name", "by-hand", "--project", lived)
    told = document(run, "why", started.stdout.strip(), "--project", lived)
    assert [each["kind"] for each in told["chain"]] == ["call", "execution"]


def test_sensors_are_shown(run: Run, lived: Path) -> None:
    (sensor,) = document(run, "sensors", "--project", lived)["sensors"]
    assert (sensor["kind"], sensor["triggers"]) == ("filesystem", ["files"])
    assert (sensor["state"], sensor["problem"], sensor["restarts"]) == ("running", None, 0)
    head, row = run("sensors", "--project", lived).stdout.splitlines()
    assert head.split()[:3] == ["SENSOR", "SOURCE", "STATE"]
    assert row.split()[0] == "files"


def test_without_a_server_there_are_no_sensors_to_show(run: Run, tmp_path: Path) -> None:
    project = write_project(tmp_path, workflows={"pass": PASS}, settings="[server]\nport = 1\n")
    result = run("sensors", "--project", project)
    assert (result.exit_code, "no server answers" in result.stderr) == (3, True)
