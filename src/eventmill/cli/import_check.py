"""Whether the handlers of a project can be imported, tried in a process of its own.

As a program it imports the handlers of a folder and writes one line of JSON for each module that
fails; what the modules print goes to stderr.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eventmill.arn import Home
from eventmill.executors.answers import Unavailable
from eventmill.executors.loader import Loader
from eventmill.executors.pool_settings import worker_environment
from eventmill.executors.scan import Scan, scan
from eventmill.model import decode_json, encode_json
from eventmill.runtime.findings import Finding
from eventmill.runtime.settings import Settings

_CODE: Final = "HANDLER_NOT_IMPORTABLE"
_TIMEOUT_SECONDS: Final = 60


def command(settings: Settings) -> tuple[str, ...]:
    """The command line of the check."""
    return (sys.executable, "-P", "-m", "eventmill.cli.import_check", str(settings.handlers))


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which handlers run, and so in which they are imported here."""
    chosen = {name: os.environ[name] for name in settings.environment if name in os.environ}
    project = {"EVENTMILL_PROJECT": str(settings.project)}
    return worker_environment(os.environ, {**project, **chosen})


def check_imports(settings: Settings, handlers: Scan) -> tuple[Finding, ...]:
    """Import all handlers in another process; what cannot be imported is an error each."""
    try:
        ended = subprocess.run(
            command(settings),
            cwd=settings.project,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"importing the handlers took more than {_TIMEOUT_SECONDS} seconds"
        return (Finding(path=settings.handlers, code=_CODE, message=message),)
    return findings(settings, handlers, ended.returncode, ended.stdout)


def findings(
    settings: Settings, handlers: Scan, exit_code: int, output: bytes
) -> tuple[Finding, ...]:
    """What the check has found, from what its process wrote."""
    failed = [decode_json(line) for line in output.splitlines()]
    found = [
        Finding(
            path=handlers.modules.get(str(each["module"]), settings.handlers),
            code=_CODE,
            message=str(each["message"]),
            line=each["line"] if isinstance(each["line"], int) else None,
        )
        for each in failed
        if isinstance(each, dict)
    ]
    if exit_code:
        message = f"importing the handlers ended the process, with status {exit_code}"
        found.append(Finding(path=settings.handlers, code=_CODE, message=message))
    return tuple(found)


def main(arguments: Sequence[str]) -> None:
    """Import the handlers of the folder named, and write what fails to stdout."""
    folder = Path(arguments[0])
    # Lines that modules print must not come between ours.
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    loader, found = Loader(folder, Home()), scan(folder)
    # A handler stands for its module; each module is imported once.
    by_module = {handler.module: handler.name for handler in found.handlers.values()}
    with contextlib.redirect_stdout(sys.stderr):
        for module, name in sorted(by_module.items()):
            try:
                loader(name)
            except Unavailable as error:
                line = _line_of(found.modules[module], error.trace)
                failed = {"module": module, "message": str(error), "line": line}
                output.write(encode_json({**failed}) + b"\n")


def _line_of(module: Path, trace: Sequence[str]) -> int | None:
    """The line of the module in which the error came up, if the trace tells."""
    ours = [frame for frame in trace if f'"{module}"' in frame]
    words = ours[-1].split("line ", 1)[-1].split(",")[0] if ours else ""
    return int(words) if words.isdigit() else None


if __name__ == "__main__":
    main(sys.argv[1:])
