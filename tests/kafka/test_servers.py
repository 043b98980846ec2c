"""Whole servers that read Kafka: killed in the middle of it, and two that share a topic."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from eventmill.errors import ProjectError
from eventmill.log.sqlite import SqliteEventLog
from eventmill.runtime.project import load_project
from eventmill.runtime.settings import load_settings
from tests.cli.servers import server
from tests.kafka.apache import ApacheBroker
from tests.kafka.conftest import Broker, new_topic
from tests.kafka.reading import Producer

MESSAGES: Final = 1_000

_REST: Final = {
    "StartAt": "Rest",
    "States": {"Rest": {"Type": "Wait", "Seconds": 86_400, "End": True}},
}


def write_project(folder: Path, address: str, topic: str, **source: Any) -> Path:
    """A project that starts an execution for each message of the topic."""
    (folder / "workflows").mkdir(parents=True)
    (folder / "triggers").mkdir()
    (folder / "workflows" / "rest.asl.json").write_text(json.dumps(_REST))
    trigger = {
        "Source": {
            "Type": "kafka",
            **({"BootstrapServers": [address]} if address else {}),
            "Topics": [topic],
            "StartingPosition": "earliest",
            "MaxPollRecords": 20,
            **source,
        },
        "Target": {"StateMachine": "rest", "InputPath": "$.detail.value"},
    }
    (folder / "triggers" / "messages.json").write_text(json.dumps(trigger))
    (folder / "eventmill.toml").write_text('server.port = 0\nhandlers.isolation = "inline"\n')
    return folder


async def started(project: Path) -> Counter[int]:
    """How often each value has started an execution."""
    counted: Counter[int] = Counter()
    async with SqliteEventLog.open(project / ".eventmill" / "log.db", read_only=True) as log:
        for each in await log.inbox(limit=10_000):
            value = each.event.detail["value"]
            assert isinstance(value, int)
            counted[value] += len(each.executions)
    return counted


async def until_started(projects: Sequence[Path], count: int) -> Counter[int]:
    """What these have started, once that is so much."""
    while True:
        counted: Counter[int] = sum([await started(each) for each in projects], Counter())
        if counted.total() >= count:
            return counted
        await asyncio.sleep(0.05)


async def test_a_server_that_is_killed_again_and_again_starts_each_execution_once(
    broker: Broker, producer: Producer, tmp_path: Path
) -> None:
    topic = await new_topic(broker, 2)
    project = write_project(tmp_path / "project", broker.address, topic)
    numbers = [b"%d" % number for number in range(MESSAGES)]

    for seen in (1, MESSAGES // 2):
        await producer.send_many(topic, numbers[:seen], 2)
        del numbers[:seen]
        with server(project, "--quiet") as running:
            running.told("ready")
            await until_started([project], seen)
            running.signal(signal.SIGKILL)
            running.process.wait()
        assert max((await started(project)).values()) == 1
    await producer.send_many(topic, numbers, 2)
    with server(project, "--quiet") as running:
        running.told("ready")
        await until_started([project], MESSAGES)
        running.signal(signal.SIGTERM)
        assert running.ended()[0] == 0

    assert await started(project) == Counter(range(MESSAGES))


async def test_two_servers_of_a_group_share_a_topic_and_the_one_that_is_left_reads_it_all(
    real_broker: ApacheBroker, producer: Producer, tmp_path: Path
) -> None:
    topic = await new_topic(real_broker, 4)
    projects = [
        write_project(tmp_path / name, real_broker.address, topic, ConsumerGroupId=f"group-{topic}")
        for name in ("one", "two")
    ]
    sent = 0

    async def send() -> None:
        nonlocal sent
        numbers = [b"%d" % number for number in range(sent, sent + 80)]
        await producer.send_many(topic, numbers, 4)
        sent += 80

    with server(projects[0], "--quiet") as one:
        one.told("ready")
        await send()
        await until_started(projects[:1], 80)
        with server(projects[1], "--quiet") as two:
            two.told("ready")
            # Whatever the first one still gets, sooner or later the second has a share.
            while not await started(projects[1]):
                await send()
                await asyncio.sleep(0.2)
            one.signal(signal.SIGTERM)
            assert (await asyncio.to_thread(one.ended))[0] == 0
            await send()
            counted = await until_started(projects, sent)
            two.signal(signal.SIGTERM)
            assert (await asyncio.to_thread(two.ended))[0] == 0

    assert counted == Counter(range(sent))


async def test_a_server_without_a_broker_runs_and_says_what_is_missing(
    broker: Broker, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", "127.0.0.1:1", "any")

    with server(project, as_json=False) as running:
        line = await asyncio.to_thread(running.line, lambda line: "cannot read from" in line)
        assert "no broker can be reached" in line
        running.signal(signal.SIGTERM)
        assert running.ended()[0] == 0


async def test_brokers_that_the_environment_shall_name_and_does_not_are_told(
    tmp_path: Path,
) -> None:
    project = write_project(tmp_path / "project", "", "any", BootstrapServersFrom="KAFKA_HERE")
    told = (
        "$KAFKA_HERE  any → rest  by messages",
        "the environment variable KAFKA_HERE, which the source takes its brokers from, names none",
    )

    with server(project, as_json=False) as running:
        # What is shown of the trigger and what the sensor says come in either order.
        await asyncio.to_thread(
            running.line, lambda _: all(part in "".join(running.seen) for part in told)
        )
        running.signal(signal.SIGTERM)
        assert running.ended()[0] == 0


def test_a_trigger_is_shown_with_its_topics(broker: Broker, tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "project", broker.address, "orders", TopicPatterns=["late-.*"]
    )

    with server(project, as_json=False) as running:
        line = running.line(lambda line: "orders" in line)
        assert f"{broker.address}  orders /late-.*/ → rest  by messages" in line
    with server(project) as running:
        (watch,) = running.told("ready")["watches"]
    assert watch == {
        "bootstrapServers": [broker.address],
        "topics": ["orders"],
        "topicPatterns": ["late-.*"],
        "consumerGroupId": None,
        "triggers": [{"name": "messages", "stateMachine": "rest", "enabled": True}],
    }


@pytest.mark.parametrize("other", [{"ValueFormat": "text"}, {"StartingPosition": "latest"}])
def test_sources_of_one_name_that_differ_are_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    project = write_project(tmp_path / "project", "127.0.0.1:1", "any")
    trigger = json.loads((project / "triggers" / "messages.json").read_text())
    trigger["Source"] |= other
    (project / "triggers" / "others.json").write_text(json.dumps(trigger))

    with pytest.raises(ProjectError) as raised:
        load_project(load_settings(project))

    assert "reads the same messages as" in raised.value.problems[0]
    assert "give both the same, or each a Name" in raised.value.problems[0]
