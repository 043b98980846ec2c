"""The process of `EmbeddedKafka`: a broker, until its owner closes stdin or has died."""

import json
import sys

from eventmill.errors import SettingsError
from eventmill.testing.librdkafka import MockCluster


def main() -> int:
    """Write the broker's address, then answer each call on stdin by why it is refused, if it is."""
    try:
        cluster = MockCluster()
    except SettingsError as error:
        sys.exit(str(error))
    _say(cluster.address)
    for line in sys.stdin:
        function, *arguments = json.loads(line)
        _say(cluster.call(function, *arguments))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
