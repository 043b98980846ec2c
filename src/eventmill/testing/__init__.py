"""What tests of your own need: Kafka and AWS on this machine, and a server that runs a project.

With pytest: `pytest_plugins = ["eventmill.testing.pytest"]` in conftest.py.
"""

from eventmill.testing.aws import MotoServer
from eventmill.testing.kafka import EmbeddedKafka
from eventmill.testing.server import EventmillServer

__all__ = ["EmbeddedKafka", "EventmillServer", "MotoServer"]
