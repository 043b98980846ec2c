"""What `eventmill up --local` starts beside the server: AWS and Kafka, on this machine only."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventmill.record import record
from eventmill.testing.aws import MotoServer
from eventmill.testing.kafka import EmbeddedKafka

# The part of the data folder with what is kept of both.
FOLDER: Final = "local"

_PORT_FILE: Final = "aws-port"


@record
class Local:
    """Where both are, and the environment variables that say so to others."""

    aws: str
    kafka: str
    environment: Mapping[str, str]


@contextmanager
def local_services(data: Path) -> Iterator[Local]:
    """AWS and Kafka, and an environment that leads to them, within the block.

    What AWS has is kept in `data` and comes back next time, at the same port if it is free. Kafka
    has what it holds in memory, and begins empty at a port that is free.

    Raises:
        SettingsError: The extra `eventmill[testing]` is not installed.
        OSError: The folder cannot be written.
    """
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    port_file = folder / _PORT_FILE
    with _aws(folder / "aws", port_file) as aws, EmbeddedKafka() as kafka:
        port_file.write_text(aws.endpoint.rpartition(":")[2])
        environment = {**aws.environment, **kafka.environment}
        with led_to(environment):
            yield Local(aws=aws.endpoint, kafka=kafka.bootstrap_servers, environment=environment)


@contextmanager
def led_to(environment: Mapping[str, str]) -> Iterator[None]:
    """The environment of this process with these variables, within the block.

    Others that would lead clients of AWS to a server or an account of their own are out of sight.
    """
    before = dict(os.environ)
    for name in before:
        if is_in_the_way(name):
            del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def is_in_the_way(name: str) -> bool:
    """Whether a variable would lead clients of AWS elsewhere, whatever `AWS_ENDPOINT_URL` says."""
    return name.startswith("AWS_ENDPOINT_URL_") or name in {
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",
    }


@contextmanager
def _aws(data: Path, port_file: Path) -> Iterator[MotoServer]:
    """moto at the port it had the last time, or at another one if that is taken."""
    try:
        port = int(port_file.read_text())
    except (OSError, ValueError):
        port = 0
    with MotoServer(port=port if _is_free(port) else 0, data=data) as running:
        yield running


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
