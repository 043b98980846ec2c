"""`eventmill dead-letters`: listed from a log, and sent again through a real server."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result

from eventmill.log.sqlite import SqliteEventLog
from eventmill.ports import Transaction
from eventmill.rows import DeliveryRow
from tests.cli.conftest import Run
from tests.cli.projects import PASS, write_project
from tests.cli.servers import server


def dead(id: str, trigger: str, status: str = "DEAD") -> DeliveryRow:
    return DeliveryRow(
        event=("test", id),
        trigger=trigger,
        status=status,
        reason="no input\x1b can be made",
        since_ms=1_000,
        attempts=2,
        decided_ms=2_000,
    )


async def store(path: Path, *rows: DeliveryRow) -> None:
    async with SqliteEventLog.open(path) as log:
        await log.commit(Transaction(deliveries=rows))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = write_project(tmp_path, workflows={"plain": PASS})
    (project / ".eventmill").mkdir()
    return project


def test_lists_dead_letters_newest_first(run: Run, project: Path) -> None:
    rows = dead("1", "intake"), dead("2", "other"), dead("3", "intake", "SKIPPED")
    asyncio.run(store(project / ".eventmill/log.db", *rows))

    everything = run("dead-letters", "list", "--project", project)
    assert (everything.exit_code, everything.stderr) == (0, "")
    head, first, second, advice = everything.stdout.splitlines()
    assert advice.startswith("eventmill dead-letters redrive")
    assert head.split()[-1] == "REASON"
    assert first.split()[1:4] == ["other", "test", "2"]
    assert second.split()[1:4] == ["intake", "test", "1"]
    assert first.split()[4] == "2"
    assert "\x1b" not in everything.stdout
    newest = run("dead-letters", "list", "--limit", "1", "--project", project).stdout
    assert "The newest 1; --limit shows more." in newest

    narrowed = run("dead-letters", "list", "--trigger", "intake", "--json", "--project", project)
    assert json.loads(narrowed.stdout) == {
        "deadLetters": [
            {
                "trigger": "intake",
                "eventSource": "test",
                "eventId": "1",
                "reason": "no input\x1b can be made",
                "attempts": 2,
                "since": "1970-01-01T00:00:02.000Z",
            }
        ]
    }


def test_says_that_there_are_none(run: Run, project: Path) -> None:
    asyncio.run(store(project / ".eventmill/log.db", dead("1", "intake", "STARTED")))
    result = run("dead-letters", "list", "--project", project)
    assert result.stdout == "There are no dead letters.\n"


def on(source: str, **target: object) -> str:
    pattern = {"source": [source]}
    return json.dumps({"EventPattern": pattern, "Target": {"StateMachine": "plain", **target}})


class Project:
    """A project whose triggers change between the lives of its server."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder

    def write(self, **triggers: str) -> None:
        write_project(self.folder, triggers={f"{name}.json": triggers[name] for name in triggers})

    def emit(self, source: str, id_: str) -> None:
        arguments = ("--source", source, "--type", "T", "--id", id_, "--project", self.folder)
        assert self.run("emit", "{}", *arguments).exit_code == 0

    def redrive(self, *arguments: str) -> Result:
        return self.run("dead-letters", "redrive", *arguments, "--project", self.folder)

    def dead(self) -> list[str]:
        listed = self.run("dead-letters", "list", "--json", "--project", self.folder)
        return [each["eventId"] for each in json.loads(listed.stdout)["deadLetters"]]


@pytest.fixture
def buried(run: Run, project: Path) -> Project:
    """A project with five dead letters: a-0, a-1, a-2 of one trigger, b-0 and b-1 of another."""
    buried = Project(run, project)
    lost = {"InputPath": "$.detail.gone"}
    buried.write(a=on("a", **lost), b=on("b", **lost))
    with server(project, "--port", "0") as running:
        running.told("ready")
        for id_ in ("a-0", "b-0", "a-1", "b-1", "a-2"):
            buried.emit(id_[0], id_)
    assert buried.dead() == ["a-2", "b-1", "a-1", "b-0", "a-0"]
    return buried


def test_dead_letters_are_sent_again(buried: Project) -> None:
    buried.write(a=on("a"), b=on("b", InputPath="$.detail.gone"))
    with server(buried.folder, "--port", "0") as running:
        running.told("ready")
        result = buried.redrive("a-1")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("a-1  a: started arn:aws:states:local:000000000000:exec")

        result = buried.redrive("--trigger", "a", "--json")
        assert result.exit_code == 0
        told = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(each["id"], each["status"]) for each in told] == [
            ("a-0", "STARTED"),
            ("a-2", "STARTED"),
        ]
        assert buried.dead() == ["b-1", "b-0"]

        result = buried.redrive("--all")
        assert (result.exit_code, result.stderr) == (
            1,
            "2 dead letters of 2 can start nothing still.\n",
        )
        assert [line.split()[:3] for line in result.stdout.splitlines()] == [
            ["b-0", "b:", "DEAD:"],
            ["b-1", "b:", "DEAD:"],
        ]
        assert buried.redrive("--trigger", "a").stdout == "There are no dead letters.\n"
    executions = buried.run("executions", "list", "--json", "--project", buried.folder)
    assert len(json.loads(executions.stdout)["executions"]) == 3


def test_one_whose_trigger_has_gone_keeps_no_other_back(buried: Project) -> None:
    (buried.folder / "triggers" / "a.json").unlink()
    buried.write(b=on("b"))
    with server(buried.folder, "--port", "0") as running:
        running.told("ready")
        result = buried.redrive("--all")
    assert (result.exit_code, buried.dead()) == (1, ["a-2", "a-1", "a-0"])
    first, second, *_ = result.stdout.splitlines()
    assert first == "a-0  a: DEAD: The project of this server has no trigger 'a'"
    assert second.startswith("b-0  b: started ")
    assert result.stderr == "3 dead letters of 5 can start nothing still.\n"


def test_what_is_no_dead_letter_is_told_and_nothing_sent(buried: Project) -> None:
    buried.write(a=on("a"))
    with server(buried.folder, "--port", "0") as running:
        running.told("ready")
        assert buried.redrive("a-1").exit_code == 0
        for arguments, text in (
            (["a-0", "a-1"], "the event a-1 is no dead letter"),
            (["a-0", "c-0"], "no event has the id 'c-0'"),
            (["a-0", "--trigger", "b"], "the event a-0 is no dead letter of the trigger b"),
            (["a-"], "several events have the id 'a-'"),
        ):
            result = buried.redrive(*arguments)
            assert (result.exit_code, text in result.stderr) == (1, True)
    assert buried.dead() == ["a-2", "b-1", "b-0", "a-0"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Say which: an ID, --trigger NAME or --all."),
        (["--all", "a-0"], "give no ID and no --trigger"),
        (["--all", "--trigger", "a"], "give no ID and no --trigger"),
        (["--all", "--source", "a"], "give an ID"),
    ],
)
def test_what_is_meant_must_be_said(
    arguments: list[str], text: str, run: Run, project: Path
) -> None:
    result = Project(run, project).redrive(*arguments)
    assert (result.exit_code, text in result.stderr) == (2, True)


def test_without_a_server_nothing_is_sent(buried: Project) -> None:
    result = buried.redrive("--all", "--endpoint", "http://127.0.0.1:1")
    assert (result.exit_code, "no server answers" in result.stderr) == (3, True)
    assert len(buried.dead()) == 5
