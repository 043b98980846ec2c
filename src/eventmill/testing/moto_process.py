"""The process of `MotoServer`: moto's server, until its owner closes stdin or has died."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from eventmill.errors import LogInUse, LogUnavailable
from eventmill.log.lock import held
from eventmill.testing.extra import require
from eventmill.testing.moto_state import restore, save

_PATIENCE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05


def main(port: int, data: Path | None) -> int:
    """Serve on `port` of 127.0.0.1, write the port that it is, and keep the state in `data`."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # it has a line for each request
    with nullcontext() if data is None else _alone(data):
        server = _server(port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.port}"
        if data is not None:
            restore(endpoint, data)
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()
        try:
            if data is not None:
                save(endpoint, data)
        except OSError as error:
            sys.exit(f"what AWS has here cannot be kept in {data}: {error.strerror}")
        server.shutdown()
        thread.join()
        server.server_close()
    return 0


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """The one process that keeps its state in `data`: the last one may still be writing it."""
    data.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(held(data))
                break
            except LogInUse:
                if time.monotonic() > deadline:
                    sys.exit(f"{data} is in use by another server")
                time.sleep(_LOOK_SECONDS)
            except LogUnavailable as error:
                sys.exit(str(error))
        yield


def _server(port: int) -> Any:
    moto = require("moto.server")
    application = moto.DomainDispatcherApplication(moto.create_backend_app)
    try:
        return require("werkzeug.serving").make_server(
            "127.0.0.1",
            port,
            application,
            threaded=True,
            request_handler=moto.MotoRequestHandler,
        )
    except (OSError, SystemExit):
        sys.exit(f"port {port} of 127.0.0.1 is not to be had: another program listens there")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
