"""Web pages that may call the API: our own, and no others.

Any page can make its reader's browser send requests to 127.0.0.1, and by DNS rebinding can do so
under a name of its own. Browsers say by the Origin header which page asks; other clients send none.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_ours(origin: str, host: str) -> bool:
    """Whether a page of `origin` is one that we served under the Host header `host`.

    It is when it asks the server that it came from, under a name that no DNS server can point to
    us: `localhost` or an address.

    >>> is_ours("http://127.0.0.1:8083", "127.0.0.1:8083")
    True
    >>> is_ours("http://evil.example:8083", "evil.example:8083")
    False
    """
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.netloc == host != "" and _is_fixed(parts.hostname or "")


def _is_fixed(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
