"""moto's server: found by boto3, gone with its owner, kept where it shall be."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # boto3 has no types
import psutil
import pytest

from eventmill.errors import SettingsError
from eventmill.log.lock import held
from eventmill.testing import MotoServer
from eventmill.testing.local import led_to, local_services

QUEUE = "arn:aws:sqs:us-east-1:123456789012:arrivals"


ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "v"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}


def children() -> set[int]:
    return {each.pid for each in psutil.Process().children()}


def test_boto3_finds_it_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example")
    monkeypatch.setenv("AWS_PROFILE", "production")
    with MotoServer() as aws, led_to(aws.environment):
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="data")
        s3.put_object(Bucket="data", Key="a", Body=b"1")
        account = boto3.client("sts").get_caller_identity()["Account"]

        assert s3.meta.endpoint_url == aws.endpoint
        assert account == "123456789012"
        assert aws.client("s3").get_object(Bucket="data", Key="a")["Body"].read() == b"1"
        aws.reset()
        assert aws.client("s3").list_buckets()["Buckets"] == []

    assert os.environ["AWS_PROFILE"] == "production"
    assert "AWS_ENDPOINT_URL" not in os.environ


async def test_no_process_is_left_when_it_stops() -> None:
    before = children()
    async with MotoServer() as aws:
        assert len(children() - before) == 1
        port = int(aws.endpoint.rpartition(":")[2])

    assert children() == before
    with socket.create_server(("127.0.0.1", port)):
        pass
    with pytest.raises(RuntimeError, match="moto is not running: start it"):
        _ = aws.endpoint


def test_no_process_is_left_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = (
        "from pathlib import Path\n"
        "from eventmill.testing import MotoServer\n"
        f"aws = MotoServer(data=Path({str(tmp_path / 'aws')!r})).start()\n"
        "aws.client('sqs').create_queue(QueueName='arrivals')\n"
        "print(aws.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", owner], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        moto = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)

    psutil.wait_procs([moto], timeout=20)
    assert not moto.is_running() or moto.status() == psutil.STATUS_ZOMBIE
    with MotoServer(data=tmp_path / "aws") as aws:
        assert len(aws.client("sqs").list_queues()["QueueUrls"]) == 1


def test_the_next_one_waits_until_the_last_has_kept_its_state(tmp_path: Path) -> None:
    with held(tmp_path / "aws"), ThreadPoolExecutor(1) as thread:
        starting = thread.submit(MotoServer(data=tmp_path / "aws").start)
        with pytest.raises(TimeoutError):
            starting.result(1.5)
        os.replace(tmp_path / "aws.lock", tmp_path / "gone")  # as when the other one ends
        starting.result(20).stop()


def fill(aws: MotoServer) -> None:
    """A bucket that tells a queue what arrives, and an arrival that is being worked on."""
    s3, sqs = aws.client("s3"), aws.client("sqs")
    queue = sqs.create_queue(QueueName="arrivals", Attributes={"VisibilityTimeout": "77"})
    s3.create_bucket(Bucket="data")
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    configuration = {"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="data", NotificationConfiguration={"QueueConfigurations": [configuration]}
    )
    s3.put_object(Bucket="data", Key="a b/ü.txt", Body=b"old")
    s3.put_object(Bucket="data", Key="a b/ü.txt", Body=b"new", Metadata={"by": "us"})
    messages = receive(sqs, queue["QueueUrl"])
    assert len(messages) == 3  # with the test of the notification
    sqs.delete_message(QueueUrl=queue["QueueUrl"], ReceiptHandle=messages[1]["ReceiptHandle"])
    url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for number in range(3):
        sqs.send_message(
            QueueUrl=url,
            MessageBody=f"{number}",
            MessageAttributes=ATTRIBUTES,
            MessageGroupId="group",
            MessageDeduplicationId=f"{number}",
        )


def receive(sqs: Any, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    wanted = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
    while batch := sqs.receive_message(QueueUrl=url, **wanted).get("Messages"):
        found += batch
    return found


def test_buckets_and_queues_with_all_they_hold_are_kept_in_a_folder(tmp_path: Path) -> None:
    with MotoServer(data=tmp_path / "aws") as aws:
        fill(aws)
    with MotoServer(data=tmp_path / "aws") as aws:
        s3, sqs = aws.client("s3"), aws.client("sqs")
        found = s3.get_object(Bucket="data", Key="a b/ü.txt")
        assert (found["Body"].read(), found["Metadata"]) == (b"new", {"by": "us"})
        assert s3.get_bucket_versioning(Bucket="data")["Status"] == "Enabled"
        url = sqs.get_queue_url(QueueName="arrivals")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        bodies = [each["Body"] for each in receive(sqs, url)]
        arrivals = [body for body in bodies if "ObjectCreated" in body]
        s3.put_object(Bucket="data", Key="next", Body=b"3")
        assert len(receive(sqs, url)) == 1
        in_order = receive(sqs, sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"])

    assert attributes["VisibilityTimeout"] == "77"
    assert len(arrivals) == 1  # the other one was deleted, and putting it back told nobody
    assert [each["Body"] for each in in_order] == ["0", "1", "2"]
    assert in_order[0]["MessageAttributes"] == ATTRIBUTES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aws", "aws.lock"]


def test_a_save_that_was_cut_off_between_two_renames_is_found(tmp_path: Path) -> None:
    with MotoServer(data=tmp_path / "aws") as aws:
        aws.client("s3").create_bucket(Bucket="data")
    (tmp_path / "aws").rename(tmp_path / "aws.old")

    with MotoServer(data=tmp_path / "aws") as aws:
        assert len(aws.client("s3").list_buckets()["Buckets"]) == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    aws = MotoServer(data=folder / "aws").start()
    before = children()
    shutil.rmtree(folder)
    folder.touch()

    with pytest.raises(SettingsError, match=f"cannot be kept in {folder}/aws: Not a directory"):
        aws.stop()

    assert len(before - children()) == 1


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port} of 127.0.0.1 is not to be had"):
            MotoServer(port=port).start()


def test_the_local_services_have_the_same_port_again_if_it_is_free(tmp_path: Path) -> None:
    with local_services(tmp_path) as first:
        first_aws = first.aws
    with local_services(tmp_path) as second:
        assert second.aws == first_aws
    with (
        socket.create_server(("127.0.0.1", int(first_aws.rpartition(":")[2]))),
        local_services(tmp_path) as third,
    ):
        assert third.aws != first_aws
