"""Addresses of results: the URL in the form that is sent, and the hosts that a redirect may lead to.

Pure. A signature covers each byte of a URL, so nothing is quoted or unquoted again. A redirect comes from outside: a
public host must not be able to make this machine read its own network (cloud metadata at 169.254.169.254, a router, a
database on loopback) and save the answer as a picture.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urljoin, urlsplit

from yarl import URL

from ..model.plain_text import visible_line

_UNSENDABLE: Final = re.compile(r"[\s\0-\x20\x7f-\xa0]")
_BEFORE_HOST: Final = re.compile(r"^([^/@]*//)?.*@", re.DOTALL)
_NOT_ASCII: Final = re.compile(r"[^\0-\x7f]+")
_LEGACY: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
_NAT64: Final = ip_network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in its last 32 bits."""
_COMPATIBLE: Final = ip_network("::/96")
"""RFC 4291, deprecated: an IPv4 address in its last 32 bits."""
_TRANSLATED: Final = ip_network("::ffff:0:0:0/96")
"""RFC 2765: an IPv4 address in its last 32 bits."""
_LOCAL_NAT64: Final = ip_network("64:ff9b:1::/48")
"""RFC 8215: a site's own translation. Python before 3.12.4 counts it as global."""


MOST_LABEL: Final = 63
"""Most characters between two dots of a DNS name (RFC 1035, 2.3.4)."""
MOST_NAME: Final = 253
"""Most characters of a DNS name: RFC 1035's 255 bytes without the first length and the root's."""


def sendable(url: str) -> URL:
    """Return the URL to send: ASCII bytes unchanged, other characters percent-encoded as UTF-8.

    Raises ValueError for a URL that cannot be sent; the error's text does not quote the URL.

    >>> sendable("https://r.example/a%28b%29/图.png?sig=x%2Fy%2Bz%3D").raw_path_qs
    '/a%28b%29/%E5%9B%BE.png?sig=x%2Fy%2Bz%3D'
    """
    if _UNSENDABLE.search(url):
        raise ValueError("its URL has blanks or control characters")
    try:
        parts = urlsplit(url)
        origin = URL(f"{parts.scheme}://{parts.netloc}")
    except (ValueError, IndexError):  # raised by yarl and urllib for a text that is no URL; IndexError for odd brackets
        parts, origin = urlsplit(""), URL()
    if not origin.raw_host or parts.scheme not in ("http", "https"):
        raise ValueError("its URL is not an http or https URL with a host")
    if "@" in parts.netloc:
        raise ValueError("its URL has a user name in it")
    if fault := host_fault(origin):
        raise ValueError(f"its URL cannot be fetched: {fault}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return URL(str(origin.origin()) + _NOT_ASCII.sub(_quoted, target), encoded=True)


def host_fault(url: URL) -> str:
    """Return the reason why no service can be at a URL's host and port; empty if there is none.

    >>> host_fault(URL("https://mps..example")), host_fault(URL("https://mps.example:443"))
    ('the host is no DNS name: each part between two dots has 1 to 63 characters, and the whole at most 253', '')
    """
    host = url.raw_host or ""
    name = host.removesuffix(".")
    is_name = _literal(host) is None
    if is_name and (len(name) > MOST_NAME or not all(1 <= len(label) <= MOST_LABEL for label in name.split("."))):
        return (
            f"the host is no DNS name: each part between two dots has 1 to {MOST_LABEL} characters, and the whole at "
            f"most {MOST_NAME}"
        )
    return "its port is 0, where nothing listens" if url.explicit_port == 0 else ""


def without_secrets(url: str) -> str:
    """Return a setting's URL for display: without user name and password, query and fragment.

    Its path may be cut as well: a password may hold a slash, and the text may be no URL at all.

    >>> without_secrets("https://user:pass@r.example/1.png?sign=0123")
    'https://r.example/1.png'
    """
    return visible_line(_BEFORE_HOST.sub(r"\1", re.split(r"[?#]", url, maxsplit=1)[0]))


def redirect_target(url: URL, location: str) -> str:
    """Return the URL of a `Location` header, byte for byte except for blanks, which some servers do not quote.

    Raises ValueError, with a text without the URL.
    """
    try:
        return urljoin(str(url), location.strip(" \t").replace(" ", "%20"))
    except ValueError:  # brackets that enclose no address
        raise ValueError("a redirect leads to what is no URL") from None


def _quoted(text: re.Match[str]) -> str:
    # aiohttp decodes the raw bytes of a header as surrogates.
    return "".join(f"%{byte:02X}" for byte in text[0].encode(errors="surrogateescape"))


def is_global(address: str) -> bool:
    """Whether a text is an address of the public Internet; false for a text that is no address.

    >>> [is_global(address) for address in ("43.152.0.1", "169.254.169.254", "::ffff:10.0.0.1", "2130706433")]
    [True, False, False, False]
    """
    literal = _literal(address)
    return literal is not None and _is_global(literal)


def may_be_public(host: str) -> bool:
    """Whether a URL's host may be public, judged before its name is resolved."""
    name = host.strip("[]").rstrip(".").lower()
    literal = _literal(name)
    if literal is not None:
        return _is_global(literal)
    return name != "localhost" and not name.endswith(".localhost")  # RFC 6761


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (inside := _inside(address)) is not None:
        return _is_global(inside)
    if isinstance(address, IPv6Address) and (address.is_site_local or address in _LOCAL_NAT64):
        return False
    return address.is_global and not address.is_multicast


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to; None for the others."""
    if address in _NAT64 or address in _COMPATIBLE or address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    host = host.strip("[]").partition("%")[0]
    try:
        return ip_address(host)
    except ValueError:
        return _legacy(host)


def _legacy(host: str) -> IPv4Address | None:
    """Return the address of a text such as `2130706433`, `0x7f.1` or `127.1`, which resolvers read like `inet_aton`."""
    if not _LEGACY.fullmatch(host):
        return None
    try:
        *firsts, last = [_number(part) for part in host.rstrip(".").split(".")]
        shifts = range(24, 24 - 8 * len(firsts), -8)
        if any(first > 0xFF for first in firsts) or last >= 1 << (32 - 8 * len(firsts)):
            return None
        return IPv4Address(sum(first << shift for first, shift in zip(firsts, shifts, strict=True)) + last)
    except ValueError:
        return None


def _number(text: str) -> int:
    if text.lower().startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)
