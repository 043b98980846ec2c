"""AWS on this machine: `with MotoServer() as aws: aws.client("s3")…`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.request import Request, urlopen

from eventmill.testing.child import Child
from eventmill.testing.clients import REGION, client
from eventmill.testing.extra import folder_of
from eventmill.testing.service import LocalService

_RESET_SECONDS: Final = 30
_NO_FILES: Final = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class MotoServer(LocalService):
    """moto's server in a process of its own: S3, SQS, DynamoDB and most else, all made up.

    It ends with `stop` or with this process, however that ends. Everything is in memory, unless
    there is a folder `data`: buckets, their objects and notifications, and queues with what is in
    them are then kept in it from one run to the next.
    """

    def __init__(self, *, port: int = 0, data: Path | None = None) -> None:
        """Listen on `port` of 127.0.0.1; 0 is any that is free."""
        self._port = port
        self._data = data
        self._child: Child | None = None

    @property
    def endpoint(self) -> str:
        """The URL that clients take.

        Raises:
            RuntimeError: It is not running.
        """
        return f"http://127.0.0.1:{self._running.told}"

    @property
    def pid(self) -> int:
        """The number of its process.

        Raises:
            RuntimeError: It is not running.
        """
        return self._running.pid

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that lead boto3, the command `aws` and all other clients of AWS here.

        They name no account of anybody's: profiles and configuration files are not read.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **_NO_FILES,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> Self:
        """Start it, if it is not running; that takes a second or two.

        Raises:
            SettingsError: The extra `eventmill[testing]` is not installed, the port is taken, or
                `data` is in use or cannot be read.
        """
        if self._child is None:
            folder_of("moto")
            folder_of("flask")
            folder = [] if self._data is None else [str(self._data)]
            arguments = [str(self._port), *folder]
            self._child = Child(
                "eventmill.testing.moto_process", *arguments, environment=_without_account()
            )
        return self

    def stop(self) -> None:
        """End it; nothing if it is not running.

        Raises:
            SettingsError: What it had could not be kept in `data`.
        """
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def reset(self) -> None:
        """Forget everything that was made in it."""
        with urlopen(
            Request(f"{self.endpoint}/moto-api/reset", method="POST"), timeout=_RESET_SECONDS
        ):
            pass

    def client(self, service: str) -> Any:
        """A client of boto3 for `service`, whatever the environment says."""
        return client(service, self.endpoint)

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError("moto is not running: start it, or use it in a with statement")
        return self._child


def _without_account() -> dict[str, str]:
    """The environment of this process, but for what leads to an account: moto uses boto3 too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, **_NO_FILES}
