"""Where the peers are installed: each in a virtual environment of its own, below `build/peers`.

So nothing of them enters our environment, and nothing of ours enters theirs.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from eventmill.record import record

FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "peers"

_MARK: Final = "installed.txt"


@record
class Peer:
    """What makes up a peer, with the versions that are measured."""

    requirements: tuple[str, ...]
    packages: tuple[str, ...] = ()  # of npm

    def pins(self) -> str:
        """All of it in one line."""
        return " ".join((*self.requirements, *self.packages))


PEERS: Final = {
    "dbos": Peer(requirements=("dbos==3.4.0",)),
    "huey": Peer(requirements=("huey==3.5.4",)),
    "moto": Peer(requirements=("moto[server,awslambda,stepfunctions]==5.2.5",)),
    "restate": Peer(
        requirements=("restate-sdk==1.3.0", "hypercorn==0.18.0"),
        packages=("@restatedev/restate-server@1.7.12",),
    ),
}


class CannotInstall(Exception):
    """A peer cannot be installed here; says why."""


def home(peer: str | None) -> Path:
    """Where a peer is, or would be; our own environment, where none is named."""
    return FOLDER / peer if peer else Path(sys.prefix)


def python(peer: str | None) -> Path:
    """The interpreter that has a peer."""
    return home(peer) / "bin" / "python" if peer else Path(sys.executable)


def is_installed(peer: str) -> bool:
    """Whether a peer is there, in the versions that are measured."""
    mark = home(peer) / _MARK
    return mark.exists() and mark.read_text(encoding="utf-8") == PEERS[peer].pins()


def install(peer: str) -> None:
    """Make the environment of a peer anew.

    Raises:
        CannotInstall: a program is missing or has failed.
    """
    folder, parts = home(peer), PEERS[peer]
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(str(python(peer)), "-m", "pip", "install", "--quiet", *parts.requirements)
    if parts.packages:
        where = ("--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts")
        _run("npm", "install", "--silent", *where, *parts.packages)
    (folder / _MARK).write_text(parts.pins(), encoding="utf-8")


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError as error:
        raise CannotInstall(f"there is no {command[0]} here") from error
    except subprocess.CalledProcessError as error:
        told = error.stdout.decode(errors="replace").strip()
        raise CannotInstall(f"{' '.join(command)} failed:\n{told}") from error
