"""Task tokens: what somebody outside shows to answer a `.waitForTaskToken` task.

A token names its execution and its attempt, and proves with a keyed hash that we made it, so no
table of tokens is kept. A new attempt has a new token.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest

from eventmill.errors import InvalidToken

_PROOF_BYTES = 16


def task_token(execution_arn: str, seed: int, task: int) -> str:
    """The token of the task that event `task` of this execution scheduled."""
    subject = f"{task} {execution_arn}".encode()
    return urlsafe_b64encode(_proof(subject, seed) + subject).decode()


def read_token(token: str) -> tuple[str, int]:
    """The execution ARN and the task a token names; `is_genuine` says whether to believe it.

    Raises:
        InvalidToken: The text has not the form of a token.
    """
    try:
        subject = urlsafe_b64decode(token.encode())[_PROOF_BYTES:].decode()
        task, arn = subject.split(" ", 1)
        return arn, int(task)
    except ValueError:
        raise InvalidToken(f"Invalid Token: '{token[:80]}'") from None


def is_genuine(token: str, seed: int) -> bool:
    """Whether the execution with this seed made the token."""
    arn, task = read_token(token)
    return compare_digest(task_token(arn, seed, task).encode(), token.encode())


def _proof(subject: bytes, seed: int) -> bytes:
    return blake2b(subject, key=seed.to_bytes(16), digest_size=_PROOF_BYTES).digest()
