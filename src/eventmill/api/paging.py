"""Pages of long answers, and the tokens that lead from one to the next.

A token holds the place at which the page before ended. Answers only grow, so it stays good; it is
good for the request that it came from and for no other.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from eventmill.api.operation import Request
from eventmill.errors import InvalidToken
from eventmill.model import decode_json, encode_json

_PAGE_SIZE_DEFAULT: Final = 100

_PLACE_MAX: Final = 2**63 - 1

# Members of a request that may differ from page to page.
_FREE: Final = frozenset({"maxResults", "nextToken"})


def page_size(request: Request) -> int:
    """How many results the request wants at most; 0 and nothing stand for 100."""
    size: int = request.get("maxResults", 0)
    return size or _PAGE_SIZE_DEFAULT


def next_token(operation: str, request: Request, place: Sequence[int]) -> str:
    """The token for what comes after `place`."""
    token = encode_json([_fingerprint(operation, request), *place])
    return urlsafe_b64encode(token).decode()


def last_place(operation: str, request: Request, numbers: int) -> tuple[int, ...] | None:
    """Where the page before ended, as so many numbers, or None for the first page.

    Raises:
        InvalidToken: The token in the request is not one that we gave for such a request.
    """
    token = request.get("nextToken")
    if token is None:
        return None
    try:
        read = decode_json(urlsafe_b64decode(token.encode()))
    except ValueError:
        read = None
    if (
        not isinstance(read, list)
        or len(read) != 1 + numbers
        or read[0] != _fingerprint(operation, request)
    ):
        raise InvalidToken("Invalid Token: 'Invalid token'")
    place = tuple(n for n in read[1:] if isinstance(n, int) and 0 <= n <= _PLACE_MAX)
    if len(place) != numbers:
        raise InvalidToken("Invalid Token: 'Invalid token'")
    return place


def _fingerprint(operation: str, request: Request) -> str:
    asked = sorted((name, value) for name, value in request.items() if name not in _FREE)
    return blake2b(repr((operation, asked)).encode(), digest_size=8).hexdigest()
