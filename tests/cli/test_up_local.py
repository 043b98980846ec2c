"""`eventmill up --local`: AWS and Kafka beside the server, and gone with it."""

import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import pytest
from confluent_kafka import Producer

from eventmill.testing.clients import client
from eventmill.testing.server import EventmillServer
from tests.cli.projects import FUNCTION, write_project
from tests.cli.servers import Server, server

TAKE: Final = """
import os

import boto3


def take(event, context):
    boto3.client("s3").put_object(Bucket="taken", Key=event["key"], Body=event["key"].encode())
    return {"profile": os.environ.get("AWS_PROFILE")}
"""

TRIGGER: Final = """
Source:
  Type: kafka
  BootstrapServersFrom: KAFKA_BOOTSTRAP_SERVERS
  Topics: [orders]
  StartingPosition: earliest
  MetadataSeconds: 0.2
Target:
  StateMachine: take
  InputPath: $.detail.value
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(
        tmp_path / "project",
        workflows={
            "take": {
                "StartAt": "Take",
                "States": {"Take": {"Type": "Task", "Resource": f"{FUNCTION}take", "End": True}},
            }
        },
        triggers={"orders.yaml": TRIGGER},
        handlers={"take.py": TAKE},
        settings="[handlers]\nworkers = 1\n",
    )


def produce(address: str, key: str) -> None:
    producer = Producer({"bootstrap.servers": address})
    producer.produce("orders", json.dumps({"key": key}).encode())
    assert producer.flush(10) == 0


def end(running: Server) -> None:
    running.signal(signal.SIGTERM)
    exit_code, rest = running.ended()
    assert exit_code == 0, rest


def is_open(address: str) -> bool:
    host, port = address.removeprefix("http://").split(":")
    with suppress(OSError), socket.create_connection((host, int(port)), 5):
        return True
    return False


def test_sensors_and_handlers_use_both_and_what_aws_has_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    with server(project, "--port", "0", "--local") as running:
        local = running.told("local")
        running.told("ready")
        client("s3", local["aws"]).create_bucket(Bucket="taken")
        produce(local["kafka"], "first")
        ended = running.told("ended")
        assert ended["status"] == "SUCCEEDED", ended
        end(running)
    with server(project, "--port", "0", "--local") as running:
        again = running.told("local")
        running.told("ready")
        # Kafka begins empty, and is another one: its first message is not the one from before.
        produce(again["kafka"], "second")
        ended = running.told("ended")
        assert ended["status"] == "SUCCEEDED", ended
        s3 = client("s3", again["aws"])
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket="taken")["Contents"]]
        end(running)

    assert keys == ["first", "second"]
    assert local["environment"]["AWS_ENDPOINT_URL"] == local["aws"]
    assert local["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == local["kafka"]
    assert not is_open(again["aws"])
    assert not is_open(again["kafka"])


def test_a_person_is_told_where_they_are(project: Path) -> None:
    with server(project, "--port", "0", "--local", as_json=False) as running:
        running.line(lambda line: line == "Ready. Ctrl-C stops.\n")
        end(running)

    first, aws, kafka, *_ = (line.rstrip("\n") for line in running.seen)
    assert first == "Local services, which end with the server:"
    kept = f"(AWS_ENDPOINT_URL; kept in {project}/.eventmill/local)"
    assert aws.startswith("  AWS       http://127.0.0.1:")
    assert aws.endswith(kept)
    assert kafka.startswith("  Kafka     127.0.0.1:")
    assert kafka.endswith("(KAFKA_BOOTSTRAP_SERVERS; in memory)")


def test_a_server_that_is_killed_leaves_no_process_and_loses_no_object(project: Path) -> None:
    with server(project, "--port", "0", "--local") as running:
        local = running.told("local")
        running.told("ready")
        client("s3", local["aws"]).create_bucket(Bucket="kept")
        below = psutil.Process(running.process.pid).children(recursive=True)
        running.signal(signal.SIGKILL)
        running.process.wait()
        _, alive = psutil.wait_procs(below, timeout=20)
        assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    with server(project, "--port", "0", "--local") as running:
        again = running.told("local")
        buckets = client("s3", again["aws"]).list_buckets()["Buckets"]
        running.told("ready")
        end(running)

    assert [each["Name"] for each in buckets] == ["kept"]


def test_a_handler_may_see_the_variables_that_the_command_line_names(tmp_path: Path) -> None:
    project = write_project(
        tmp_path / "project",
        workflows={
            "look": {
                "StartAt": "Look",
                "States": {"Look": {"Type": "Task", "Resource": f"{FUNCTION}look", "End": True}},
            }
        },
        handlers={
            "look.py": "import os\n\n\ndef look(event, context):\n"
            '    return [os.environ.get(name) for name in ("SEEN", "HIDDEN")]\n'
        },
        settings="[handlers]\nworkers = 1\n",
    )
    os.environ["HIDDEN"] = "1"
    try:
        with EventmillServer(project, environment={"SEEN": "2"}) as running:
            running.client().start_execution(
                stateMachineArn="arn:aws:states:local:000000000000:stateMachine:look"
            )
            (execution,) = running.ended(1)
    finally:
        del os.environ["HIDDEN"]

    assert execution["output"] == ["2", None]
