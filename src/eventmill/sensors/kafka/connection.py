"""How a source's brokers and registry are reached: addresses, logins and TLS."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventmill.errors import SensorError
from eventmill.record import record
from eventmill.triggers.kafka import KafkaSource, Tls


@record
class Connection:
    """Keyword arguments for every client of the brokers, and the registry's login and TLS."""

    client: dict[str, Any]
    registry_login: tuple[str, str] | None = None
    registry_tls: ssl.SSLContext | None = None


def connection(source: KafkaSource, project: Path, environment: Mapping[str, str]) -> Connection:
    """Put together how to connect; files are read, no connection is made.

    Raises:
        SensorError: An environment variable is missing, or a file cannot be read.
    """
    if not source.bootstrap_servers:
        raise SensorError(
            f"the environment variable {source.bootstrap_servers_from}, which the source takes its "
            "brokers from, names none: host:port, with commas between several"
        )
    client: dict[str, Any] = {
        "bootstrap_servers": list(source.bootstrap_servers),
        "client_id": "eventmill",
        "request_timeout_ms": round(source.request_seconds * 1000),
        "metadata_max_age_ms": round(source.metadata_seconds * 1000),
        "security_protocol": "PLAINTEXT",
    }
    if source.tls is not None:
        client |= {
            "security_protocol": "SSL",
            "ssl_context": tls_context(source.tls, project, environment),
        }
    if source.sasl is not None:
        client |= {
            "security_protocol": "SASL_PLAINTEXT" if source.tls is None else "SASL_SSL",
            "sasl_mechanism": source.sasl.mechanism,
            "sasl_plain_username": source.sasl.username,
            "sasl_plain_password": _secret(source.sasl.password_from, environment),
        }
    registry = source.registry
    if registry is None:
        return Connection(client=client)
    login = None
    if registry.username:
        login = (registry.username, _secret(registry.password_from, environment))
    return Connection(
        client=client,
        registry_login=login,
        registry_tls=tls_context(registry.tls, project, environment)
        if registry.url.startswith("https:")
        else None,
    )


def tls_context(tls: Tls, project: Path, environment: Mapping[str, str]) -> ssl.SSLContext:
    """A context for connections to servers.

    Raises:
        SensorError: A file cannot be read, or is not what it should be.
    """
    password = _secret(tls.key_password_from, environment) if tls.key_password_from else None
    try:
        context = ssl.create_default_context(
            cafile=str(project / tls.ca_file) if tls.ca_file else None
        )
    except OSError as error:
        raise SensorError(f"the CaFile {tls.ca_file} cannot be used: {error}") from error
    context.check_hostname = tls.verify_hostname
    if not tls.certificate_file:
        return context
    key = project / tls.key_file if tls.key_file else None
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(project / tls.certificate_file, key, lambda: password or "")
    except OSError as error:
        raise SensorError(
            f"the CertificateFile {tls.certificate_file} cannot be used: {error}"
        ) from error
    return context


def _secret(variable: str, environment: Mapping[str, str]) -> str:
    try:
        return environment[variable]
    except KeyError:
        raise SensorError(
            f"the environment variable {variable}, which the source takes a password from, "
            "is not set"
        ) from None
