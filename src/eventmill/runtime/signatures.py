"""Signatures of requests that bring events: HMAC-SHA256 with a secret that both sides know.

Sources: GitHub's "Validating webhook deliveries" and the Standard Webhooks specification 1.0.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from eventmill.errors import SettingsError
from eventmill.record import record

GITHUB: Final = "github"
STANDARD: Final = "standard-webhooks"
SCHEMES: Final = (GITHUB, STANDARD)

ALL_OTHERS: Final = "*"
"""In place of a source: the signature of all sources that have none of their own."""

_GITHUB_HEADER: Final = "x-hub-signature-256"
_ID, _TIMESTAMP, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_ENCODED_SECRET: Final = "whsec_"


@record
class Signature:
    """How requests must be signed, and which environment variable has the secret.

    `tolerance_seconds` is how far the timestamp of a request may be away from now.
    """

    scheme: str
    secret_from: str
    tolerance_seconds: int = 300


class Unsigned(ValueError):
    """A request is not signed as it must be; the message says what is wrong."""


def name_for(wanted: Mapping[str, Signature], source: str) -> str | None:
    """Which of these signatures events of this source must have; None when they need none."""
    if source in wanted:
        return source
    return ALL_OTHERS if ALL_OTHERS in wanted else None


class Signatures:
    """The signatures that events must have, by their source."""

    def __init__(self, wanted: Mapping[str, Signature], environment: Mapping[str, str]) -> None:
        """Find the secrets.

        Raises:
            SettingsError: An environment variable is missing, or holds no secret.
        """
        self._wanted = wanted
        self._secrets = {
            name: _secret(name, each, environment.get(each.secret_from, ""))
            for name, each in wanted.items()
        }

    def name_for(self, source: str) -> str | None:
        """Which of the signatures events of this source must have; None when they need none."""
        return name_for(self._wanted, source)

    def check(self, name: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
        """Check a request against a signature; names of headers are in lower case.

        Raises:
            Unsigned: It does not have it.
        """
        wanted, secret = self._wanted[name], self._secrets[name]
        if wanted.scheme == GITHUB:
            _check_github(secret, headers, body)
        else:
            _check_standard(secret, headers, body, now_ms, wanted.tolerance_seconds)

    def sign(self, name: str, id_: str, body: bytes, now_ms: int) -> dict[str, str]:
        """The headers that give a request a signature."""
        secret = self._secrets[name]
        if self._wanted[name].scheme == GITHUB:
            return {_GITHUB_HEADER: f"sha256={_mac(secret, body).hex()}"}
        timestamp = str(now_ms // 1000)
        signature = _standard(secret, id_, timestamp, body)
        return {_ID: id_, _TIMESTAMP: timestamp, _SIGNATURE: signature}


def _secret(name: str, signature: Signature, given: str) -> bytes:
    variable = signature.secret_from
    if not given:
        raise SettingsError(
            f"events.signatures.{name}: the environment variable {variable} must have the secret, "
            "and is not set"
        )
    if signature.scheme != STANDARD or not given.startswith(_ENCODED_SECRET):
        return given.encode()
    try:
        secret = base64.b64decode(given.removeprefix(_ENCODED_SECRET), validate=True)
    except ValueError:
        secret = b""
    if not secret:
        raise SettingsError(
            f"events.signatures.{name}: the secret in {variable} is not base64 behind whsec_"
        )
    return secret


def _check_github(secret: bytes, headers: Mapping[str, str], body: bytes) -> None:
    given = headers.get(_GITHUB_HEADER)
    if given is None:
        raise Unsigned("The header X-Hub-Signature-256 is missing")
    if not _is_same(given, f"sha256={_mac(secret, body).hex()}"):
        raise Unsigned("X-Hub-Signature-256 is not the signature of this body by the secret")


def _check_standard(
    secret: bytes, headers: Mapping[str, str], body: bytes, now_ms: int, tolerance_seconds: int
) -> None:
    for name in (_ID, _TIMESTAMP, _SIGNATURE):
        if not headers.get(name):
            raise Unsigned(f"The header {name} is missing")
    timestamp = headers[_TIMESTAMP]
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise Unsigned("webhook-timestamp is not a number of seconds since 1970")
    if abs(now_ms / 1000 - int(timestamp)) > tolerance_seconds:
        raise Unsigned(f"webhook-timestamp is more than {tolerance_seconds} seconds from now")
    expected = _standard(secret, headers[_ID], timestamp, body)
    # While a secret is changed a request has a signature by each.
    if not any(_is_same(given, expected) for given in headers[_SIGNATURE].split()):
        raise Unsigned("webhook-signature has no signature of this request by the secret")


def _standard(secret: bytes, id_: str, timestamp: str, body: bytes) -> str:
    signed = f"{id_}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(_mac(secret, signed)).decode()}"


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.new(secret, content, hashlib.sha256).digest()


def _is_same(given: str, expected: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode(), expected.encode())
