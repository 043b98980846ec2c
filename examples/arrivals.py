"""A part of the demo: messages of Kafka and objects of S3, on this machine, each exactly once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from eventmill.testing import EmbeddedKafka, EventmillServer, MotoServer

TOPIC: Final = "readings"
BUCKET: Final = "arrivals"
PATIENCE_SECONDS: Final = 60

WORKFLOW: Final = {
    "Comment": "Takes note of what arrived.",
    "StartAt": "Note",
    "States": {"Note": {"Type": "Pass", "End": True}},
}
TRIGGERS: Final[dict[str, Any]] = {
    "messages": {
        "Source": {
            "Type": "kafka",
            "BootstrapServersFrom": "KAFKA_BOOTSTRAP_SERVERS",
            "Topics": [TOPIC],
            "StartingPosition": "earliest",
        },
        "Target": {"StateMachine": "arrivals", "InputPath": "$.detail.value"},
    },
    "objects": {
        "Source": {"Type": "s3", "Bucket": BUCKET, "ScanSeconds": 1},
        "EventPattern": {"detail-type": ["Object Created"]},
        "Target": {"StateMachine": "arrivals", "InputPath": "$.detail.object.key"},
    },
}


def make_project(folder: Path) -> Path:
    """A project with one state machine, a trigger for Kafka and one for S3."""
    for part in ("workflows", "triggers"):
        (folder / part).mkdir(parents=True)
    (folder / "workflows" / "arrivals.asl.json").write_text(json.dumps(WORKFLOW, indent=2))
    for name, trigger in TRIGGERS.items():
        (folder / "triggers" / f"{name}.json").write_text(json.dumps(trigger, indent=2))
    return folder


def run_arrivals(folder: Path, number: int) -> "tuple[Counter[str], Counter[str]]":
    """Publish `number` messages and put as many objects, and kill the server in between.

    What was sent comes first, then what the executions got, each with how often.
    """
    project = make_project(folder)
    sent = Counter(
        [f"reading-{each}" for each in range(number)] + [f"{each}.csv" for each in range(number)]
    )
    with MotoServer() as aws, EmbeddedKafka(TOPIC) as kafka:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        environment = {**aws.environment, **kafka.environment}
        data = folder / ".eventmill"
        with EventmillServer(project, data=data, environment=environment) as server:
            for each in range(number):
                kafka.publish(TOPIC, json.dumps(f"reading-{each}"))
                s3.put_object(Bucket=BUCKET, Key=f"{each}.csv", Body=b"a,b\n")
                if each == number // 2:
                    server.ended(1, "arrivals", seconds=PATIENCE_SECONDS)
                    server.kill()
            server.start()
            ended = server.ended(2 * number, "arrivals", seconds=PATIENCE_SECONDS)
    return sent, Counter(str(each["input"]) for each in ended)
