"""The file `server.json` in the data folder: where the server that holds it can be reached.

A server that was killed leaves the file behind, so it says where to ask, not that anyone answers.
"""

import os
from pathlib import Path
from typing import Final

from eventmill.model import decode_json, encode_json

SERVER_FILE: Final = "server.json"
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def endpoint(host: str, port: int) -> str:
    """The address at which a server that listens on `host` is reached from this machine.

    >>> endpoint("0.0.0.0", 8083), endpoint("::1", 8083)
    ('http://127.0.0.1:8083', 'http://[::1]:8083')
    """
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_server_file(data: Path, address: str) -> None:
    """Say where this process serves.

    Raises:
        OSError: The data folder cannot be written.
    """
    draft = data / f".{SERVER_FILE}.{os.getpid()}"
    draft.write_bytes(encode_json({"endpoint": address, "pid": os.getpid()}) + b"\n")
    draft.replace(data / SERVER_FILE)


def remove_server_file(data: Path) -> None:
    """Say that nobody serves any more."""
    (data / SERVER_FILE).unlink(missing_ok=True)


def read_server_file(data: Path) -> str | None:
    """The address in the file, if there is one that can be read."""
    try:
        said = decode_json((data / SERVER_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    address = said.get("endpoint") if isinstance(said, dict) else None
    return address if isinstance(address, str) else None
