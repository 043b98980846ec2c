"""Why servers could not be connected to, which aiokafka tells only in its log.

That log goes no further: it tells of every attempt. What counts is raised, and the supervisor says
it once.
"""

import logging
from typing import Final

refusals: Final[dict[str, str]] = {}
"""Servers, as host:port, and what went wrong when they were last tried in vain."""

_UNABLE: Final = 'Unable connect to "%s:%s": %s'


class _Refusals(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == _UNABLE and isinstance(record.args, tuple):
            host, port, error = record.args
            refusals[f"{host}:{port}"] = str(error) or type(error).__name__


_aiokafka: Final = logging.getLogger("aiokafka")
_aiokafka.setLevel(logging.ERROR)
_aiokafka.propagate = False
_aiokafka.addHandler(_Refusals())
