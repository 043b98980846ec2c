"""The process of `MotoServer`: moto's server, until its owner closes stdin or has died."""

import logging
import sys
import threading
from pathlib import Path
from typing import Any

from eventmill.testing.extra import require
from eventmill.testing.moto_state import restore, save


def main(port: int, data: Path | None) -> int:
    """Serve on `port` of 127.0.0.1, write the port that it is, and keep the state in `data`."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # it has a line for each request
    server = _server(port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.port}"
    if data is not None:
        restore(endpoint, data)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    if data is not None:
        save(endpoint, data)
    server.shutdown()
    thread.join()
    server.server_close()
    return 0


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
