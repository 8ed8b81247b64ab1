"""The proxy that the environment names for a URL (HTTPS_PROXY, ALL_PROXY, NO_PROXY …)."""

import ipaddress
import urllib.request
from typing import Final

from yarl import URL

from ..model.errors import ConfigError
from .addresses import host_fault

SCHEMES: Final = ("http", "https")
"""The proxies that aiohttp speaks to (aiohttp 3.14)."""


def proxy_for(url: URL) -> str | None:
    """Return the environment's proxy for a URL; None if there is none or NO_PROXY names the host.

    Loopback needs no proxy. Raises ConfigError with the variable's name and without the value, which may hold a
    password.

    aiohttp's `trust_env` is not used: it reads netrc on every call, which costs more than the call, and a matching
    entry replaces the signature by Basic credentials (both measured, 2026-11).
    """
    host, proxies = url.host or "", urllib.request.getproxies_environment()
    if is_loopback(host) or urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined] # untyped, public
        return None
    for scheme in (url.scheme, "all"):
        if value := proxies.get(scheme, "").strip():
            return proxy_url(value, f"{scheme}_proxy")
    return None


def proxy_url(value: str, variable: str) -> str:
    """Return the URL of a proxy from a variable's value; HOST:PORT alone is an http proxy. Raises ConfigError.

    >>> proxy_url("proxy.example:3128", "https_proxy")
    'http://proxy.example:3128'
    """
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower() not in SCHEMES:
        label = scheme if scheme.isalnum() else "strange"
        raise ConfigError(
            f"${variable} (or ${variable.upper()}) names a {label} proxy, and only http and https ones can be used: "
            "name such a proxy, or unset the variable"
        )
    proxy = value if separator else f"http://{value}"
    try:
        url = URL(proxy)
        is_url = bool(url.host) and not host_fault(url)
        can_be_sent = _is_basic(url.user or "", url.password or "")
    except ValueError:
        is_url, can_be_sent = False, True
    if not can_be_sent:
        raise ConfigError(
            f"${variable} (or ${variable.upper()}) has a user name or password that a proxy cannot be told: it has a "
            "colon in the name, or a character beyond Latin-1"
        )
    if not is_url:
        raise ConfigError(f"${variable} (or ${variable.upper()}) is no proxy: write it as http://HOST:PORT")
    return proxy


def _is_basic(user: str, password: str) -> bool:
    """Whether aiohttp can send a user name and password, as Basic credentials in Latin-1 (RFC 7617, aiohttp 3.14)."""
    return ":" not in user and all(char <= "\xff" for char in user + password)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
