"""Clients of boto3 for servers on this machine, whatever the environment and its files say."""

import os
from typing import Any, Final

from eventmill.testing.extra import require

REGION: Final = "us-east-1"

# In the order of botocore: the entry of the file, the variable, the value, its conversion.
_NOT_OURS: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def client(service: str, endpoint: str) -> Any:
    """A client for `service` at `endpoint`, with an account that nobody has."""
    session = require("botocore.session").Session(session_vars=_NOT_OURS)
    return session.create_client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
