"""Reads topics of Kafka and turns their messages into trigger events.

The truth about what was read is in our own log: the offset of each message is remembered in the
same commit as its event, and reading goes on from there whatever the brokers say. A message that
comes again all the same has the same id, so the inbox drops it. Offsets are also committed to the
consumer group, after our own commit, for tools that show how far it lags and for the servers that
share its partitions.

A message that cannot be understood becomes an event that says so; no partition waits for it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaConnectionError, KafkaError

from eventmill.arn import Home
from eventmill.errors import SensorError
from eventmill.ports import Clock, Publish, Pulse, Remember
from eventmill.sensors.kafka.connection import connection
from eventmill.sensors.kafka.dead_letters import dead_letters
from eventmill.sensors.kafka.decoding import Decoders
from eventmill.sensors.kafka.messages import Messages
from eventmill.sensors.kafka.reading import Reading
from eventmill.sensors.kafka.refusals import refusals
from eventmill.triggers.kafka import KafkaSource

# How long a broker may keep a request for messages waiting when there are none.
FETCH_WAIT_MS: Final = 500


class KafkaSensor:
    """The `Sensor` of some topics of one cluster."""

    def __init__(
        self,
        source: KafkaSource,
        *,
        project: Path,
        home: Home,
        clock: Clock,
        remember: Remember,
        environment: Mapping[str, str] | None = None,
        fetch_wait_ms: int = FETCH_WAIT_MS,
    ) -> None:
        """Read what `source` says; passwords are looked up in `environment`, or the process's."""
        self.source = source
        self._name = source.name
        self._project = project
        self._home = home
        self._clock = clock
        self.pulse = Pulse()
        self._remember = remember
        self._environment = os.environ if environment is None else environment
        self._fetch_wait_ms = fetch_wait_ms
        self._reading: Reading | None = None

    @property
    def name(self) -> str:
        """What is read; two triggers with equal sources share it."""
        return self._name

    @property
    def lag(self) -> Mapping[tuple[str, int], int]:
        """How many offsets lie before the end, for each (topic, partition) that is being read.

        As the brokers told with the last messages; a partition they told nothing of is left out.
        """
        return {} if self._reading is None else self._reading.lag()

    async def run(self, publish: Publish, state: Mapping[str, bytes]) -> None:
        """Read until cancelled; `state` maps `topic/partition` to the offset to be read next.

        What `publish` raises ends the run: offsets of such events are not remembered, so the next
        run reads them again.

        Raises:
            SensorError: No broker answers, a login is refused, the schema registry cannot be
                asked, or something that the source names is missing.
        """
        self.pulse.until(self._clock.steady_ms())
        source = self.source
        joined = connection(source, self._project, self._environment)
        messages = Messages(
            self.name,
            await Decoders.open(source, self._project, joined),
            self._home,
            self._clock.now_ms,
            cloud_events=source.cloud_events,
        )
        try:
            async with dead_letters(joined.client, source.dead_letter_topic) as letters:
                self._reading = Reading(
                    source,
                    joined.client,
                    messages,
                    letters,
                    self._clock,
                    self.pulse,
                    publish,
                    self._remember,
                    state,
                    fetch_wait_ms=self._fetch_wait_ms,
                )
                await self._reading.run()
        except (KafkaError, OSError, UnicodeDecodeError) as error:
            # The last is a name of a header: no message after it can be had from the driver.
            servers, reason = ", ".join(source.bootstrap_servers), _reason(source, error)
            raise SensorError(f"cannot read from {servers}: {reason}") from error
        finally:
            self._reading = None
            self.pulse.until(None)


def _reason(source: KafkaSource, error: Exception) -> str:
    """What is wrong, in a form that stays the same as long as that does."""
    if isinstance(error, KafkaConnectionError):
        why = [refusals.get(server, "") for server in source.bootstrap_servers]
        return ": ".join(["no broker can be reached", *sorted({*why} - {""})])
    return str(error) or type(error).__name__
