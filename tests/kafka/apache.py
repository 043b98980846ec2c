"""A real broker: Apache Kafka in a process of its own, one node that is its own controller.

Its jars come from Maven, once, into build/kafka; Java 17 or newer runs them.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from tests.kafka.certificates import write_certificates

USER: Final = "alice"
PASSWORD: Final = "wonderland"

_POM: Final = Path(__file__).with_name("pom.xml")
_BUILD: Final = Path(__file__).resolve().parents[2] / "build" / "kafka"
_CLUSTER: Final = "MkU3OEVBNTcwNTJENDM2Qg"
_JAVA: Final = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
)
_STARTED: Final = "Kafka Server started"

_PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},\
CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}
listener.security.protocol.map=\
PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
log.dirs={folder}/data
auto.create.topics.enable=false
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.tls.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.tls.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
listener.name.tls.ssl.client.auth=required
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={folder}/server.pem
listener.name.tls.ssl.truststore.type=PEM
listener.name.tls.ssl.truststore.location={folder}/ca.pem
"""


def jars() -> Path:
    """The folder of the jars, fetched first where they are not at hand."""
    folder = _BUILD / "libs"
    fetched = _BUILD / "pom.xml"
    if fetched.exists() and fetched.read_bytes() == _POM.read_bytes():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    _BUILD.mkdir(parents=True, exist_ok=True)
    command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
    subprocess.run([*command, f"-DoutputDirectory={folder}"], check=True)
    fetched.write_bytes(_POM.read_bytes())
    return folder


def is_at_hand() -> bool:
    """Whether the jars were fetched before, and there is a Java to run them."""
    return (_BUILD / "pom.xml").exists() and shutil.which("java") is not None


class ApacheBroker:
    """One broker with its data in `folder`, which `down` and `up` keep."""

    is_real: Final = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plain, sasl, tls, controller = _free_ports(4)
        self.address = f"127.0.0.1:{plain}"
        self.sasl_address = f"127.0.0.1:{sasl}"
        self.tls_address = f"127.0.0.1:{tls}"
        write_certificates(folder)
        self._properties = folder / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(
                folder=folder,
                plain=plain,
                sasl=sasl,
                tls=tls,
                controller=controller,
                user=USER,
                password=PASSWORD,
            )
        )
        self._environment = {**os.environ, "CLASSPATH": f"{jars()}/*"}
        users = [
            f"--add-scram={mechanism}=[name={USER},password={PASSWORD}]"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        formatting = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER]
        subprocess.run(
            [*_JAVA, *_LOGGING, *formatting, "-c", str(self._properties), *users],
            env=self._environment,
            check=True,
            capture_output=True,
        )
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [*_JAVA, *_LOGGING, "kafka.Kafka", str(self._properties)],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, written = self._process.stdout, []
        assert output is not None
        for line in output:
            written.append(line)
            if _STARTED in line:
                break
        else:
            self._process.wait()
            output.close()
            raise RuntimeError("the broker ended; it wrote:\n" + "".join(written))
        # Nobody reads on, and a pipe that is full would stop the broker.
        self._drain = threading.Thread(target=output.read, daemon=True)
        self._drain.start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._drain.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    async def create_topic(self, name: str, partitions: int, **configs: str) -> None:
        topic = NewTopic(name, partitions, 1, topic_configs=configs)
        async with self._admin() as admin:
            await admin.create_topics([topic])

    async def delete_topic(self, name: str) -> None:
        async with self._admin() as admin:
            await admin.delete_topics([name])

    async def add_partitions(self, topic: str, total: int) -> None:
        async with self._admin() as admin:
            await admin.create_partitions({topic: NewPartitions(total)})

    async def delete_records(self, topic: str, before: int) -> None:
        """Delete the messages of partition 0 before an offset."""
        async with self._admin() as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def down(self) -> None:
        """Kill the broker at once."""
        await asyncio.to_thread(self.close)

    async def up(self) -> None:
        """Start it again on the same data."""
        await asyncio.to_thread(self._start)

    async def freeze(self) -> None:
        """Stop the process; the system keeps its connections."""
        self._process.send_signal(signal.SIGSTOP)

    async def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
