"""`eventmill why`: what the log has of an event's deliveries, and a chain through a Map Run."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from eventmill.events import TriggerEvent
from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Delivery, Transaction
from eventmill.rows import DeliveryRow
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from eventmill.runtime.system import System, running
from tests.cli.conftest import Run
from tests.cli.projects import PASS, SPREAD, WAIT, write_project


def on(source: str, machine: str, **target: Any) -> str:
    document = {
        "EventPattern": {"source": [source]},
        "Target": {"StateMachine": machine, **target},
    }
    return json.dumps(document)


def event(id_: str, source: str = "my.shop") -> TriggerEvent:
    return TriggerEvent(
        id=id_,
        source=source,
        detail_type="Order Placed",
        at_ms=0,
        account="0",
        region="local",
        detail={"items": [1, 2]},
        sensor="bus",
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(
        tmp_path,
        workflows={"pass": PASS, "wait": WAIT, "spread": SPREAD},
        triggers={
            "plain.json": on("my.shop", "pass"),
            "picky.json": on("my.shop", "pass", InputPath="$.detail.gone"),
            "named.json": on("my.shop", "pass", ExecutionName="$.source"),
            "one.json": on("my.shop", "wait", Overlap="buffer-one"),
            "many.json": on("my.lists", "spread", InputPath="$.detail.items"),
        },
    )


def live(project: Path, work: Callable[[System], Awaitable[None]]) -> None:
    """Do some work on a server of its own."""

    async def life() -> None:
        settings = load_settings(project)
        async with running(settings, load_project(settings)) as system:
            await work(system)

    asyncio.run(life())


def document(run: Run, project: Path, reference: str) -> Any:
    result = run("why", reference, "--json", "--project", project)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def told(run: Run, project: Path, reference: str) -> dict[str, tuple[str, str]]:
    """The outcome and the reason by trigger."""
    triggers = document(run, project, reference)["triggers"]
    return {each["trigger"]: (each["outcome"], each["reason"]) for each in triggers}


def test_deliveries_of_an_event_are_told_as_they_were_decided(run: Run, project: Path) -> None:
    async def work(system: System) -> None:
        await system.bus.put([event("a"), event("b")])

    live(project, work)
    # What the triggers say today does not change what was decided.
    write_project(project, triggers={"picky.json": on("my.shop", "pass")})

    of = told(run, project, "b")
    assert of["plain"][0] == "started"
    there = "arn:aws:states:local:000000000000:execution:pass:my.shop"
    assert of["named"] == ("skipped", f"the execution {there} is there already")
    outcome, reason = of["picky"]
    assert outcome == "dead"
    assert reason.startswith("no input can be made of it: ")

    by_trigger = {each["trigger"]: each for each in document(run, project, "b")["triggers"]}
    assert by_trigger["plain"]["delivery"] is None
    delivery = by_trigger["picky"]["delivery"]
    assert (delivery["status"], delivery["attempts"], delivery["execution"]) == ("DEAD", 1, None)
    text = run("why", "b", "--project", project).stdout
    assert "trigger picky: dead" in text
    assert "trigger named: skipped" in text


def test_what_was_sent_again_is_told(run: Run, project: Path) -> None:
    lost = "$.detail.gone"
    write_project(project, triggers={"one.json": on("my.shop", "wait", InputPath=lost)})
    live(project, lambda system: system.bus.publish(event("a")))
    one = on("my.shop", "wait", Overlap="buffer-one")
    write_project(project, triggers={"one.json": one, "picky.json": on("my.shop", "pass")})

    async def redrive(system: System) -> None:
        await system.bus.publish(event("b"))
        triggers = {each.name: each for each in system.project.triggers}
        for row in await system.log.deliveries(event=("my.shop", "a"), status="DEAD"):
            await system.router.redrive(triggers[row.trigger], row)

    live(project, redrive)
    of = told(run, project, "a")
    outcome, reason = of["picky"]
    assert (outcome, reason.endswith(" (sent again)")) == ("started", True)
    waits = "Overlap is buffer-one: it waits until nothing of its trigger runs"
    assert of["one"] == ("waiting", waits)
    by_trigger = {each["trigger"]: each for each in document(run, project, "a")["triggers"]}
    assert by_trigger["picky"]["status"] == "SUCCEEDED"
    assert by_trigger["picky"]["delivery"]["attempts"] == 2


def test_deliveries_of_triggers_that_have_gone_are_told(run: Run, project: Path) -> None:
    def row(trigger: str, status: str, execution: str | None = None) -> DeliveryRow:
        return DeliveryRow(
            event=("my.shop", "a"),
            trigger=trigger,
            status=status,
            reason="so",
            since_ms=1,
            decided_ms=1,
            execution=execution,
        )

    async def store() -> None:
        (project / ".eventmill").mkdir()
        async with SqliteEventLog.open(load_settings(project).log_path) as log:
            rows = [row("gone", "DEAD"), row("past", "STARTED", "arn:removed")]
            await log.commit(Transaction(events=[event("a")], deliveries=rows))

    asyncio.run(store())
    of = told(run, project, "a")
    assert of["gone"] == ("dead", "so (the project has this trigger no more)")
    assert of["past"] == (
        "started",
        "started arn:removed (so) (the project has this trigger no more)",
    )


def test_what_must_start_nothing_is_told_as_dead(run: Run, project: Path) -> None:
    live(
        project,
        lambda system: system.bus.deliver(Delivery(event=event("a"), state={}), "too many hops"),
    )
    of = told(run, project, "a")
    assert of.pop("many")[0] == "not matched"
    assert of == dict.fromkeys(("plain", "picky", "named", "one"), ("dead", "too many hops"))
    listed = run("dead-letters", "list", "--project", project).stdout
    assert listed.count("too many hops") == 4


def test_a_chain_leads_through_a_map_run_to_its_parent(run: Run, project: Path) -> None:
    children: list[str] = []

    async def work(system: System) -> None:
        await system.bus.publish(event("a", "my.lists"))
        (parent,) = await system.log.executions()
        await system.engine.ended(parent.id)
        (map_run,) = await system.log.map_runs(parent.id)
        rows = await system.log.executions(map_run=(parent.id, map_run.map_run))
        children.extend(row.arn for row in rows)

    live(project, work)
    assert len(children) == 2
    chain = document(run, project, children[0])["chain"]
    kinds = ["event", "trigger", "execution", "map run", "execution"]
    assert [each["kind"] for each in chain] == kinds
    first, trigger, parent, map_run, child = chain
    assert (first["id"], trigger["name"]) == ("a", "many")
    assert ":execution:spread:" in parent["executionArn"]
    assert (":mapRun:spread/Each:" in map_run["mapRunArn"], map_run["status"]) == (
        True,
        "SUCCEEDED",
    )
    assert child["executionArn"] == children[0]
    lines = run("why", children[0], "--project", project).stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["trigger", "execution", "Map", "execution"]
    assert lines[3].endswith("SUCCEEDED")
