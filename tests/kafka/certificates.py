"""An authority, a broker's certificate and a client's, for TLS on this machine."""

import ipaddress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

KEY_PASSWORD: Final = "opensesame"
_FROM: Final = datetime(2020, 1, 1, tzinfo=timezone.utc)
_TO: Final = _FROM + timedelta(days=36_500)


def write_certificates(folder: Path) -> None:
    """Write ca.pem, server.pem (key and certificate), client.pem and client.key (encrypted)."""
    authority = ec.generate_private_key(ec.SECP256R1())
    name = _name("Eventmill test authority")
    ca = _certificate(name, name, authority, authority, is_authority=True)
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    for role in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(_name(role), name, key, authority, is_authority=False)
        pem = certificate.public_bytes(Encoding.PEM)
        if role == "server":
            pem = _key_pem(key, NoEncryption()) + pem
        else:
            encryption = BestAvailableEncryption(KEY_PASSWORD.encode())
            (folder / "client.key").write_bytes(_key_pem(key, encryption))
        (folder / f"{role}.pem").write_bytes(pem)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_pem(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    addresses = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    # Python 3.13 verifies strictly (RFC 5280): it wants to know whose key has signed, and what for.
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_TO)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(signer, critical=False)
        .add_extension(own, critical=False)
        .add_extension(_usage(is_authority), critical=True)
        .sign(authority, hashes.SHA256())
    )


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
