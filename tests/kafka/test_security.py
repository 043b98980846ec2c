"""Logins and TLS against a real broker."""

from typing import Any

import pytest

from eventmill.triggers.kafka import Sasl, Tls
from tests.kafka.apache import PASSWORD, USER, ApacheBroker
from tests.kafka.certificates import KEY_PASSWORD
from tests.kafka.reading import Log, Producer, reading

TLS = Tls(
    ca_file="ca.pem",
    certificate_file="client.pem",
    key_file="client.key",
    key_password_from="KEY_PASSWORD",
)
ENVIRONMENT = {"KAFKA_PASSWORD": PASSWORD, "KEY_PASSWORD": KEY_PASSWORD, "WRONG": "wrong"}


def login(mechanism: str, variable: str = "KAFKA_PASSWORD") -> dict[str, Any]:
    sasl = Sasl(mechanism=mechanism, username=USER, password_from=variable)
    return {"sasl": sasl, "environment": ENVIRONMENT}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_login(
    real_broker: ApacheBroker, topic: str, producer: Producer, log: Log, mechanism: str
) -> None:
    await producer.send(topic, b"1")

    async with reading(real_broker.sasl_address, log, topics=(topic,), **login(mechanism)):
        await log.has(1)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_told(
    real_broker: ApacheBroker, topic: str, log: Log, mechanism: str
) -> None:
    wrong = login(mechanism, "WRONG")

    async with reading(real_broker.sasl_address, log, topics=(topic,), **wrong) as run:
        reason = await run.failed()

    assert reason.startswith(f"SensorError: cannot read from {real_broker.sasl_address}: ")
    assert "Authentication failed" in reason


async def test_tls_with_a_certificate_of_the_client(
    real_broker: ApacheBroker, topic: str, producer: Producer, log: Log
) -> None:
    await producer.send(topic, b"1")
    fields = {"topics": (topic,), "project": real_broker.folder, "tls": TLS, **login("PLAIN")}

    async with reading(real_broker.tls_address, log, **fields):
        await log.has(1)


@pytest.mark.parametrize(
    "tls",
    [
        Tls(certificate_file="client.pem", key_file="client.key", key_password_from="KEY_PASSWORD"),
        Tls(ca_file="ca.pem"),
    ],
    ids=["unknown authority", "no certificate"],
)
async def test_tls_that_one_side_does_not_trust_is_no_connection(
    real_broker: ApacheBroker, topic: str, log: Log, tls: Tls
) -> None:
    fields = {"topics": (topic,), "project": real_broker.folder, "tls": tls, **login("PLAIN")}

    async with reading(real_broker.tls_address, log, **fields) as run:
        assert (await run.failed()).startswith("SensorError: cannot read from ")
