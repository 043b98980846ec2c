"""Keys that sign checkpoints: Ed25519 (RFC 8032), in PEM files.

Whoever verifies needs only the public key. A key is named by the first 16 hexadecimal digits of
the SHA-256 of its public part. Needs the library `cryptography`.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from eventmill.errors import EventmillError
from eventmill.log.checkpoints import Checkpoint

_NAME_DIGITS: Final = 16


class KeyFileError(EventmillError):
    """A key file holds no key of the kind that is needed."""


class SigningKey:
    """A private key: signs statements."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.name = _name(key.public_key())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """The key in a file that `make_key` wrote.

        Raises:
            KeyFileError: The file holds no private Ed25519 key without a password.
            OSError: The file cannot be read.
        """
        key = _loaded(lambda pem: load_pem_private_key(pem, None), path)
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path} holds no private Ed25519 key")
        return cls(key)

    def sign(self, statement: bytes) -> tuple[str, bytes]:
        """The name of the key, and its signature of `statement`."""
        return self.name, self._key.sign(statement)


class VerifyingKey:
    """A public key: tells whether a checkpoint was signed by its private one."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.name = _name(key)

    @classmethod
    def read(cls, path: Path) -> "VerifyingKey":
        """The public key in a file, which may be that of the private key.

        Raises:
            KeyFileError: The file holds no Ed25519 key.
            OSError: The file cannot be read.
        """
        if b"PRIVATE KEY" in path.read_bytes():
            return cls(SigningKey.read(path)._key.public_key())
        key = _loaded(load_pem_public_key, path)
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFileError(f"{path} holds no Ed25519 key")
        return cls(key)

    def problem(self, checkpoint: Checkpoint) -> str | None:
        """What is wrong with the signature of a checkpoint; None when it is this key's."""
        if checkpoint.key is None or checkpoint.signature is None:
            return "it is not signed"
        if checkpoint.key != self.name:
            return f"it is signed by the key {checkpoint.key}, not by {self.name}"
        try:
            self._key.verify(checkpoint.signature, checkpoint.statement())
        except InvalidSignature:
            return "its signature does not fit what it says: it was changed"
        return None


def make_key(path: Path) -> VerifyingKey:
    """Make a key: the private part in `path`, for its owner only, the public in `path`.pub.

    Raises:
        FileExistsError: One of the files is there.
        OSError: They cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_name(f"{path.name}.pub")
    if beside.exists():
        raise FileExistsError(17, "the file exists", str(beside))
    _write_new(path, private, 0o600)
    _write_new(beside, public, 0o644)
    return VerifyingKey(key.public_key())


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _loaded(load: Callable[[bytes], object], path: Path) -> object:
    try:
        return load(path.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} holds no Ed25519 key in PEM without a password") from error


def _name(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return sha256(raw).hexdigest()[:_NAME_DIGITS]
